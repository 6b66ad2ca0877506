"""Who gets an offer of a product and who is better shown a related one, from the purchase network, with the reasons.

    offer_or_related(customer_id=…, product_id=…, at=…)      one customer
    decide(customer_ids=…, product_id=…, at=…)               many, in the same number of queries
    for_customer_page(customer_id=…, at=…)                   what a page shows of one customer: the likeliest categories

The rule, first match wins:

1. bought this very product within the last 30 days, or it cannot be sold: a related product;
2. likelier to buy from its category than from any category beside it: the offer;
3. at least twice as likely as people usually are for such a category: the offer;
4. else a related product, from the category beside it that is likeliest.

Customers who refuse to be profiled, and everybody while no network serves, get the offer without a probability.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from django.conf import settings
from django.db.models import Count, Q

from crm.core.errors import NotFound
from crm.core.learning import modelstore
from customers.ml import purchase
from customers.ml.network.inference import posterior
from customers.ml.network.influence import explain
from customers.ml.network.model import UNKNOWN
from customers.ml.saved import purchase_model
from customers.models import OrderLine, Product

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from customers.ml.purchase import PurchaseModel

# How much likelier than usual someone must be to get the offer although a category beside it is likelier still.
CLEARLY = 2.0
JUST_BOUGHT_DAYS = 30
POPULAR_DAYS = 90
# Best sellers looked at per category for one not bought lately.
_SPARE = 6


@dataclass(frozen=True, slots=True)
class Reason:
    """One known fact and what it does.  effect: its share of the log-odds.  without: the probability had it not been known."""

    variable: str
    value: str
    effect: float
    without: float

    @property
    def factor(self) -> float:
        """By how much the odds are multiplied; below 1 they fall."""
        return float(np.exp(self.effect))


@dataclass(frozen=True, slots=True)
class Decision:
    """What to show one customer.

    kind: "offer" or "related".  product_id: the product to show; for "related" another one, or the asked one where there
    is none.  probability: of buying from the asked product's category within 30 days, None without a model.
    usual: what it usually is for such a category.  likelier_category_id: the one beside it that won, None for an offer.
    why: the rule that decided, one of "just_bought", "unavailable", "likeliest", "clearly_likely", "related_likelier",
    "not_profiled", "no_model".  reasons: strongest first; the effects add up to log-odds(probability) - log-odds(base).
    """

    customer_id: int
    kind: str
    product_id: int
    why: str
    probability: float | None = None
    usual: float | None = None
    base: float | None = None
    likelier_category_id: int | None = None
    reasons: tuple[Reason, ...] = ()
    model_version: int = 0


def offer_or_related(*, customer_id: int, product_id: int, at: datetime) -> Decision:
    """Return what to show one customer for a product, with reasons. Nine queries at most. Raises NotFound."""
    return decide(customer_ids=[customer_id], product_id=product_id, at=at, with_reasons=True)[customer_id]


def decide(*, customer_ids: Iterable[int], product_id: int, at: datetime, with_reasons: bool = False) -> dict[int, Decision]:
    """Return a decision for every id given. Nine queries at most, whatever their number.

    with_reasons: costs some milliseconds per customer.  Raises NotFound for a product there is none of.
    """
    ids = list(dict.fromkeys(customer_ids))
    product = Product.objects.filter(pk=product_id).values("category_id", "category__parent_id", "is_available", "is_goods").first()
    if product is None:
        raise NotFound(product=product_id)
    is_sold = bool(product["is_available"] and product["is_goods"])
    serving = _serving()
    if serving is None or product["category_id"] is None:
        return {one: Decision(one, "offer", product_id, "no_model") for one in ids}
    model, version = serving
    beside = model.beside(product["category_id"], product["category__parent_id"] or 0)
    who = purchase.people(as_of=at, only=ids)
    known = purchase.grid(who=who, of=beside, as_of=at, sensitive=model.sensitive)
    chances = _chances(model, known)
    own = int(np.searchsorted(beside.id, product["category_id"]))
    usual = model.usual(beside)[own]
    had = _had(ids, at)
    verdicts: dict[int, tuple[str, int | None]] = {}
    for place, customer in enumerate(known.customer.tolist()):
        chance, best = chances[place, own], int(chances[place].argmax())
        if not is_sold or product_id in had.get(customer, ()):
            others = np.delete(np.arange(len(beside)), own)
            best = int(others[chances[place, others].argmax()]) if len(others) else own
            verdicts[customer] = ("unavailable" if not is_sold else "just_bought", best)
        elif best == own:
            verdicts[customer] = ("likeliest", None)
        elif chance >= CLEARLY * usual:
            verdicts[customer] = ("clearly_likely", None)
        else:
            verdicts[customer] = ("related_likelier", best)
    shelves = _best_sellers([int(beside.id[best]) for _why, best in verdicts.values() if best is not None], at)
    found = {one: Decision(one, "offer", product_id, "not_profiled", model_version=version) for one in ids}
    base = model.base
    for place, customer in enumerate(known.customer.tolist()):
        why, wanted = verdicts[customer]
        category = None if wanted is None else int(beside.id[wanted])
        related = None if category is None else next((one for one in shelves.get(category, ()) if one != product_id and one not in had.get(customer, ())), None)
        found[customer] = Decision(
            customer_id=customer,
            kind="related" if related is not None else "offer",
            product_id=product_id if related is None else related,
            why=why,
            probability=float(chances[place, own]),
            usual=float(usual),
            base=base,
            likelier_category_id=category,
            reasons=_reasons(model, known, place, own) if with_reasons else (),
            model_version=version,
        )
    return found


@dataclass(frozen=True, slots=True)
class Likely:
    """One category with the chance that the customer buys from it within 30 days, and why."""

    category_id: int
    probability: float
    usual: float
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Likelihoods:
    """likely: most likely first.  version: 0 where no network serves or the customer refuses to be profiled."""

    likely: tuple[Likely, ...]
    horizon_days: int
    version: int


def for_customer_page(*, customer_id: int, at: datetime, limit: int = 4) -> Likelihoods:
    """Return the categories a customer is likeliest to buy from within a month, with reasons. Six queries."""
    serving = _serving()
    if serving is None:
        return Likelihoods((), purchase.HORIZON_DAYS, 0)
    model, version = serving
    who = purchase.people(as_of=at, only=[customer_id])
    if not who or not len(model.categories):
        return Likelihoods((), purchase.HORIZON_DAYS, 0)
    known = purchase.grid(who=who, of=model.categories, as_of=at, sensitive=model.sensitive)
    chances, usual = _chances(model, known)[0], model.usual(model.categories)
    best = np.argsort(-chances, kind="stable")[:limit]
    likely = tuple(Likely(int(model.categories.id[one]), float(chances[one]), float(usual[one]), _reasons(model, known, 0, int(one))) for one in best.tolist())
    return Likelihoods(likely, purchase.HORIZON_DAYS, version)


def _serving() -> tuple[PurchaseModel, int] | None:
    """Return the network that serves with its version, or None: none does, or traits it uses were turned off since."""
    try:
        model = modelstore.build("purchase", purchase_model)
    except (modelstore.ModelMissing, modelstore.ModelCorrupt, modelstore.ModelIncompatible):
        return None
    if model.sensitive and not settings.CRM_SENSITIVE_TRAITS:
        return None
    return model, model.version


def _chances(model: PurchaseModel, known: purchase.Grid) -> NDArray[np.float64]:
    """Return the probability of buying, (n, k)."""
    found, _chance = posterior(model.network, purchase.BUYS, known.rows())
    return found[:, 1].reshape(known.codes.shape[:2])


def _reasons(model: PurchaseModel, known: purchase.Grid, customer: int, category: int) -> tuple[Reason, ...]:
    told = explain(model.network, purchase.BUYS, 1, np.append(UNKNOWN, known.codes[customer, category]))
    return tuple(Reason(one.variable, one.value, one.effect, one.without) for one in told.influences)


def _had(customer_ids: Sequence[int], at: datetime) -> dict[int, set[int]]:
    """Return the products each customer bought lately. One query."""
    since = at - timedelta(days=JUST_BOUGHT_DAYS)
    rows = (
        OrderLine.objects.filter(order__customer_id__in=customer_ids, order__placed_at__gt=since, order__placed_at__lte=at)
        .exclude(order__status="cancelled")
        .order_by()
        .values_list("order__customer_id", "product_id")
    )
    found: dict[int, set[int]] = {}
    for customer, product in rows:
        found.setdefault(customer, set()).add(product)
    return found


def _best_sellers(category_ids: Sequence[int], at: datetime) -> dict[int, list[int]]:
    """Return the products of these categories that sell best just now, some per category. One query, none for none."""
    if not category_ids:
        return {}
    recent = Q(order_lines__order__placed_at__gte=at - timedelta(days=POPULAR_DAYS), order_lines__order__placed_at__lt=at)
    rows = (
        Product.objects.filter(category_id__in=set(category_ids), is_available=True, is_goods=True)
        .annotate(sold=Count("order_lines", filter=recent & ~Q(order_lines__order__status="cancelled")))
        .order_by("category_id", "-sold", "pk")
        .values_list("category_id", "pk")
    )
    found: dict[int, list[int]] = {}
    for category, product in rows:
        shelf = found.setdefault(category, [])
        if len(shelf) < _SPARE:
            shelf.append(product)
    return found
