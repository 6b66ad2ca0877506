"""Order rows summed up per customer: the few numbers that the value models need. Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

# The spans, in days before the as-of day, over which recent orders and amounts are kept.
RECENT_DAYS = (30, 60, 90, 180)


@dataclass(frozen=True, slots=True)
class OrderHistory:
    """One row per customer with at least one order up to the as-of day.

    customer: (n,) int, the caller's customer index, ascending.
    orders: (n,) days with an order.  frequency: orders - 1.
    recency_days, age_days: (n,) days from the first order to the last one and to the as-of day.
    total_amount: (n,) all spend, refunds deducted, never negative.  mean_amount: (n,) the same per day with an order.
    repeat_amount: (n,) the same without the first day, 0 where there is none (what the gamma-gamma paper uses).
    last_amount, largest_amount: (n,) of one day with an order.
    recent_orders, recent_amount: (n, 4) within the last RECENT_DAYS.
    as_of_day: the end of the observed period, on the scale of the days given.
    """

    customer: NDArray[np.int64]
    orders: Floats
    recency_days: Floats
    age_days: Floats
    total_amount: Floats
    mean_amount: Floats
    repeat_amount: Floats
    last_amount: Floats
    largest_amount: Floats
    recent_orders: Floats
    recent_amount: Floats
    as_of_day: float

    @property
    def frequency(self) -> Floats:
        return self.orders - 1

    @property
    def silence_days(self) -> Floats:
        """Days since the last order."""
        return self.age_days - self.recency_days

    @property
    def columns(self) -> tuple[Floats, Floats, Floats]:
        """What an order model is asked with: frequency, recency, age."""
        return self.frequency, self.recency_days, self.age_days

    def __len__(self) -> int:
        return len(self.customer)


def summarise_orders(customer: ArrayLike, day: ArrayLike, amount: ArrayLike, *, as_of_day: float) -> OrderHistory:
    """Return one row per customer from one row per order; several orders on one day count as one, as in the papers.

    customer: (m,) int.  day: (m,) whole days from any fixed origin.  amount: (m,) net amount, in one currency; a
    negative one is a refund: it lowers the customer's amounts and is no order.  An amount that is no number counts as 0.
    as_of_day: the end of the observed period on the same scale; rows after it are refused by ValueError, because a
    later row in a training set is a leak the caller must know of.
    """
    who, when, money = np.asarray(customer, dtype=np.int64), np.asarray(day), np.asarray(amount, dtype=float)
    when = np.floor(when.astype(float)).astype(np.int64)
    if len(when) and when.max() > as_of_day:
        raise ValueError("an order lies after the as-of day")
    money = np.where(np.isfinite(money), money, 0.0)
    refunds = money < 0
    refunded_who, refunded = who[refunds], money[refunds]
    who, when, money = _by_day(who[~refunds], when[~refunds], money[~refunds])
    customers, first, counts = np.unique(who, return_index=True, return_counts=True)
    last = first + counts - 1
    number = len(customers)
    earned = np.add.reduceat(money, first) if number else np.zeros(0)
    place = np.searchsorted(customers, refunded_who)
    known = (place < number) & (customers[np.minimum(place, max(number - 1, 0))] == refunded_who) if number else np.zeros(len(place), dtype=bool)
    back = np.bincount(place[known], weights=refunded[known], minlength=number)
    total = np.maximum(earned + back, 0.0)
    # Which order a refund belongs to is not known: all of the customer's amounts shrink alike.
    kept = np.where(earned > 0, total / np.where(earned > 0, earned, 1.0), 1.0)
    repeats = counts - 1
    row_of = np.repeat(np.arange(number), counts)
    recent_orders, recent_amount = np.zeros((number, len(RECENT_DAYS))), np.zeros((number, len(RECENT_DAYS)))
    for column, days in enumerate(RECENT_DAYS):
        recent = when > as_of_day - days
        recent_orders[:, column] = np.bincount(row_of[recent], minlength=number)
        recent_amount[:, column] = np.bincount(row_of[recent], weights=money[recent], minlength=number) * kept
    return OrderHistory(
        customer=customers,
        orders=counts.astype(float),
        recency_days=(when[last] - when[first]).astype(float),
        age_days=(as_of_day - when[first]).astype(float),
        total_amount=total,
        mean_amount=total / np.maximum(counts, 1),
        repeat_amount=np.where(repeats > 0, (earned - money[first]) * kept / np.maximum(repeats, 1), 0.0),
        last_amount=money[last] * kept,
        largest_amount=(np.maximum.reduceat(money, first) if number else np.zeros(0)) * kept,
        recent_orders=recent_orders,
        recent_amount=recent_amount,
        as_of_day=float(as_of_day),
    )


def _by_day(who: NDArray[np.int64], when: NDArray[np.int64], money: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Return the rows by customer and day, one per day, amounts summed."""
    if not len(who):
        return who, when, money
    order = np.lexsort((when, who))
    who, when, money = who[order], when[order], money[order]
    new_day = np.ones(len(who), dtype=bool)
    new_day[1:] = (who[1:] != who[:-1]) | (when[1:] != when[:-1])
    starts = np.flatnonzero(new_day)
    return who[starts], when[starts], np.add.reduceat(money, starts)
