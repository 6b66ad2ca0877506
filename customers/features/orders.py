"""Features of orders: how often, how lately, how much, how regularly, at which hours, with which discounts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from customers.features import streams
from customers.features.groups import Groups, share
from customers.features.table import Feature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from customers.features.builder import Context
    from customers.features.scope import Scope
    from customers.features.table import Columns

    Floats = NDArray[np.float64]

SECONDS_A_DAY = 86_400
WINDOWS = (30, 90, 180, 365)

FEATURES = (
    Feature("order_days", _("Days with an order"), "count", "orders"),
    Feature("orders", _("Orders"), "count", "orders"),
    Feature("age_days", _("Days since the first order"), "days", "orders"),
    Feature("silence_days", _("Days since the last order"), "days", "orders"),
    Feature("mean_gap_days", _("Usual days between orders"), "days", "orders"),
    Feature("last_gap_days", _("Days between the last two orders"), "days", "orders"),
    Feature("gap_spread", _("How irregular the days between orders are"), "rate", "orders"),
    Feature("overdue", _("Silence as a multiple of the usual days between orders"), "rate", "orders"),
    Feature("orders_30", _("Orders in the last 30 days"), "count", "orders"),
    Feature("orders_90", _("Orders in the last 90 days"), "count", "orders"),
    Feature("orders_180", _("Orders in the last 180 days"), "count", "orders"),
    Feature("orders_365", _("Orders in the last 365 days"), "count", "orders"),
    Feature("spend_total", _("Spent in all"), "money", "orders"),
    Feature("spend_90", _("Spent in the last 90 days"), "money", "orders"),
    Feature("spend_365", _("Spent in the last 365 days"), "money", "orders"),
    Feature("mean_amount", _("Spent per order"), "money", "orders"),
    Feature("last_amount", _("Spent in the last order"), "money", "orders"),
    Feature("largest_amount", _("Largest order"), "money", "orders"),
    Feature("amount_trend", _("Last order against the usual one"), "rate", "orders"),
    Feature("discount_share", _("Share of the price saved by discounts"), "share", "orders"),
    Feature("discounted_orders", _("Share of orders with a discount"), "share", "orders"),
    Feature("coupon_orders", _("Share of orders with a coupon"), "share", "orders"),
    Feature("weekend_orders", _("Share of orders on a weekend"), "share", "orders"),
    Feature("evening_orders", _("Share of orders in the evening"), "share", "orders"),
    Feature("night_orders", _("Share of orders at night"), "share", "orders"),
    Feature("channels", _("Shops and sites ordered from"), "count", "orders"),
)

# Hours where the part of the day begins: night 0, morning 5, midday 11, afternoon 14, evening 18, night 23.
DAYPARTS = ("night", "morning", "midday", "afternoon", "evening")
DAYPART_OF_HOUR = np.array([0] * 5 + [1] * 6 + [2] * 3 + [3] * 4 + [4] * 5 + [0])

_SQL = """
    SELECT o.customer_id AS customer, o.id AS number, o.placed_at AS at,
           greatest(o.total_amount - coalesce(back.amount, 0), 0) * {factor} AS amount,
           greatest(o.total_amount, 0) * {factor} AS gross, greatest(o.discount_amount, 0) * {factor} AS discount,
           (o.coupon <> '')::int AS coupon, o.source_id AS source
    FROM customers_order o
    {currency}
    LEFT JOIN (
        SELECT order_id, sum(total_amount) AS amount FROM customers_return
        WHERE order_id IS NOT NULL AND returned_at <= %(as_of)s AND (({returner}) OR customer_id IS NULL) GROUP BY order_id
    ) back ON back.order_id = o.id
    WHERE {who} AND o.placed_at <= %(as_of)s AND o.status <> 'cancelled'
