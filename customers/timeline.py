"""One chronological history of a customer: the record's own facts merged with what other apps contribute."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import get_language, gettext_lazy, ngettext, pgettext_lazy
from django.utils.translation import gettext as _

from crm.core.registries import TimelineEntry, timeline_sources
from customers import return_reasons
from customers.models import Activity, ConsentEntry, Order, OrderLine, Return, Review
from customers.models.activity import ActivityKind

PER_PAGE = 40
# Names of an order's products that are printed; the rest is a number.
NAMES_SHOWN = 3
Entries = Callable[[int, datetime, int], Sequence[TimelineEntry]]


@dataclass(frozen=True, slots=True)
class Day:
    """The entries of one day in the team's zone, newest first."""

    date: datetime
    entries: tuple[TimelineEntry, ...]


@dataclass(frozen=True, slots=True)
class History:
    """A stretch of the timeline. earlier: pass as `before` for the next stretch, None at the beginning of the story."""

    days: tuple[Day, ...]
    earlier: datetime | None

    @property
    def count(self) -> int:
        return sum(len(day.entries) for day in self.days)


def kinds() -> list[tuple[str, str | Promise]]:
    """Return (name, label) of every kind of entry there is."""
    return [*((name, label) for name, (label, _entries) in _OWN.items()), *((source.name, source.label) for source in timeline_sources.values())]


def history(*, customer_id: int, before: datetime, kind: str = "", limit: int = PER_PAGE) -> History:
    """Return the newest `limit` entries earlier than `before`, of one kind or of all; one query per source.

    Entries of the very same moment are never parted between two stretches, so a stretch may be a little longer.
    """
    sources: dict[str, Entries] = {name: entries for name, (_label, entries) in _OWN.items()}
    sources |= {source.name: source.entries for source in timeline_sources.values()}
    asked = [sources[kind]] if kind in sources else list(sources.values())
    # One more than is shown tells whether there is anything earlier.
    streams = [entries(customer_id, before, limit + 1) for entries in asked]
    merged = list(heapq.merge(*streams, key=lambda entry: entry.at, reverse=True))
    end = min(limit, len(merged))
    while 0 < end < len(merged) and merged[end].at == merged[end - 1].at:
        end += 1
    shown = merged[:end]
    # Asked for one kind, a reader wants every line of it with its time.
    return History(days=_by_day(shown if kind in sources else _joined(shown)), earlier=shown[-1].at if end < len(merged) else None)


def _joined(entries: Sequence[TimelineEntry]) -> list[TimelineEntry]:
    """Return the entries with a run of equal visits told in one line: ten products looked at in a row are one thing that happened."""
    told: list[TimelineEntry] = []
    for _same, run in groupby(enumerate(entries), key=lambda pair: _run(*pair)):
        of_run = [entry for _place, entry in run]
        details = list(dict.fromkeys(entry.detail for entry in of_run if entry.detail))
        told.append(of_run[0] if len(of_run) == 1 else replace(of_run[0], detail=_first_few(details)))
    return told


def _run(place: int, entry: TimelineEntry) -> tuple[object, ...]:
    """Return what entries of one run share; anything but a visit is a run of its own."""
    return (str(entry.title), timezone.localtime(entry.at).date()) if entry.kind == "activity" else (place,)


def _by_day(entries: Sequence[TimelineEntry]) -> tuple[Day, ...]:
    days: list[tuple[datetime, list[TimelineEntry]]] = []
    for entry in entries:
        local = timezone.localtime(entry.at)
        if not days or days[-1][0].date() != local.date():
            days.append((local, []))
        days[-1][1].append(entry)
    return tuple(Day(date, tuple(of_day)) for date, of_day in days)


def _orders(customer_id: int, before: datetime, limit: int) -> list[TimelineEntry]:
    lines = OrderLine.objects.filter(order_id=OuterRef("pk"), product__is_goods=True).order_by("position", "id")
    found = (
        Order.objects.filter(customer_id=customer_id, placed_at__lt=before)
        .annotate(own_names=ArraySubquery(lines.values("product__name")), all_names=ArraySubquery(lines.values("product__names")))
        .order_by("-placed_at", "-id")[:limit]
    )
    return [
        TimelineEntry(
            at=order.placed_at,
            kind="orders",
            icon="shopping-bag",
            title=_("Order %(number)s") % {"number": order.external_id}
            if order.status != "cancelled"
            else _("Order %(number)s, cancelled") % {"number": order.external_id},
            detail=_names(order.own_names, order.all_names),
            amount=order.total_amount,
            currency=order.currency,
        )
        for order in found
    ]


def _names(own: Sequence[str], translated: Sequence[dict[str, str]]) -> str:
    language = get_language() or "en"
    return _first_few([str(names.get(language) or name) for name, names in zip(own, translated, strict=True)])


def _first_few(names: Sequence[str]) -> str:
    more = len(names) - NAMES_SHOWN
    shown = _(", ").join(names[:NAMES_SHOWN])
    if more <= 0:
        return shown
    return ngettext("%(names)s and %(more)s more", "%(names)s and %(more)s more", more) % {"names": shown, "more": more}


