"""NBD: each customer's own rate, drawn towards the shop's; nobody stops for good.

Source: Ehrenberg (1959), The Pattern of Consumer Purchases, Applied Statistics 8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.special import betainc, gammaln, psi

from customers.ml.histories import DegenerateFit, Grouped, checked_history
from customers.ml.maximise import maximise
from customers.ml.ordermodel import OrderModel

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from customers.ml.ordermodel import Tail

    Floats = NDArray[np.float64]

# The two parameters of a shop without buyers: one order a year, believed as firmly as one order.
EMPTY_SHAPE, EMPTY_DAYS = 1.0, 365.0
# A shape beyond e^8 differs from a Poisson rate common to all by less than a thousandth.
GREATEST_LOG = 8.0


class EmpiricalRate(OrderModel):
    """Rates vary over customers as Gamma(r, alpha).  The stated fallback: it fits every shop and never raises.

    `p_active` is here the probability that a customer with this rate stays silent at least as long as this one has, so
    a long-quiet heavy buyer scores low; expected orders do not use it, because nobody stops.
    """

    kind = "empirical_rate"
    names = ("r", "alpha")

    r_: float
    alpha_: float

    def fit(self, frequency: ArrayLike, recency_days: ArrayLike, age_days: ArrayLike) -> Self:
        """Learn the shop's distribution of rates; with next to no repeat orders it is a weak prior, never an error."""
        x, _recency, age = checked_history(frequency, recency_days, age_days)
        if not len(x):
            self.r_, self.alpha_, self.log_likelihood_, self.customers_ = EMPTY_SHAPE, EMPTY_DAYS / self.unit_days, 0.0, 0
            return self
        rows = Grouped.of(x, np.zeros(len(x)), np.maximum(age / self.unit_days, 1e-6))
        # Half an order in the shop's whole observed time keeps a shop without any repeat order finite.
        rate = float(rows.weight @ rows.x + 0.5) / float(rows.weight @ rows.age + 1e-9)
        logs = np.log([1.0, 1 / rate])
        try:
            if rows.x.any():
                logs = maximise(_objective, rows, starts=((1.0, 1 / rate),))
                # Customers who are all alike drive both to infinity; kept within reach, with the mean rate they agree on.
                logs = logs - (logs[0] - np.clip(logs[0], -GREATEST_LOG, GREATEST_LOG))
        except DegenerateFit:
            pass  # The first guess stands: every customer at the shop's mean rate.
        self.r_, self.alpha_ = (float(value) for value in np.exp(logs))
        self.customers_ = int(rows.customers)
        self.log_likelihood_ = float(rows.weight @ self._log_density(rows))
        return self

    def _log_density(self, rows: Grouped) -> Floats:
        return _log_likelihood(rows, self.r_, self.alpha_)

    def _active(self, x: Floats, recency: Floats, age: Floats) -> Floats:
        silent: Floats = np.exp((self.r_ + x) * (np.log(self.alpha_ + recency) - np.log(self.alpha_ + age)))
        return silent

    def _weight(self, x: Floats, recency: Floats, age: Floats) -> Floats:  # noqa: ARG002 - one shape for all models
        return np.ones(len(x))

    def _ahead(self, x: Floats, age: Floats, horizon: float) -> tuple[Floats, Tail]:
        shape, success = self.r_ + x, horizon / (self.alpha_ + age + horizon)

        def tail(k: int, rows: NDArray[np.int64]) -> Floats:
            chance: Floats = betainc(k, shape[rows], success[rows])
            return chance

        return shape * horizon / (self.alpha_ + age), tail


def _log_likelihood(rows: Grouped, r: float, alpha: float) -> Floats:
    by_x = gammaln(r + rows.xs) - gammaln(r) + r * np.log(alpha)
    density: Floats = by_x[rows.x_at] - (r + rows.x) * np.log(alpha + rows.ages)[rows.age_at]
    return density


def _objective(logs: Floats, rows: Grouped) -> tuple[float, Floats]:
    r, alpha = np.exp(logs)
    value = rows.weight @ _log_likelihood(rows, r, alpha)
    by_x, by_age = np.bincount(rows.x_at, rows.weight, len(rows.xs)), np.bincount(rows.age_at, rows.weight, len(rows.ages))
    shape_by_age = np.bincount(rows.age_at, rows.weight * (r + rows.x), len(rows.ages))
    d_r = by_x @ (psi(r + rows.xs) - psi(r) + np.log(alpha)) - by_age @ np.log(alpha + rows.ages)
    d_alpha = rows.customers * r / alpha - shape_by_age @ (1 / (alpha + rows.ages))
    return -float(value) / rows.customers, -np.array([d_r * r, d_alpha * alpha]) / rows.customers