"""
_COLUMNS = {
    "customer": "i8", "number": "i8", "at": "at", "amount": "f8", "gross": "f8", "discount": "f8", "coupon": "i4", "source": "i8",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Orders:
    """One row per order, by customer and time; m rows.

    place: (m,) the customer's position among those asked for.  customer: (m,) ids.  day: (m,) UTC days since 1970.
    at: (m,) seconds since 1970.  amount: (m,) net of what came back.  gross, discount: (m,).  All money in the main currency.
    source: (m,) where it was ordered.  hour, weekday: (m,) in the shop's time zone, weekday 1 Monday to 7 Sunday.
    """

    place: NDArray[np.int64]
    customer: NDArray[np.int64]
    day: NDArray[np.int64]
    at: Floats
    amount: Floats
    gross: Floats
    discount: Floats
    coupon: NDArray[np.int32]
    source: NDArray[np.int64]
    hour: NDArray[np.int32]
    weekday: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.customer)


def read(scope: Scope, context: Context, customers: NDArray[np.int64]) -> Orders:
    """Return the orders of `customers` (ascending ids) up to the scope's moment; one query."""
    factor, currency = context.conversion("o")
    sql = _SQL.format(factor=factor, currency=currency, who=scope.where("o.customer_id"), returner=scope.where("customer_id"))
    found = streams.read(sql, {**scope.params, **context.params}, _COLUMNS)
    place = np.searchsorted(customers, found["customer"])
    known = (place < len(customers)) & (customers[np.minimum(place, len(customers) - 1)] == found["customer"]) if len(customers) else np.zeros(0, dtype=bool)
    order = np.flatnonzero(known)
    order = order[np.lexsort((found["number"][order], found["at"][order], found["customer"][order]))]
    taken = {name: values[order] for name, values in found.items() if name != "number"}
    hour, weekday = local_time(taken["at"], settings.TIME_ZONE)
    return Orders(place=place[order], day=(taken["at"] // SECONDS_A_DAY).astype(np.int64), hour=hour, weekday=weekday, **taken)


def local_time(at: Floats, zone: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return (hour 0-23, weekday 1 Monday to 7 Sunday) of moments in a time zone, both (m,). at: seconds since 1970.

    Asked once per quarter of an hour that occurs: offsets change on those, and SQL takes 0.7 µs per row.
    """
    quarters, place = np.unique((at // 900).astype(np.int64), return_inverse=True)
    there = ZoneInfo(zone)
    offset = np.array([datetime.fromtimestamp(quarter * 900, there).utcoffset().total_seconds() for quarter in quarters.tolist()])  # type: ignore[union-attr]
    local = (at + offset[place] if len(at) else at).astype(np.int64)
    return (local // 3600 % 24).astype(np.int32), ((local // SECONDS_A_DAY + 3) % 7 + 1).astype(np.int32)


def columns(orders: Orders, size: int, as_of: float) -> Columns:
    """Return the features of `size` customers. as_of: seconds since 1970."""
    today = int(as_of // SECONDS_A_DAY)
    each = Groups(orders.place, size)
    count = each.count
    new_day = np.ones(len(orders), dtype=bool)
    new_day[1:] = (orders.place[1:] != orders.place[:-1]) | (orders.day[1:] != orders.day[:-1])
    days = Groups(orders.place[new_day], size)
    day = orders.day[new_day]
    gaps = _gaps(orders.place[new_day], day, size)
    silence = today - days.last(day)
    total = each.sum(orders.amount)
    mean = share(total, days.count)
    last = each.last(orders.amount)
    recent = {window: orders.day > today - window for window in WINDOWS}
    made: Columns = {
        "order_days": days.count,
        "orders": count,
        "age_days": today - days.first(day),
        "silence_days": silence,
        **gaps,
        "overdue": share(silence, gaps["mean_gap_days"]),
        **{f"orders_{window}": each.sum(inside) for window, inside in recent.items()},
        "spend_total": total,
        **{f"spend_{window}": each.sum(orders.amount * recent[window]) for window in (90, 365)},
        "mean_amount": mean,
        "last_amount": last,
        "largest_amount": each.largest(orders.amount),
        "amount_trend": np.clip(share(last, mean), 0, 100),
        "discount_share": share(each.sum(orders.discount), each.sum(orders.gross + orders.discount)),
        "discounted_orders": each.mean(orders.discount > 0),
        "coupon_orders": each.mean(orders.coupon),
        "weekend_orders": each.mean(orders.weekday >= 6),
        "evening_orders": each.mean(DAYPART_OF_HOUR[orders.hour] == DAYPARTS.index("evening")),
        "night_orders": each.mean(DAYPART_OF_HOUR[orders.hour] == DAYPARTS.index("night")),
        "channels": _distinct(orders.place, orders.source, size),
    }
    return made


def _gaps(place: NDArray[np.int64], day: NDArray[np.int64], size: int) -> Columns:
    """Return mean, last and spread of the gaps between order days; the mean is geometric, as one long pause is no rhythm."""
    follows = np.zeros(len(place), dtype=bool)
    follows[1:] = place[1:] == place[:-1]
    gap = (day - np.roll(day, 1))[follows].astype(float)
    log = np.log(np.maximum(gap, 1.0))
    each = Groups(place[follows], size)
    mean = each.mean(log)
    variance = np.maximum(each.mean(log**2) - mean**2, 0.0)
    return {
        "mean_gap_days": np.exp(mean),
        "last_gap_days": each.last(gap),
        "gap_spread": np.where(each.count >= 2, np.sqrt(variance), np.nan),
    }


def _distinct(place: NDArray[np.int64], value: NDArray[np.int64], size: int) -> Floats:
    if not len(place):
        return np.zeros(size)
    values, which = np.unique(value, return_inverse=True)
    if len(values) == 1:
        return (np.bincount(place, minlength=size) > 0).astype(float)
    pairs = np.unique(place * len(values) + which)
    return np.bincount(pairs // len(values), minlength=size).astype(float)
