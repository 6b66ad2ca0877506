"""How often customers order: BG/NBD, and a plain gamma-Poisson rate for shops on which BG/NBD does not fit.

Pure numpy and SciPy.  Time enters in days; the learned `alpha_` and the log-likelihood are stated in `unit_days` (weeks
by default) so that they can be laid beside the published tables.

Sources: Fader, Hardie & Lee (2005), "Counting Your Customers" the Easy Way: An Alternative to the Pareto/NBD Model,
Marketing Science 24(2); Ehrenberg (1959) for the NBD.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.optimize import minimize
from scipy.special import betainc, expit, gammaln, psi

from crm.core.errors import CrmError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

# Quadrature nodes for the expectation over the dropout probability; 24 already agree with hyp2f1 to 1e-9.
NODES = 32
# A shop whose fitted mean dropout per order is below this shows no dropout that the model could tell from none.
LEAST_DROPOUT = 1e-3
# Parameters beyond these sit on a flat ridge of the likelihood: their size is an accident of the stopping rule.
GREATEST_PARAMETER = 5e3
LEAST_PARAMETER = 1e-4
# Fewer buyers than this give a likelihood too flat for four parameters; the two-parameter rate is used instead.
FEWEST_BUYERS = 20


class DegenerateFit(CrmError):
    """The likelihood has no usable maximum on these customers; `reason` says what was seen."""

    code = "degenerate_fit"
    status = 422

    def __init__(self, reason: str) -> None:
        super().__init__(f"The model does not fit this shop: {reason}.", reason=reason)
        self.reason = reason


class InconsistentHistory(CrmError):
    """A customer's last order lies outside the observed period, or a count is negative; `data["rows"]` says for how many."""

    code = "inconsistent_history"
    status = 422

    def __init__(self, rows: int) -> None:
        super().__init__(f"{rows} customers have a last order later than the observed period, or a negative count.", rows=rows)


