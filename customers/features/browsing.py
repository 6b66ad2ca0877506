"""Features of browsing: looks, baskets, searches, days active. Per customer and category of the product in one query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from django.utils.translation import gettext_lazy as _

from customers.features import streams
from customers.features.groups import Groups
from customers.features.table import Feature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from customers.features.builder import Context
    from customers.features.scope import Scope
    from customers.features.table import Columns

    Floats = NDArray[np.float64]

# Older browsing says nothing more of what somebody wants now.
LONGEST_DAYS = 365
# Days of activity are bits of one bigint, newest lowest, so that days in common between categories count once.
ACTIVE_DAYS = 60

FEATURES = (
    Feature("seen_days", _("Days since the last visit"), "days", "browsing"),
    Feature("events_30", _("Things done on the site in 30 days"), "count", "browsing"),
    Feature("events_90", _("Things done on the site in 90 days"), "count", "browsing"),
    Feature("active_days_30", _("Days active in 30 days"), "count", "browsing"),
    Feature("active_days_60", _("Days active in 60 days"), "count", "browsing"),
    Feature("views_7", _("Products looked at in 7 days"), "count", "browsing"),
    Feature("views_30", _("Products looked at in 30 days"), "count", "browsing"),
    Feature("views_90", _("Products looked at in 90 days"), "count", "browsing"),
    Feature("view_days", _("Days since a product was looked at"), "days", "browsing"),
    Feature("baskets_30", _("Put into the basket in 30 days"), "count", "browsing"),
    Feature("baskets_90", _("Put into the basket in 90 days"), "count", "browsing"),
    Feature("basket_days", _("Days since something was put into the basket"), "days", "browsing"),
    Feature("checkouts_90", _("Checkouts begun in 90 days"), "count", "browsing"),
    Feature("searches_90", _("Searches in 90 days"), "count", "browsing"),
    Feature("wishes_365", _("Put on the wish list in a year"), "count", "browsing"),
    Feature("viewed_categories", _("Categories looked at in 90 days"), "count", "browsing"),
)

# Events by number, joined by name once: comparing texts in every filter below took half of the statement's time.
_KINDS = "(VALUES ('Product Viewed', 1), ('Product Clicked', 1), ('Product Added', 2), ('Checkout Started', 3), ('Products Searched', 4), ('Product Added to Wishlist', 5))"
_SQL = f"""
    SELECT a.customer_id AS customer, coalesce(p.category_id, 0) AS category, a.product_id IS NOT NULL AS of_product,
           max(a.occurred_at) AS at,
           max(a.occurred_at) FILTER (WHERE k.code = 1) AS viewed_at,
           max(a.occurred_at) FILTER (WHERE k.code = 2) AS basket_at,
           bit_or(1::bigint << least(floor(date_part('epoch', %(as_of)s::timestamptz - a.occurred_at) / 86400), {ACTIVE_DAYS})::int) AS active,
           count(*) FILTER (WHERE a.occurred_at > %(since_30)s) AS events_30,
           count(*) FILTER (WHERE a.occurred_at > %(since_90)s) AS events_90,
           count(*) FILTER (WHERE k.code = 1 AND a.occurred_at > %(since_7)s) AS views_7,
           count(*) FILTER (WHERE k.code = 1 AND a.occurred_at > %(since_30)s) AS views_30,
           count(*) FILTER (WHERE k.code = 1 AND a.occurred_at > %(since_90)s) AS views_90,
           count(*) FILTER (WHERE k.code = 2 AND a.occurred_at > %(since_30)s) AS baskets_30,
           count(*) FILTER (WHERE k.code = 2 AND a.occurred_at > %(since_90)s) AS baskets_90,
           count(*) FILTER (WHERE k.code = 3 AND a.occurred_at > %(since_90)s) AS checkouts_90,
           count(*) FILTER (WHERE k.code = 4 AND a.occurred_at > %(since_90)s) AS searches_90,
           count(*) FILTER (WHERE k.code = 5) AS wishes_365
    FROM customers_activity a LEFT JOIN customers_product p ON p.id = a.product_id LEFT JOIN {_KINDS} k(name, code) ON k.name = a.name
    WHERE {{who}} AND a.occurred_at <= %(as_of)s AND a.occurred_at > %(since)s AND a.kind IN ('track', 'page', 'screen')
    GROUP BY 1, 2, 3
"""  # noqa: S608 - our own words only
_COUNTS = ("events_30", "events_90", "views_7", "views_30", "views_90", "baskets_30", "baskets_90", "checkouts_90", "searches_90", "wishes_365")
_COLUMNS = {
    "customer": "i8", "category": "i8", "of_product": "i4", "at": "at", "viewed_at": "at", "basket_at": "at", "active": "i8", **dict.fromkeys(_COUNTS, "f8"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Browsing:
    """One row per customer and category looked at (0: none), by customer, most looked at first; counts (m,) by name."""

    place: NDArray[np.int64]
    category: NDArray[np.int64]
    of_product: NDArray[np.int32]
    at: Floats
    viewed_at: Floats
    basket_at: Floats
    active: NDArray[np.int64]
    counts: dict[str, Floats]

    def __len__(self) -> int:
        return len(self.place)


def read(scope: Scope, context: Context, customers: NDArray[np.int64]) -> Browsing:
    """Return what `customers` (ascending ids) did on the site in the last year; one query."""
    found = streams.read(_SQL.format(who=scope.where("a.customer_id")), {**scope.params, **context.since(LONGEST_DAYS)}, _COLUMNS)
    place, order = context.placed(customers, found["customer"], -found["views_90"], found["category"], found["of_product"])
    rest = {name: found[name][order] for name in ("category", "of_product", "at", "viewed_at", "basket_at", "active")}
    return Browsing(place=place, counts={name: found[name][order] for name in _COUNTS}, **rest)


def columns(browsing: Browsing, size: int, as_of: float) -> Columns:
    """Return the features of `size` customers. as_of: seconds since 1970."""
    each = Groups(browsing.place, size)
    active = each.either(browsing.active)
    totals = {name: each.sum(values) for name, values in browsing.counts.items()}
    looked = (browsing.of_product > 0) & (browsing.counts["views_90"] > 0)
    return {
        "seen_days": _age(each.largest(browsing.at), as_of),
        **totals,
        "active_days_30": _bits(active & ((1 << 30) - 1)),
        "active_days_60": _bits(active & ((1 << ACTIVE_DAYS) - 1)),
        "view_days": _age(each.largest(_known(browsing.viewed_at)), as_of),
        "basket_days": _age(each.largest(_known(browsing.basket_at)), as_of),
        "viewed_categories": each.sum(looked),
    }


def _known(at: Floats) -> Floats:
    return np.where(np.isfinite(at), at, -np.inf)


def _age(at: Floats, as_of: float) -> Floats:
    age = (as_of - at) / 86_400
    return np.where(np.isfinite(age), age, np.nan)


def _bits(mask: NDArray[np.int64]) -> Floats:
    """Return how many bits are set in each number."""
    octets = np.ascontiguousarray(mask).view(np.uint8).reshape(-1, 8)
    counted: Floats = np.unpackbits(octets, axis=1).sum(axis=1).astype(float)
    return counted
