"""What a person likes, in words. Reads `Portrait.tastes` (customers/portrait/tastes.py); categories are named by one query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from crm.core import formats
from customers.models import Category, Portrait

MOST_CATEGORIES = 3
# A share of orders with a discount from which somebody counts as keen on discounts, and below which as indifferent.
KEEN, INDIFFERENT = 0.5, 0.2
DEAR, CHEAP = 0.67, 0.33


@dataclass(frozen=True, slots=True)
class Taste:
    """code: categories | price | discount | hours | channel.  text: the words.  detail: the figures behind them."""

    code: str
    label: str
    text: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Tastes:
    """from_browsing: nothing was bought yet, so these are read from looks alone."""

    lines: tuple[Taste, ...]
    from_browsing: bool = False


def tastes_of(row: Portrait) -> Tastes:
    """Return the tastes in words; what is not known is left out. One query where there are categories."""
    stored: Mapping[str, Any] = row.tastes if isinstance(row.tastes, Mapping) else {}
    lines = [_categories(stored.get("categories")), _price(stored.get("price_level")), _discount(stored.get("discount")), _hours(stored.get("hours"))]
    return Tastes(tuple(line for line in [*lines, _channel(stored.get("channel"))] if line), from_browsing=stored.get("from") == "browsing")


def _categories(found: Any) -> Taste | None:
    if not isinstance(found, Sequence) or isinstance(found, str):
        return None
    pairs = [(each[0], each[1]) for each in found if isinstance(each, list) and len(each) == 2 and all(isinstance(part, int | float) for part in each)]
    if not pairs:
        return None
    language = get_language() or "en"
    names = {category.pk: str(category.names.get(language) or category) for category in Category.objects.filter(pk__in=[key for key, _share in pairs])}
    told = [_("%(category)s (%(share)s)") % {"category": names[key], "share": formats.percent(share)} for key, share in pairs if key in names]
    return Taste("categories", _("Likes"), _(", ").join(told[:MOST_CATEGORIES])) if told else None


def _price(level: Any) -> Taste | None:
    if not isinstance(level, int | float):
        return None
    word = _("the dearer choices") if level >= DEAR else _("the cheaper choices") if level <= CHEAP else _("the middle of the range")
    detail = _("0 is the cheapest of their shelves, 100 the dearest: %(level)s") % {"level": formats.number(round(level * 100))}
    return Taste("price", _("Price"), word, detail)


def _discount(found: Any) -> Taste | None:
    if not isinstance(found, int | float):
        return None
    word = _("waits for discounts") if found >= KEEN else _("buys at full price") if found <= INDIFFERENT else _("likes a discount")
    return Taste("discount", _("Discounts"), word, _("%(share)s of orders with a discount") % {"share": formats.percent(found)})


def _hours(hours: Any) -> Taste | None:
    if not isinstance(hours, list) or len(hours) != 2 or not all(isinstance(hour, int) for hour in hours):
        return None
    return Taste("hours", _("Hours"), _("mostly between %(first)s and %(last)s") % {"first": _clock(hours[0]), "last": _clock(hours[1])})


def _clock(hour: int) -> str:
    return f"{hour % 24:02d}:00"


def _channel(channel: Any) -> Taste | None:
    return Taste("channel", _("Orders mostly through"), channel) if isinstance(channel, str) and channel else None