def checked_history(frequency: ArrayLike, recency_days: ArrayLike, age_days: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return the three columns as float arrays of one length; raises InconsistentHistory if they contradict each other."""
    x, recency, age = (np.atleast_1d(np.asarray(column, dtype=float)) for column in (frequency, recency_days, age_days))
    x, recency, age = np.broadcast_arrays(x, recency, age)
    wrong = ~(np.isfinite(x) & np.isfinite(recency) & np.isfinite(age))
    wrong |= (x < 0) | (recency < 0) | (recency > age + 1e-9) | ((x == 0) & (recency > 0))
    if wrong.any():
        raise InconsistentHistory(int(wrong.sum()))
    return x, recency, age


class BetaGeometricNBD:
    """BG/NBD: orders arrive at a personal rate until, after some order, the customer silently stops.

    Rates vary over customers as Gamma(r, alpha), the stopping probability per order as Beta(a, b).

    penalty: weight of the squared logarithms of the four parameters, per customer; 0 is maximum likelihood.
    unit_days: the unit in which `alpha_` and `log_likelihood_` are stated; 7 = weeks, as in the paper.

    After `fit`: `r_`, `alpha_`, `a_`, `b_`, `log_likelihood_` (sum over customers, unpenalised), `customers_`.
    """

    kind = "bg_nbd"

    def __init__(self, *, penalty: float = 0.0, unit_days: float = 7.0) -> None:
        self.penalty = penalty
        self.unit_days = unit_days

    def fit(self, frequency: ArrayLike, recency_days: ArrayLike, age_days: ArrayLike) -> Self:
        """Learn the four parameters; raises DegenerateFit where the data do not determine them.

        frequency: (n,) repeat orders (days with an order, less the first).
        recency_days, age_days: (n,) days from the first order to the last one and to the end of the observed period.
        """
        x, recency, age = checked_history(frequency, recency_days, age_days)
        if len(x) < FEWEST_BUYERS or x.sum() < 2:
            raise DegenerateFit(f"{len(x)} buyers with {int(x.sum())} repeat orders are too few")
        rows, weight = np.unique(np.column_stack([x, recency, age]), axis=0, return_counts=True)
        x, recency, age = rows.T
        # Optimise in a unit where a typical age is about 10: the four logarithms then have similar curvature.
        scale = max(float(age.max()), 1.0) / 10.0
        weight = weight.astype(float)
        best = None
        # The surface has a long flat ridge in (a, b); the second start lies on the other side of it.
        for start in (np.log([0.5, 1.0, 1.0, 2.0]), np.log([1.0, 5.0, 0.3, 8.0])):
            result = minimize(
                _bg_nbd_objective,
                start,
                args=(x, recency / scale, age / scale, weight, self.penalty),
                jac=True,
                method="L-BFGS-B",
                bounds=[(-14.0, 14.0)] * 4,
                options={"maxiter": 500, "ftol": 1e-12, "gtol": 1e-7},
            )
            if np.isfinite(result.fun) and (best is None or result.fun < best.fun):
                best = result
        if best is None:
            raise DegenerateFit("the likelihood is not finite")
        r, alpha, a, b = np.exp(best.x)
        self.r_, self.alpha_, self.a_, self.b_ = float(r), float(alpha * scale / self.unit_days), float(a), float(b)
        self.customers_ = int(weight.sum())
        self.log_likelihood_ = float(weight @ _bg_nbd_log_likelihood(x, recency / self.unit_days, age / self.unit_days, self.r_, self.alpha_, self.a_, self.b_))
        self._refuse_a_degenerate_fit()
        return self

    def _refuse_a_degenerate_fit(self) -> None:
        values = np.array([self.r_, self.alpha_, self.a_, self.b_, self.log_likelihood_])
        if not np.isfinite(values).all():
            raise DegenerateFit("a parameter is not a number")
        dropout = self.a_ / (self.a_ + self.b_)
        if dropout < LEAST_DROPOUT:
            raise DegenerateFit(f"the fitted dropout per order is {dropout:.1e}, so nobody ever stops")
        for name, value in (("r", self.r_), ("alpha", self.alpha_), ("a", self.a_), ("b", self.b_)):
            if value > GREATEST_PARAMETER or value < LEAST_PARAMETER:
                raise DegenerateFit(f"parameter {name} ran to {value:.1e}, a flat ridge of the likelihood")

    def p_active(self, frequency: ArrayLike, recency_days: ArrayLike, age_days: ArrayLike) -> Floats:
        """Return each customer's probability of not having stopped yet, (n,) in 0..1.

        By the model's construction it is 1 for a customer with a single order: one stops only after a repeat order.
        """
        x, recency, age = checked_history(frequency, recency_days, age_days)
        active: Floats = expit(-self._log_odds_stopped(x, recency / self.unit_days, age / self.unit_days))
        return active

    def _log_odds_stopped(self, x: Floats, recency: Floats, age: Floats) -> Floats:
        later = np.maximum(x, 1.0)
        log_odds = np.log(self.a_ / (self.b_ + later - 1)) + (self.r_ + x) * np.log((self.alpha_ + age) / (self.alpha_ + recency))
        return np.where(x > 0, log_odds, -np.inf)

    def expected_orders(self, frequency: ArrayLike, recency_days: ArrayLike, age_days: ArrayLike, horizon_days: float) -> Floats:
        """Return each customer's expected number of orders in the coming `horizon_days`, (n,), never negative.

        The paper's closed form needs 2F1 and loses all digits near a = 1 and for heavy buyers.  The same expectation
        is P(active) times the mean over p ~ Beta(a, b + x) of (1 - ((alpha + T) / (alpha + T + p t)) ** (r + x)) / p,
        a smooth function, so Gauss-Jacobi quadrature gives it to 1e-9 without any cancellation.
        """
        x, recency, age = checked_history(frequency, recency_days, age_days)
        recency, age, horizon = recency / self.unit_days, age / self.unit_days, horizon_days / self.unit_days
        counts, which = np.unique(x, return_inverse=True)
        nodes, weights = zip(*(jacobi_beta(self.a_, self.b_ + count, NODES) for count in counts), strict=True)
        nodes_of, weights_of = np.array(nodes), np.array(weights)
        orders = np.empty(len(x))
        # Blocks of 50,000 customers x 32 nodes are 12 MB per temporary; 100,000 customers take 0.2 s.
        for begin in range(0, len(x), 50_000):
            part = slice(begin, begin + 50_000)
            p, w = nodes_of[which[part]], weights_of[which[part]]
            shape = (self.r_ + x[part])[:, None]
            orders[part] = np.sum(w * -np.expm1(-shape * np.log1p(p * horizon / (self.alpha_ + age[part])[:, None])) / p, axis=1)
        orders *= expit(-self._log_odds_stopped(x, recency, age))
        return orders

    def orders_between(
        self, frequency: ArrayLike, recency_days: ArrayLike, age_days: ArrayLike, horizon_days: float, *, level: float = 0.8
    ) -> tuple[Floats, Floats]:
        """Return the low and high end of the interval that holds the orders of the horizon with probability `level`.

        With the customer active, orders = min(N, G): N of the rate's negative binomial, G the order after which they
        stop.  The two are independent given the history, so P(orders >= k) is exact:
        P(active) B(a, b + x + k - 1) / B(a, b + x) P(N >= k).
        """
        x, recency, age = checked_history(frequency, recency_days, age_days)
        recency, age, horizon = recency / self.unit_days, age / self.unit_days, horizon_days / self.unit_days
        active: Floats = expit(-self._log_odds_stopped(x, recency, age))
        return _quantiles(self.r_ + x, horizon / (self.alpha_ + age + horizon), active, self.a_, self.b_ + x, level=level)

    def to_config(self) -> dict[str, float | str]:
        return {
            "kind": self.kind,
            "unit_days": self.unit_days,
            "penalty": self.penalty,
            "r": self.r_,
            "alpha": self.alpha_,
            "a": self.a_,
            "b": self.b_,
            "log_likelihood": self.log_likelihood_,
            "customers": self.customers_,
        }

    @classmethod
    def from_config(cls, config: dict[str, float | str]) -> Self:
        model = cls(penalty=float(config["penalty"]), unit_days=float(config["unit_days"]))
        model.r_, model.alpha_, model.a_, model.b_ = (float(config[name]) for name in ("r", "alpha", "a", "b"))
        model.log_likelihood_, model.customers_ = float(config["log_likelihood"]), int(config["customers"])
        return model


class EmpiricalRate:
    """NBD: each customer's own rate, drawn towards the shop's; nobody stops for good.

    The stated fallback where BG/NBD degenerates.  It answers the same questions; `p_active` is here the probability
    that a customer with this rate stays silent at least as long as this one has, so a long-quiet heavy buyer scores low.

    After `fit`: `r_`, `alpha_` (in `unit_days`), `log_likelihood_`, `customers_`.
    """

    kind = "empirical_rate"

    def __init__(self, *, unit_days: float = 7.0) -> None:
        self.unit_days = unit_days

    def fit(self, frequency: ArrayLike, recency_days: ArrayLike, age_days: ArrayLike) -> Self:
        """Learn the shop's distribution of rates; with next to no repeat orders it is a weak prior, never an error."""
        x, _, age = checked_history(frequency, recency_days, age_days)
        rows, weight = np.unique(np.column_stack([x, age]), axis=0, return_counts=True)
        x, age = rows[:, 0], np.maximum(rows[:, 1] / self.unit_days, 1e-6)
        customers: Floats = weight.astype(float)
        self.customers_ = int(weight.sum())
        if not self.customers_:
            # A shop without buyers: one order a year, believed as firmly as one order.
            self.r_, self.alpha_, self.log_likelihood_ = 1.0, 365.0 / self.unit_days, 0.0
            return self
        # Half an order in the shop's whole observed time keeps a shop without any repeat order finite.
        mean_rate = float(customers @ x + 0.5) / float(customers @ age + 1e-9)
        result = minimize(
            _nbd_objective,
            np.log([1.0, 1.0 / mean_rate]),
            args=(x, age, customers),
            jac=True,
            method="L-BFGS-B",
            bounds=[(-8.0, 8.0), (-14.0, 20.0)],
        )
        log_r, log_alpha = result.x if np.isfinite(result.fun) else np.log([1.0, 1.0 / mean_rate])
        self.r_, self.alpha_ = float(np.exp(log_r)), float(np.exp(log_alpha))
        self.log_likelihood_ = -float(_nbd_objective(np.array([log_r, log_alpha]), x, age, customers)[0]) * self.customers_
        return self

    def p_active(self, frequency: ArrayLike, recency_days: ArrayLike, age_days: ArrayLike) -> Floats:
        """Return how ordinary each customer's present silence is, (n,) in 0..1."""
        x, recency, age = checked_history(frequency, recency_days, age_days)
        recency, age = recency / self.unit_days, age / self.unit_days
        silent: Floats = np.exp((self.r_ + x) * (np.log(self.alpha_ + recency) - np.log(self.alpha_ + age)))
        return silent

    def expected_orders(self, frequency: ArrayLike, recency_days: ArrayLike, age_days: ArrayLike, horizon_days: float) -> Floats:
        """Return each customer's expected number of orders in the coming `horizon_days`, (n,), never negative."""
        x, _, age = checked_history(frequency, recency_days, age_days)
        return (self.r_ + x) / (self.alpha_ + age / self.unit_days) * (horizon_days / self.unit_days)

    def orders_between(
        self, frequency: ArrayLike, recency_days: ArrayLike, age_days: ArrayLike, horizon_days: float, *, level: float = 0.8
    ) -> tuple[Floats, Floats]:
        """Return the low and high end of the interval that holds the orders of the horizon with probability `level`."""
        x, _, age = checked_history(frequency, recency_days, age_days)
        age, horizon = age / self.unit_days, horizon_days / self.unit_days
        never_stops = np.zeros(len(x))
        return _quantiles(self.r_ + x, horizon / (self.alpha_ + age + horizon), np.ones(len(x)), 0.0, never_stops + 1.0, level=level)

    def to_config(self) -> dict[str, float | str]:
        return {
            "kind": self.kind,
            "unit_days": self.unit_days,
            "r": self.r_,
            "alpha": self.alpha_,
            "log_likelihood": self.log_likelihood_,
            "customers": self.customers_,
        }

    @classmethod
    def from_config(cls, config: dict[str, float | str]) -> Self:
        model = cls(unit_days=float(config["unit_days"]))
        model.r_, model.alpha_ = float(config["r"]), float(config["alpha"])
        model.log_likelihood_, model.customers_ = float(config["log_likelihood"]), int(config["customers"])
        return model


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


def _quantiles(shape: Floats, success: Floats, active: Floats, a: float, b: Floats, *, level: float) -> tuple[Floats, Floats]:
    """Return the two quantiles of min(N, G) mixed with 0, see BetaGeometricNBD.orders_between; whole numbers, (n,) each.

    shape, success: of the negative binomial, P(N >= k) = I_success(k, shape).  a = 0 means that nobody stops.
    """
    tails = (1 + level) / 2, (1 - level) / 2  # P(orders > low) <= the first, P(orders > high) <= the second
    ends = np.zeros(len(shape)), np.zeros(len(shape))
    open_rows, k, not_stopped = np.arange(len(shape)), 1, np.ones(len(shape))
    # Customers leave the loop as soon as both ends are known: nearly all after three rounds, a wholesaler after 300.
    while len(open_rows):
        tail = active[open_rows] * not_stopped * betainc(k, shape[open_rows], success[open_rows])
        for end, most in zip(ends, tails, strict=True):
            end[open_rows[tail > most]] = k
        going_on = tail > tails[1]
        stopping_order = b[open_rows] + k - 1
        not_stopped = (not_stopped * stopping_order / (a + stopping_order))[going_on]
        open_rows, k = open_rows[going_on], k + 1
    return ends


def _bg_nbd_terms(x: Floats, recency: Floats, age: Floats, r: float, alpha: float, a: float, b: float) -> tuple[Floats, Floats, Floats]:
    """Return the paper's ln(A1 A2), ln A3 and ln A4 per row; ln A4 is minus infinity without a repeat order."""
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
    alive = -(r + x) * np.log(alpha + age)
    stopped = np.where(x > 0, np.log(a) - np.log(b + np.maximum(x, 1) - 1) - (r + x) * np.log(alpha + recency), -np.inf)
    return common, alive, stopped


def _bg_nbd_log_likelihood(x: Floats, recency: Floats, age: Floats, r: float, alpha: float, a: float, b: float) -> Floats:
    common, alive, stopped = _bg_nbd_terms(x, recency, age, r, alpha, a, b)
    return common + np.logaddexp(alive, stopped)


def _bg_nbd_objective(logs: Floats, x: Floats, recency: Floats, age: Floats, weight: Floats, penalty: float) -> tuple[float, Floats]:
    """Return the mean negative log-likelihood and its gradient with respect to the parameters' logarithms."""
    r, alpha, a, b = np.exp(logs)
    common, alive, stopped = _bg_nbd_terms(x, recency, age, r, alpha, a, b)
    customers = weight.sum()
    value = -(weight @ (common + np.logaddexp(alive, stopped))) / customers + penalty * float(logs @ logs)
    share = expit(stopped - alive)  # of "stopped" in the sum; 0 where stopped is minus infinity
    repeat = x > 0
    later = np.where(repeat, b + np.maximum(x, 1) - 1, 1.0)
    d_r = psi(r + x) - psi(r) + np.log(alpha) - (1 - share) * np.log(alpha + age) - share * np.log(alpha + recency)
    d_alpha = r / alpha - (r + x) * ((1 - share) / (alpha + age) + share / (alpha + recency))
    d_a = psi(a + b) - psi(a + b + x) + share / a
    d_b = psi(a + b) + psi(b + x) - psi(b) - psi(a + b + x) - np.where(repeat, share / later, 0.0)
    gradient = -np.array([weight @ d_r * r, weight @ d_alpha * alpha, weight @ d_a * a, weight @ d_b * b]) / customers
    return float(value), gradient + 2 * penalty * logs


def _nbd_objective(logs: Floats, x: Floats, age: Floats, weight: Floats) -> tuple[float, Floats]:
    r, alpha = np.exp(logs)
    customers = weight.sum()
    likelihood = gammaln(r + x) - gammaln(r) + r * np.log(alpha) - (r + x) * np.log(alpha + age)
    d_r = psi(r + x) - psi(r) + np.log(alpha) - np.log(alpha + age)
    d_alpha = r / alpha - (r + x) / (alpha + age)
    gradient = -np.array([weight @ d_r * r, weight @ d_alpha * alpha]) / customers
    return -float(weight @ likelihood) / customers, gradient
