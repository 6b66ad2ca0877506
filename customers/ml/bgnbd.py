"""BG/NBD: orders arrive at a personal rate until, after some order, the customer silently stops.

Source: Fader, Hardie & Lee (2005), "Counting Your Customers" the Easy Way: An Alternative to the Pareto/NBD Model,
Marketing Science 24(2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.special import betainc, expit, gammaln, psi

from customers.ml.histories import FEWEST_BUYERS, DegenerateFit, Grouped, checked_history
from customers.ml.maximise import maximise
from customers.ml.ordermodel import OrderModel, scale_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from customers.ml.ordermodel import Tail

    Floats = NDArray[np.float64]

# Quadrature nodes for the expectation over the dropout probability; 24 already agree with hyp2f1 to 1e-9.
NODES = 32
# A shop whose fitted mean dropout per order is below this shows no dropout that the model could tell from none.
LEAST_DROPOUT = 1e-3


class BetaGeometricNBD(OrderModel):
    """Rates vary over customers as Gamma(r, alpha), the stopping probability per order as Beta(a, b).

    `p_active` is 1 for a customer with a single order by the model's construction: one stops only after a repeat order.
    After `fit`: `r_`, `alpha_`, `a_`, `b_`, `log_likelihood_` (sum over customers), `customers_`.
    """

    kind = "bg_nbd"
    names = ("r", "alpha", "a", "b")

    r_: float
    alpha_: float
    a_: float
    b_: float

    def fit(self, frequency: ArrayLike, recency_days: ArrayLike, age_days: ArrayLike) -> Self:
        x, recency, age = checked_history(frequency, recency_days, age_days)
        if len(x) < FEWEST_BUYERS or x.sum() < 2:
            raise DegenerateFit(f"{len(x)} buyers with {int(x.sum())} repeat orders are too few")
        rows = Grouped.of(x, recency, age)
        scale = scale_of(rows)
        # The surface has a long flat ridge in (a, b); the second start lies on the other side of it.
        logs = maximise(_objective, rows.scaled(scale), starts=((0.5, 1.0, 1.0, 2.0), (1.0, 5.0, 0.3, 8.0)))
        r, alpha, a, b = np.exp(logs)
        self._settle((r, alpha * scale / self.unit_days, a, b), rows.scaled(self.unit_days))
        return self

    def _refuse_if_degenerate(self) -> None:
        dropout = self.a_ / (self.a_ + self.b_)
        if dropout < LEAST_DROPOUT:
            raise DegenerateFit(f"the fitted dropout per order is {dropout:.1e}, so nobody ever stops")

    def _log_density(self, rows: Grouped) -> Floats:
        common, alive, stopped = _terms(rows, *self.parameters())
        density: Floats = common + np.logaddexp(alive, stopped)
        return density

    def _active(self, x: Floats, recency: Floats, age: Floats) -> Floats:
        later = np.maximum(x, 1.0)
        log_odds = np.log(self.a_ / (self.b_ + later - 1)) + (self.r_ + x) * np.log((self.alpha_ + age) / (self.alpha_ + recency))
        active: Floats = np.where(x > 0, expit(-log_odds), 1.0)
        return active

    def _ahead(self, x: Floats, age: Floats, horizon: float) -> tuple[Floats, Tail]:
        """The paper's closed form needs 2F1 and loses all digits near a = 1 and for heavy buyers.

        The same expectation is the mean over p ~ Beta(a, b + x) of (1 - ((alpha + T) / (alpha + T + p t)) ** (r + x)) / p,
        a smooth function, so Gauss-Jacobi quadrature gives it to 1e-9 without any cancellation.

        Orders = min(N, G): N of the rate's negative binomial, G the order after which they stop.  The two are
        independent given the history, so P(orders >= k) = B(a, b + x + k - 1) / B(a, b + x) P(N >= k), exactly.
        """
        counts, which = np.unique(x, return_inverse=True)
        shape = self.r_ + x
        mean = np.zeros(len(x))
        if len(x):
            nodes, weights = (np.array(part) for part in zip(*(jacobi_beta(self.a_, self.b_ + count, NODES) for count in counts), strict=True))
            for begin in range(0, len(x), 50_000):  # 50,000 rows x 32 nodes are 12 MB per temporary
                part = slice(begin, begin + 50_000)
                p, w = nodes[which[part]], weights[which[part]]
                mean[part] = np.sum(w * -np.expm1(-shape[part, None] * np.log1p(p * horizon / (self.alpha_ + age[part])[:, None])) / p, axis=1)
        success = horizon / (self.alpha_ + age + horizon)
        stops = self.b_ + x

        def tail(k: int, rows: NDArray[np.int64]) -> Floats:
            ratio = gammaln(stops[rows] + k - 1) - gammaln(stops[rows]) + gammaln(self.a_ + stops[rows]) - gammaln(self.a_ + stops[rows] + k - 1)
            chance: Floats = np.exp(ratio) * betainc(k, shape[rows], success[rows])
            return chance

        return mean, tail


def jacobi_beta(a: float, b: float, nodes: int) -> tuple[Floats, Floats]:
    """Return nodes in (0, 1) and weights summing to 1 that integrate smooth functions against a Beta(a, b) density.

    Golub & Welsch (1969) on the Jacobi recurrence.  SciPy's own roots_jacobi overflows its normalising constant for
    the large b that heavy buyers bring; weights taken from eigenvectors need no constant at all.
    """
    alpha, beta = b - 1.0, a - 1.0
    k = np.arange(nodes, dtype=float)
    total = 2 * k + alpha + beta
    with np.errstate(divide="ignore", invalid="ignore"):
        diagonal = (beta**2 - alpha**2) / (total * (total + 2))
    diagonal[0] = (beta - alpha) / (alpha + beta + 2)
    k, total = k[1:], total[1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        squared = 4 * k * (k + alpha) * (k + beta) * (k + alpha + beta) / (total**2 * (total + 1) * (total - 1))
    squared[0] = 4 * (1 + alpha) * (1 + beta) / ((2 + alpha + beta) ** 2 * (3 + alpha + beta))
    points, vectors = eigh_tridiagonal(diagonal, np.sqrt(squared))
    return np.clip((points + 1) / 2, 1e-300, 1.0), vectors[0] ** 2


def _terms(rows: Grouped, r: float, alpha: float, a: float, b: float) -> tuple[Floats, Floats, Floats]:
    """Return the paper's ln(A1 A2), ln A3 and ln A4 per row; ln A4 is minus infinity without a repeat order."""
    x = rows.xs
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
    stop = np.where(x > 0, np.log(a) - np.log(b + np.maximum(x, 1) - 1), -np.inf)
    shape = r + rows.x
    alive = -shape * np.log(alpha + rows.ages)[rows.age_at]
    stopped = stop[rows.x_at] - shape * np.log(alpha + rows.recencies)[rows.recency_at]
    return common[rows.x_at], alive, stopped


