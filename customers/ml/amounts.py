"""The interval of what a customer will spend, from the number of orders and the amount of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from customers.ml.counts import CountForecast

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def total_interval(counts: CountForecast, amount: Floats, within: Floats, between: Floats, *, level: float) -> tuple[Floats, Floats]:
    """Return the ends of the interval that holds the horizon's spend with probability `level`, (n,) each.

    amount: (n,) expected amount of an order.  within: (n,) squared relative spread of one order about the customer's own
    mean.  between: (n,) squared relative uncertainty of that mean.

    As with counts, the shorter of the interval of equal tails and the one from 0 up; the expected spend lies within.
    Spend is 0 with probability 1 - P(any order); above 0 a gamma with the exact first two moments of the sum:
    E[S] = E[N] m and E[S^2] = m^2 (1 + between) (E[N^2] + within E[N]), its quantiles by Wilson & Hilferty (1931).
    Tests compare it with draws from the posterior: each end is right to two hundredths of probability.
    """
    any_order = np.maximum(counts.any, 1e-12)
    first = np.maximum(counts.mean / any_order, 1.0)
    second = np.maximum((1 + between) * (counts.squared + within * counts.mean) / any_order, first**2)
    # A ninth of the gamma's reciprocal shape; orders that are certain have none.
    ninth = np.maximum(second / first**2 - 1, 1e-12) / 9

    def quantile(probability: float) -> Floats:
        # The part of this probability that falls on customers who order at all.
        inside = (probability - (1 - counts.any)) / any_order
        some = (inside > 0) & (amount > 0)
        end: Floats = first * np.maximum(1 - ninth + ndtri(np.clip(inside, 1e-9, 1 - 1e-9)) * np.sqrt(ninth), 0.0) ** 3 * amount
        return np.where(some, end, 0.0)

    low, high, short = quantile((1 - level) / 2), quantile((1 + level) / 2), quantile(level)
    from_zero, expected = short <= high - low, counts.mean * amount
    return np.minimum(np.where(from_zero, 0.0, low), expected), np.maximum(np.where(from_zero, short, high), expected)
