"""What a person likes, in words. Reads `Portrait.tastes`; categories are named by one query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import get_language, pgettext
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
    lines = [_categories(stored.get("categories")), _price(stored, row), _discount(stored), _hours(stored), _channel(stored)]
    return Tastes(tuple(line for line in lines if line), from_browsing=stored.get("source", stored.get("from")) == "browsing")


def _categories(found: Any) -> Taste | None:
    if not isinstance(found, Sequence) or not found:
        return None
    pairs = [pair for each in found if (pair := _pair(each))][:MOST_CATEGORIES]
    ids = [key for key, _share in pairs if isinstance(key, int)]
    slugs = [key for key, _share in pairs if isinstance(key, str)]
    language = get_language() or "en"
    names: dict[int | str, str] = {}
    if ids or slugs:
        rows = Category.objects.filter(pk__in=ids) if ids else Category.objects.filter(slug__in=slugs)
        for category in rows:
            names[category.pk] = names[category.slug] = str(category.names.get(language) or category)
    told = [
        _("%(category)s (%(share)s)") % {"category": names.get(key, str(key)), "share": formats.percent(share)}
        if share is not None
        else names.get(key, str(key))
        for key, share in pairs
        if key in names or isinstance(key, str)
    ]
    return Taste("categories", _("Likes"), _(", ").join(told)) if told else None


def _pair(each: Any) -> tuple[int | str, float | None] | None:
    if isinstance(each, Mapping):
        key, share = each.get("id", each.get("category", each.get("slug"))), each.get("share")
    elif isinstance(each, Sequence) and not isinstance(each, str) and len(each) == 2:
        key, share = each
    else:
        key, share = each, None
    if not isinstance(key, int | str) or not key:
        return None
    return key, float(share) if isinstance(share, int | float) else None


def _price(stored: Mapping[str, Any], row: Portrait) -> Taste | None:
    level = stored.get("price_level")
    band = stored.get("price_band") or stored.get("price")
    detail = ""
    if isinstance(band, Sequence) and not isinstance(band, str) and len(band) == 2:
        low, high = (formats.money_compact(end, row.currency or None) for end in band)
        detail = _("mostly %(low)s to %(high)s apiece") % {"low": low, "high": high}
    if isinstance(level, int | float):
        word = _("the dearer choices") if level >= DEAR else _("the cheaper choices") if level <= CHEAP else _("the middle of the range")
        return Taste("price", _("Price"), word, detail or _("price level %(share)s of their shelves") % {"share": formats.percent(level)})
    return Taste("price", _("Price"), detail) if detail else None


def _discount(stored: Mapping[str, Any]) -> Taste | None:
    found = stored.get("discount_share", stored.get("discount"))
    if not isinstance(found, int | float):
        return None
    word = _("waits for discounts") if found >= KEEN else _("buys at full price") if found <= INDIFFERENT else _("likes a discount")
    return Taste("discount", _("Discounts"), word, _("%(share)s of orders with a discount") % {"share": formats.percent(found)})


def _hours(stored: Mapping[str, Any]) -> Taste | None:
    hours = stored.get("hours", stored.get("hour"))
    if isinstance(hours, Sequence) and not isinstance(hours, str) and len(hours) == 2 and all(isinstance(hour, int) for hour in hours):
        return Taste("hours", _("Hours"), _("mostly between %(first)s and %(last)s") % {"first": _clock(hours[0]), "last": _clock(hours[1])})
    if isinstance(hours, int | float):
        return Taste("hours", _("Hours"), _("mostly around %(hour)s") % {"hour": _clock(int(hours))})
    parts = {
        "night": pgettext("time of day", "at night"),
        "morning": pgettext("time of day", "in the morning"),
        "afternoon": pgettext("time of day", "in the afternoon"),
        "evening": pgettext("time of day", "in the evening"),
    }
    return Taste("hours", _("Hours"), parts[hours]) if isinstance(hours, str) and hours in parts else None


def _clock(hour: int) -> str:
    return f"{hour % 24:02d}:00"


def _channel(stored: Mapping[str, Any]) -> Taste | None:
    names = {
        "web": _("the web shop"),
        "email": _("e-mail"),
        "chat": _("the chat"),
        "app": _("the app"),
        "mobile": _("the phone"),
        "desktop": _("the computer"),
        "sms": _("text messages"),
    }
    channel = stored.get("channel")
    return Taste("channel", _("Reached best through"), names.get(channel, channel)) if isinstance(channel, str) and channel else None