def _objective(logs: Floats, rows: Grouped) -> tuple[float, Floats]:
    """Return the mean negative log-likelihood and its gradient with respect to the parameters' logarithms."""
    r, alpha, a, b = np.exp(logs)
    common, alive, stopped = _terms(rows, r, alpha, a, b)
    # logaddexp and expit from one exponential; beyond 700 it would overflow, and the share is 1 to all digits.
    odds = np.exp(np.minimum(stopped - alive, 700.0))
    value = rows.weight @ (common + alive + np.log1p(odds))
    # The share of "stopped" in the sum; 0 where that is minus infinity.  Everything below is linear in it, so sums by
    # distinct x, T and t_x are taken first, and the special functions of the few distinct values only.
    stopped_weight = rows.weight * (odds / (1 + odds))
    alive_weight = rows.weight - stopped_weight
    by_x = np.bincount(rows.x_at, rows.weight, len(rows.xs))
    stopped_by_x = np.bincount(rows.x_at, stopped_weight, len(rows.xs))
    shape = r + rows.x
    log_age, log_recency = np.log(alpha + rows.ages), np.log(alpha + rows.recencies)
    age_weight, recency_weight = np.bincount(rows.age_at, alive_weight, len(rows.ages)), np.bincount(rows.recency_at, stopped_weight, len(rows.recencies))
    age_shape = np.bincount(rows.age_at, alive_weight * shape, len(rows.ages))
    recency_shape = np.bincount(rows.recency_at, stopped_weight * shape, len(rows.recencies))
    x = rows.xs
    later = np.where(x > 0, b + np.maximum(x, 1) - 1, 1.0)
    d_r = by_x @ (psi(r + x) - psi(r) + np.log(alpha)) - age_weight @ log_age - recency_weight @ log_recency
    d_alpha = rows.customers * r / alpha - age_shape @ (1 / (alpha + rows.ages)) - recency_shape @ (1 / (alpha + rows.recencies))
    d_a = by_x @ (psi(a + b) - psi(a + b + x)) + stopped_by_x.sum() / a
    d_b = by_x @ (psi(a + b) + psi(b + x) - psi(b) - psi(a + b + x)) - stopped_by_x @ np.where(x > 0, 1 / later, 0.0)
    customers = rows.customers
    return -float(value) / customers, -np.array([d_r * r, d_alpha * alpha, d_a * a, d_b * b]) / customers
