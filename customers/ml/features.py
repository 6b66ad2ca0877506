"""What the customer models are judged on: the orders of a held-out period beside the facts that came before it. Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crm.core.errors import CrmError
from customers.ml.value import OrderHistory, summarise_orders

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from customers.ml.dataset import OrderRows

    Floats = NDArray[np.float64]

# Days held back to judge a model; the horizon of "orders expected in 90 days".
HOLDOUT_DAYS = 90
# A young shop holds back a third of its life instead, but never less than this.
LEAST_HOLDOUT_DAYS = 14
# Fewer customers than this in the calibration period measure chance.
FEWEST_CUSTOMERS = 30


class TooFewOrders(CrmError):
    """The shop's history is too short or too small to judge a model on; the baseline keeps serving."""

    code = "too_few_orders"
    status = 422


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What each customer of a history did next; all (n,), in the order of `history`.

    days: length of the period that follows.  orders: days with an order.  spend: their amounts.
    last_orders, last_spend: the same over the period of equal length before it, which the simple baseline repeats.
    """

    history: OrderHistory
    days: int
    orders: Floats
    spend: Floats
    last_orders: Floats
    last_spend: Floats

    @property
    def bought_again(self) -> NDArray[np.bool_]:
        return self.orders > 0


def holdout_days(day: NDArray[np.int64], as_of_day: int) -> int:
    """Return how many of the last days to hold back. Raises TooFewOrders for a shop too young to judge anything."""
    if not len(day):
        raise TooFewOrders("There are no orders yet.")
    life = as_of_day - int(day.min())
    days = min(HOLDOUT_DAYS, life // 3)
    if days < LEAST_HOLDOUT_DAYS:
        raise TooFewOrders(f"The shop's orders span {life} days; {3 * LEAST_HOLDOUT_DAYS} are needed.", days=life)
    return days


def outcomes(known: OrderRows, whole: OrderRows, *, days: int) -> Outcomes:
    """Return what the customers of `known` did in the `days` after its as-of day, read from `whole`.

    known: the rows as they stood at the cut, so nothing later entered them.  Raises TooFewOrders.
    """
    cut = known.as_of_day
    history = summarise_orders(known.customer, known.day, known.amount, as_of_day=cut)
    if len(history) < FEWEST_CUSTOMERS:
        raise TooFewOrders(f"{len(history)} customers had ordered before the held-out period; {FEWEST_CUSTOMERS} are needed.", customers=len(history))
    later = (whole.day > cut) & (whole.day <= cut + days)
    before = known.day > cut - days
    orders, spend = _totals(history.customer, whole.customer[later], whole.day[later], whole.amount[later])
    last_orders, last_spend = _totals(history.customer, known.customer[before], known.day[before], known.amount[before])
    return Outcomes(history, days, orders, spend, last_orders, last_spend)


def _totals(customers: NDArray[np.int64], who: NDArray[np.int64], day: NDArray[np.int64], amount: Floats) -> tuple[Floats, Floats]:
    """Return order days and amounts per customer; rows of customers who are not asked for (newcomers) are left out."""
    place = np.searchsorted(customers, who)
    inside = (place < len(customers)) & (customers[np.minimum(place, len(customers) - 1)] == who)
    spend = np.bincount(place[inside], weights=amount[inside], minlength=len(customers)).astype(float)
    pairs = np.unique(np.column_stack([place[inside], day[inside]]), axis=0)
    return np.bincount(pairs[:, 0], minlength=len(customers)).astype(float), spend
