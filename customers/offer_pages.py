"""What the customer page shows of the next purchase: the likeliest categories with their chance, and why, in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from crm.core import formats, model_words
from crm.core.errors import NotFound
from customers import offer
from customers.models import Category, Customer

# More reasons than these move the odds too little to be read.
REASONS = 3
# A fact that moves the odds by less than a twentieth is no reason.
LEAST_FACTOR = 1.05


@dataclass(frozen=True, slots=True)
class LikelyLine:
    """One category: its name, the chance, what is usual for such a category, and the strongest reasons as sentences."""

    name: str
    chance: str
    usual: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LikelyPage:
    """lines: empty where nothing can be said; refused says whether the customer declined to be profiled."""

    lines: tuple[LikelyLine, ...]
    horizon_days: int
    version: int
    refused: bool


def likely(*, customer_id: int, at: datetime) -> LikelyPage:
    """Return the panel of one customer. Eight queries at most. Raises NotFound."""
    refused = Customer.objects.filter(pk=customer_id, merged_into=None).values_list("profiling_refused", flat=True).first()
    if refused is None:
        raise NotFound(customer=customer_id)
    found = offer.for_customer_page(customer_id=customer_id, at=at)
    categories = Category.objects.in_bulk([one.category_id for one in found.likely]) if found.likely else {}
    lines = tuple(_line(one, categories[one.category_id]) for one in found.likely if one.category_id in categories)
    return LikelyPage(lines, found.horizon_days, found.version, bool(refused))


def reason_words(reason: offer.Reason) -> str:
    """Return a reason as a sentence in the reader's language; its numbers are the reason's own."""
    words = {"fact": model_words.cell(reason.variable), "value": model_words.cell(reason.value)}
    if reason.factor >= 1:
        return _("%(fact)s: %(value)s. Raises the odds %(times)s times.") % {**words, "times": formats.number(reason.factor, 1)}
    return _("%(fact)s: %(value)s. Lowers the odds %(times)s times.") % {**words, "times": formats.number(1 / reason.factor, 1)}


def _line(one: offer.Likely, category: Category) -> LikelyLine:
    reasons = [reason for reason in one.reasons if max(reason.factor, 1 / reason.factor) >= LEAST_FACTOR]
    language = get_language() or "en"
    return LikelyLine(
        name=str(category.names.get(language) or category),
        chance=formats.percent(one.probability, 1),
        usual=formats.percent(one.usual, 1),
        reasons=tuple(reason_words(reason) for reason in reasons[:REASONS]),
    )
