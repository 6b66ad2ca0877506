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

_VIEW = "a.name IN ('Product Viewed', 'Product Clicked')"
_SQL = f"""
    SELECT a.customer_id AS customer, coalesce(p.category_id, 0) AS category, a.product_id IS NOT NULL AS of_product,
           extract(epoch FROM max(a.occurred_at)) AS at,
           extract(epoch FROM max(a.occurred_at) FILTER (WHERE {_VIEW})) AS viewed_at,
           extract(epoch FROM max(a.occurred_at) FILTER (WHERE a.name = 'Product Added')) AS basket_at,
           bit_or(1::bigint << least(extract(epoch FROM %(as_of)s::timestamptz - a.occurred_at)::bigint / 86400, {ACTIVE_DAYS})::int) AS active,
           count(*) FILTER (WHERE a.occurred_at > %(since_30)s) AS events_30,
           count(*) FILTER (WHERE a.occurred_at > %(since_90)s) AS events_90,
           count(*) FILTER (WHERE {_VIEW} AND a.occurred_at > %(since_7)s) AS views_7,
           count(*) FILTER (WHERE {_VIEW} AND a.occurred_at > %(since_30)s) AS views_30,
           count(*) FILTER (WHERE {_VIEW} AND a.occurred_at > %(since_90)s) AS views_90,
           count(*) FILTER (WHERE a.name = 'Product Added' AND a.occurred_at > %(since_30)s) AS baskets_30,
           count(*) FILTER (WHERE a.name = 'Product Added' AND a.occurred_at > %(since_90)s) AS baskets_90,
           count(*) FILTER (WHERE a.name = 'Checkout Started' AND a.occurred_at > %(since_90)s) AS checkouts_90,
           count(*) FILTER (WHERE a.name = 'Products Searched' AND a.occurred_at > %(since_90)s) AS searches_90,
           count(*) FILTER (WHERE a.name = 'Product Added to Wishlist') AS wishes_365
    FROM customers_activity a LEFT JOIN customers_product p ON p.id = a.product_id
    WHERE {{who}} AND a.occurred_at <= %(as_of)s AND a.occurred_at > %(since)s AND a.kind IN ('track', 'page', 'screen')
    GROUP BY 1, 2, 3
"""  # noqa: S608 - our own words only
_COUNTS = ("events_30", "events_90", "views_7", "views_30", "views_90", "baskets_30", "baskets_90", "checkouts_90", "searches_90", "wishes_365")
_COLUMNS = {
    "customer": "i8", "category": "i8", "of_product": "i4", "at": "f8", "viewed_at": "f8", "basket_at": "f8", "active": "i8", **dict.fromkeys(_COUNTS, "f8"),
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
