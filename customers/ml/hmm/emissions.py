"""How many orders a state brings in a period: three families over the same table of kinds of cells.

Every family has one rate per state, in orders per period.  The tables are tiny (one row per distinct count), so the
maximisation step costs nothing beside the recursions, whatever the number of customers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.special import gammaln, xlogy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Family = Literal["poisson", "negative binomial", "zero-inflated poisson"]
FAMILIES: tuple[Family, ...] = ("poisson", "negative binomial", "zero-inflated poisson")
# A state that never orders still gets this rate, so that one stray order cannot make a story impossible.
LEAST_RATE = 1e-5
# Bounds of the negative binomial's shape; above 1,000 it is a Poisson in all but name.
SHAPE_BOUNDS = (0.05, 1000.0)


@dataclass(frozen=True, slots=True)
class Emission:
    """rate: (k,) orders per period while the state is one that orders.  extra: the family's further parameter:
    nothing for the Poisson; one shape for all states of the negative binomial (variance = rate + rate²/shape);
    the share of periods without any order per state, (k,), for the zero-inflated Poisson.
    """

    family: Family
    rate: Floats
    extra: Floats

    @property
    def parameters(self) -> int:
        return len(self.rate) + len(self.extra)

    @property
    def mean(self) -> Floats:
        """(k,) expected orders per period."""
        return self.rate * (1 - self.extra) if self.family == "zero-inflated poisson" else self.rate

    def ordered(self, order: NDArray[np.int64]) -> Emission:
        extra = self.extra[order] if self.family == "zero-inflated poisson" else self.extra
        return replace(self, rate=self.rate[order], extra=extra)


def start(family: Family, rate: Floats) -> Emission:
    """Return a first guess of the family with these rates."""
    extra = {"poisson": np.zeros(0), "negative binomial": np.array([5.0]), "zero-inflated poisson": np.full(len(rate), 0.1)}[family]
    return Emission(family, np.maximum(rate, LEAST_RATE), extra)


def log_table(emission: Emission, count: Floats, exposure: Floats) -> Floats:
    """Return the log-likelihood of each kind of cell in each state, (v, k); a cell of no exposure says nothing.

    count, exposure: (v,), exposure in periods.
    """
    orders, part = count[:, None], exposure[:, None]
    expected = np.maximum(emission.rate[None, :] * part, 1e-12)
    if emission.family == "negative binomial":
        shape = emission.extra[0] * np.maximum(part, 1e-9)  # a sum of parts of a period keeps the family
        table = gammaln(orders + shape) - gammaln(shape) - gammaln(orders + 1)
        table = table + shape * np.log(shape / (shape + expected)) + xlogy(orders, expected / (shape + expected))
    else:
        table = xlogy(orders, expected) - expected - gammaln(orders + 1)
        if emission.family == "zero-inflated poisson":
            share = np.clip(emission.extra[None, :], 1e-9, 1 - 1e-9)
            table = np.where(orders == 0, np.log(share + (1 - share) * np.exp(-expected)), np.log1p(-share) + table)
    table[exposure <= 0] = 0.0
    return np.asarray(table)


def maximise(emission: Emission, occupied: Floats, count: Floats, exposure: Floats) -> Emission:
    """Return the family's best parameters for the expected customer periods `occupied`, (v, k)."""
    time = np.maximum(exposure @ occupied, 1e-12)
    orders = count @ occupied
    if emission.family == "poisson":
        return replace(emission, rate=np.maximum(orders / time, LEAST_RATE))
    if emission.family == "negative binomial":
        better = replace(emission, rate=np.maximum(orders / time, LEAST_RATE))
        return replace(better, extra=np.array([_shape(better, occupied, count, exposure)]))
    table = np.maximum(emission.rate[None, :] * exposure[:, None], 1e-12)
    share = np.clip(emission.extra[None, :], 1e-9, 1 - 1e-9)
    silent = np.where(count[:, None] == 0, share / (share + (1 - share) * np.exp(-table)), 0.0) * occupied
    open_time = np.maximum(exposure @ (occupied - silent), 1e-12)
    shares = silent.sum(axis=0) / np.maximum(occupied.sum(axis=0), 1e-12)
    return replace(emission, rate=np.maximum(orders / open_time, LEAST_RATE), extra=np.clip(shares, 1e-6, 1 - 1e-6))


def _shape(emission: Emission, occupied: Floats, count: Floats, exposure: Floats) -> float:
    """Return the shape of highest likelihood near the present one, by golden section on its logarithm."""

    def likelihood(logarithm: float) -> float:
        return float((occupied * log_table(replace(emission, extra=np.array([np.exp(logarithm)])), count, exposure)).sum())

    present = float(np.log(emission.extra[0]))
    # Half a step each way: expectation maximisation moves slowly, and every increase of the likelihood will do.
    low, high = max(present - 0.5, np.log(SHAPE_BOUNDS[0])), min(present + 0.5, np.log(SHAPE_BOUNDS[1]))
    golden = (np.sqrt(5) - 1) / 2
    for _round in range(12):
        left, right = high - golden * (high - low), low + golden * (high - low)
        if likelihood(left) > likelihood(right):
            high = right
        else:
            low = left
    best = (low + high) / 2
    return float(np.exp(best if likelihood(best) >= likelihood(present) else present))
