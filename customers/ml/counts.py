"""How many orders a horizon brings: expectation, spread and interval, shared by the three order models.

A model says what happens if the customer is still active, which depends on (x, T) alone and is computed once per distinct
pair; each customer's own probability of being active is mixed in afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Tails below this add nothing to mean and spread that a reader could see.
LEAST_TAIL = 1e-4


@dataclass(frozen=True, slots=True)
class CountForecast:
    """Orders of one horizon per customer, all (n,).

    mean: expected number.  squared: expected square.  any: probability of at least one.  low, high: whole numbers that
    hold the count with the asked probability.
    """

    mean: Floats
    squared: Floats
    any: Floats
    low: Floats
    high: Floats


def count_forecast(
    *,
    mean: Floats,
    tail: Callable[[int, NDArray[np.int64]], Floats],
    place: NDArray[np.int64],
    active: Floats,
    level: float,
    most: int,
) -> CountForecast:
    """Return the forecast of every customer.

    mean: (g,) expected orders of each distinct history if active.  tail(k, rows): P(orders >= k | active) of those
    distinct histories.  place: (n,) the distinct history of each customer.  active: (n,) probability of being active.
    most: no count above it: the horizon's days, as several orders of one day are one.
    """
    above_low, above_high = (1 + level) / 2, (1 - level) / 2
    first, second, any_order = np.zeros(len(mean)), np.zeros(len(mean)), np.zeros(len(mean))
    low, high = np.zeros(len(place)), np.zeros(len(place))
    open_rows, open_customers = np.arange(len(mean)), np.arange(len(place))
    tails, k = np.zeros(len(mean)), 1
    # Nearly all customers leave after three rounds, a wholesaler after 300.
    while len(open_rows) and k <= most:
        tails[:] = 0.0
        tails[open_rows] = tail(k, open_rows)
        if k == 1:
            any_order = tails.copy()
        first += tails
        second += (2 * k - 1) * tails
        here = active[open_customers] * tails[place[open_customers]]
        low[open_customers[here > above_low]] = k
        going_on = here > above_high
        open_customers = open_customers[going_on]
        high[open_customers] = k
        open_rows = open_rows[tails[open_rows] > LEAST_TAIL]
        k += 1
    # What was cut off the tails is put back in proportion, so that mean and square belong together.
    second *= np.where(first > 0, mean / np.maximum(first, 1e-300), 1.0)
    return CountForecast(mean=active * mean[place], squared=active * second[place], any=active * any_order[place], low=low, high=high)