def _returns(customer_id: int, before: datetime, limit: int) -> list[TimelineEntry]:
    found = Return.objects.filter(customer_id=customer_id, returned_at__lt=before).order_by("-returned_at", "-id")[:limit]
    return [
        TimelineEntry(
            at=each.returned_at,
            kind="returns",
            icon="arrow-uturn-left",
            title=_("Return %(number)s") % {"number": each.external_id},
            detail=return_reasons.named(each.reason),
            amount=each.total_amount,
            currency=each.currency,
        )
        for each in found
    ]


# Shop events people recognise; anything else is printed under its own name.
_EVENTS = {
    "Product Viewed": ("eye", gettext_lazy("Viewed a product")),
    "Product List Viewed": ("eye", gettext_lazy("Viewed a list of products")),
    "Product Clicked": ("cursor-arrow-rays", gettext_lazy("Clicked a product")),
    "Products Searched": ("magnifying-glass", gettext_lazy("Searched")),
    "Product Added": ("shopping-cart", gettext_lazy("Added to the cart")),
    "Product Removed": ("shopping-cart", gettext_lazy("Removed from the cart")),
    "Cart Viewed": ("shopping-cart", gettext_lazy("Looked at the cart")),
    "Checkout Started": ("credit-card", gettext_lazy("Started a checkout")),
    "Product Added to Wishlist": ("heart", gettext_lazy("Added to the wish list")),
    "Coupon Entered": ("ticket", gettext_lazy("Entered a coupon")),
}
# Told by rows of their own on this page.
_TOLD_ELSEWHERE = ("Order Completed", "Order Refunded", "Order Cancelled", "Order Updated", "Product Reviewed")


def _activity(customer_id: int, before: datetime, limit: int) -> list[TimelineEntry]:
    found = (
        Activity.objects.filter(customer_id=customer_id, occurred_at__lt=before, kind__in=(ActivityKind.TRACK, ActivityKind.PAGE, ActivityKind.SCREEN))
        .exclude(name__in=_TOLD_ELSEWHERE)
        .select_related("product")
        .defer("context")
        .order_by("-occurred_at", "-id")[:limit]
    )
    return [_activity_entry(each) for each in found]


def _activity_entry(activity: Activity) -> TimelineEntry:
    if activity.kind == ActivityKind.TRACK:
        icon, title = _EVENTS.get(activity.name, ("bolt", activity.name))
    else:
        icon, title = "document-text", _("Visited a page")
    detail = activity.product.name_in(get_language() or "en") if activity.product else _told(activity)
    return TimelineEntry(at=activity.occurred_at, kind="activity", icon=icon, title=title, detail=detail)


def _told(activity: Activity) -> str:
    properties: dict[str, Any] = activity.properties if isinstance(activity.properties, dict) else {}
    for name in ("query", "category", "coupon", "title", "path", "name"):
        if isinstance(value := properties.get(name), str) and value:
            return value[:200]
    return activity.name if activity.kind != ActivityKind.TRACK else ""


def _reviews(customer_id: int, before: datetime, limit: int) -> list[TimelineEntry]:
    found = Review.objects.filter(customer_id=customer_id, written_at__lt=before).select_related("product").order_by("-written_at", "-id")[:limit]
    return [
        TimelineEntry(
            at=review.written_at,
            kind="reviews",
            icon="star",
            title=_("Review of %(product)s: %(stars)s of 5 stars") % {"product": review.product.name_in(get_language() or "en"), "stars": review.rating}
            if review.rating
            else _("Review of %(product)s") % {"product": review.product.name_in(get_language() or "en")},
            detail=review.body[:500],
        )
        for review in found
    ]


def _consents(customer_id: int, before: datetime, limit: int) -> list[TimelineEntry]:
    found = ConsentEntry.objects.filter(customer_id=customer_id, recorded_at__lt=before).order_by("-recorded_at", "-id")[:limit]
    return [
        TimelineEntry(
            at=entry.recorded_at,
            kind="consents",
            icon="shield-check" if entry.state == "granted" else "shield-exclamation",
            title=_("%(channel)s, %(purpose)s: %(state)s")
            % {"channel": entry.get_channel_display(), "purpose": entry.get_purpose_display(), "state": entry.get_state_display()},
            detail=_("from: %(origin)s") % {"origin": _origin(entry.origin)},
        )
        for entry in found
    ]


# Where statements come from, as ingest, imports, links and pages write it.
_ORIGINS = {
    "identify": pgettext_lazy("consent origin", "the shop"),
    "import": pgettext_lazy("consent origin", "an import"),
    "staff": pgettext_lazy("consent origin", "a member of staff"),
    "unsubscribe link": pgettext_lazy("consent origin", "an unsubscribe link"),
    "preferences page": pgettext_lazy("consent origin", "the preferences page"),
}


def _origin(origin: str) -> str:
    return str(_ORIGINS.get(origin, origin))


_OWN: dict[str, tuple[str | Promise, Entries]] = {
    "orders": (gettext_lazy("Orders"), _orders),
    "returns": (gettext_lazy("Returns"), _returns),
    "activity": (gettext_lazy("Activity"), _activity),
    "reviews": (gettext_lazy("Reviews"), _reviews),
    "consents": (gettext_lazy("Consents"), _consents),
}

# A stretch that begins "now" must include what carries this very moment.
JUST_AFTER = timedelta(microseconds=1)
