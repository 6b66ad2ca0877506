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
    hold the count with at least the asked probability, and the mean: the shorter of the interval of equal tails and the
    one from 0 up.  Most customers order nothing most of the time, and a tail below 0 would be probability given away.
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
    above_low, above_high, above_short = (1 + level) / 2, (1 - level) / 2, 1 - level
    first, second, any_order = np.zeros(len(mean)), np.zeros(len(mean)), np.zeros(len(mean))
    low, high, short = np.zeros(len(place)), np.zeros(len(place)), np.zeros(len(place))
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
        short[open_customers[here > above_short]] = k
        going_on = here > above_high
        open_customers = open_customers[going_on]
        high[open_customers] = k
        open_rows = open_rows[tails[open_rows] > LEAST_TAIL]
        k += 1
    # What was cut off the tails is put back in proportion, so that mean and square belong together.
    second *= np.where(first > 0, mean / np.maximum(first, 1e-300), 1.0)
    from_zero = short <= high - low
    low, high = np.where(from_zero, 0.0, low), np.where(from_zero, short, high)
    # A rare wholesaler among many silent customers lifts the mean above the end: an expectation outside its own interval
    # would tell nobody anything.
    expected = active * mean[place]
    low, high = np.minimum(low, np.floor(expected)), np.maximum(high, np.ceil(expected - 1e-9))
    # A horizon of a few days cuts counts off at its days, but not the mean.
    squared = np.maximum(active * second[place], expected**2)
    return CountForecast(mean=expected, squared=squared, any=active * any_order[place], low=low, high=high)
