"""Pareto/NBD: orders arrive at a personal rate until, at a moment of its own, the customer silently stops.

The published likelihood is a difference of two 2F1, which cancels for heavy buyers and overflows for long histories.
Before its authors integrated it, it was

    L = Gamma(r + x) alpha^r / Gamma(r) * [ (alpha + T)^-(r + x) (beta / (beta + T))^s
                                           + integral from t_x to T of (alpha + y)^-(r + x) s beta^s (beta + y)^-(s + 1) dy ]

with y the unseen moment of stopping.  In v = ((alpha + t_x) / (alpha + y))^(r + x + s) the integrand is a smooth bounded
ratio, and Gauss-Legendre gives it, in logarithms, to 1e-6 or better; the gradient is the mixture's, from the same nodes.

Sources: Schmittlein, Morrison & Colombo (1987), Counting Your Customers, Management Science 33(1); Fader & Hardie (2005),
A Note on Deriving the Pareto/NBD Model and Related Expressions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.special import betainc, gammaln, psi

from customers.ml.histories import FEWEST_BUYERS, DegenerateFit, Grouped, checked_history, distinct
from customers.ml.maximise import maximise
from customers.ml.ordermodel import OrderModel, scale_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from customers.ml.ordermodel import Tail

    Floats = NDArray[np.float64]

# Nodes of the integral over the moment of stopping: 16 agree with 2F1 to 1e-6 where it is worst (few orders, long silence), else to 1e-10.
NODES = 16
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(NODES)
# The same over the horizon, where only tails of counts are wanted.
_FEW_POINTS, _FEW_WEIGHTS = np.polynomial.legendre.leggauss(6)
# Rows per block: 100,000 x 16 nodes are 13 MB per temporary.
BLOCK = 100_000
# With a smaller share of customers stopping within the longest age observed, stopping cannot be told from a low rate.
LEAST_DROPOUT = 1e-3


class ParetoNBD(OrderModel):
    """Rates vary over customers as Gamma(r, alpha), the rate of stopping as Gamma(s, beta).

    After `fit`: `r_`, `alpha_`, `s_`, `beta_`, `log_likelihood_` (sum over customers), `customers_`.
    """

    kind = "pareto_nbd"
    names = ("r", "alpha", "s", "beta")

    r_: float
    alpha_: float
    s_: float
    beta_: float

    def fit(self, frequency: ArrayLike, recency_days: ArrayLike, age_days: ArrayLike) -> Self:
        x, recency, age = checked_history(frequency, recency_days, age_days)
        if len(x) < FEWEST_BUYERS or x.sum() < 2:
            raise DegenerateFit(f"{len(x)} buyers with {int(x.sum())} repeat orders are too few")
        rows = Grouped.of(x, recency, age)
        scale = scale_of(rows)
        logs = maximise(_objective, rows.scaled(scale), starts=((0.5, 3.0, 0.5, 3.0),))
        r, alpha, s, beta = np.exp(logs)
        unit = scale / self.unit_days
        self._longest = float(rows.age.max()) / self.unit_days
        self._settle((r, alpha * unit, s, beta * unit), rows.scaled(self.unit_days))
        return self

    def _refuse_if_degenerate(self) -> None:
        dropout = -np.expm1(self.s_ * (np.log(self.beta_) - np.log(self.beta_ + self._longest)))
        if dropout < LEAST_DROPOUT:
            raise DegenerateFit(f"only {dropout:.1e} of the customers ever stop, so nobody does")

    def _log_density(self, rows: Grouped) -> Floats:
        density = np.empty(len(rows))
        for begin in range(0, len(rows), BLOCK):
            part = slice(begin, begin + BLOCK)
            logs, _y = _components(rows.x[part], rows.recency[part], rows.age[part], *self.parameters())
            density[part] = np.logaddexp.reduce(logs, axis=1)
        density += (gammaln(self.r_ + rows.xs) - gammaln(self.r_) + self.r_ * np.log(self.alpha_) + self.s_ * np.log(self.beta_))[rows.x_at]
        return density

    def _active(self, x: Floats, recency: Floats, age: Floats) -> Floats:
        (xs, recencies, ages), place = distinct(x, recency, age)
        active = np.empty(len(xs))
        for begin in range(0, len(xs), BLOCK):
            part = slice(begin, begin + BLOCK)
            logs, _y = _components(xs[part], recencies[part], ages[part], *self.parameters())
            active[part] = np.exp(logs[:, 0] - np.logaddexp.reduce(logs, axis=1))
        return active[place]

    def _ahead(self, x: Floats, age: Floats, horizon: float) -> tuple[Floats, Tail]:
        """Given active, the rate is Gamma(r + x, alpha + T) and the time left Pareto(s, beta + T), independent.

        So the mean is the rate's times E[min(time left, t)], and tails are the negative binomial's over the time left.
        """
        rate, shape, left = (self.r_ + x) / (self.alpha_ + age), self.r_ + x, self.beta_ + age
        grown = np.log1p(horizon / left)
        # (1 - e^((1 - s) g)) / (s - 1), which is g at s = 1.
        power = (1 - self.s_) * grown
        time = left * grown * np.where(np.abs(power) > 1e-8, np.expm1(power) / np.where(power == 0, 1.0, power), 1.0)
        survives = np.exp(-self.s_ * grown)
        # Nodes over the share of those who stop within the horizon, and one for those who do not.
        shares = survives[:, None] + (1 - survives)[:, None] * (1 + _FEW_POINTS) / 2
        times = left[:, None] * np.expm1(np.minimum(-np.log(shares) / self.s_, grown[:, None]))
        times = np.column_stack([times, np.full(len(x), horizon)])
        chances = np.column_stack([(1 - survives)[:, None] * _FEW_WEIGHTS / 2, survives])
        success = times / (self.alpha_ + age[:, None] + times)

        def tail(k: int, rows: NDArray[np.int64]) -> Floats:
            total: Floats = np.sum(chances[rows] * betainc(k, shape[rows, None], success[rows]), axis=1)
            return total

        return rate * time, tail


def _components(x: Floats, recency: Floats, age: Floats, r: float, alpha: float, s: float, beta: float) -> tuple[Floats, Floats]:
    """Return (n, 1 + NODES) logarithms of the mixture's parts, the common factor left out, and the (n, NODES) moments y.

    Column 0: still active at T.  The others: stopped at y, quadrature weight included; minus infinity where t_x = T.
    """
    k = r + x + s
    ratio = np.log(alpha + age) - np.log(alpha + recency)
    # Nodes in v between v_T and 1, in logarithms: v_T underflows for heavy buyers long gone, where it is simply 0.
    v_end = np.exp(-k * ratio)
    v = v_end[:, None] + (1 - v_end)[:, None] * (1 + _POINTS) / 2
    y = (alpha + recency)[:, None] * np.exp(-np.log(v) / k[:, None]) - alpha
    y = np.clip(y, recency[:, None], age[:, None])
    log_rate, log_stop = np.log(alpha + y), np.log(beta + y)
    with np.errstate(divide="ignore"):
        log_width = np.log(-np.expm1(-k * ratio)) - k * np.log(alpha + recency) - np.log(k) + np.log(s)
    stopped = log_width[:, None] + np.log(_WEIGHTS / 2) + (s + 1) * (log_rate - log_stop)
    active = -(r + x) * np.log(alpha + age) - s * np.log(beta + age)
    return np.column_stack([active, stopped]), y


def _objective(logs: Floats, rows: Grouped) -> tuple[float, Floats]:
    """Return the mean negative log-likelihood and its gradient with respect to the parameters' logarithms.

    The gradient of a mixture's logarithm is the mean of its parts' gradients under their shares.
    """
    r, alpha, s, beta = np.exp(logs)
    value, d_r, d_alpha, d_s, d_beta = 0.0, 0.0, 0.0, 0.0, 0.0
    for begin in range(0, len(rows), BLOCK):
        part = slice(begin, begin + BLOCK)
        x, recency, age, weight = rows.x[part], rows.recency[part], rows.age[part], rows.weight[part]
        parts, y = _components(x, recency, age, r, alpha, s, beta)
        total = np.logaddexp.reduce(parts, axis=1)
        value += float(weight @ total)
        moments = np.column_stack([age, y])
        shares = np.exp(parts - total[:, None]) * weight[:, None]
        stopped = weight - shares[:, 0]
        rate, stop = alpha + moments, beta + moments
        d_r -= float(np.sum(shares * np.log(rate)))
        d_alpha -= float(np.sum(shares / rate * (r + x)[:, None]))
        d_s -= float(np.sum(shares * np.log(stop))) - float(stopped.sum()) / s
        inverse = shares / stop
        d_beta -= s * float(inverse.sum()) + float(inverse[:, 1:].sum())
    customers = rows.customers
    by_x = np.bincount(rows.x_at, rows.weight, len(rows.xs))
    value += float(by_x @ (gammaln(r + rows.xs) - gammaln(r))) + customers * (r * np.log(alpha) + s * np.log(beta))
    d_r += float(by_x @ (psi(r + rows.xs) - psi(r))) + customers * np.log(alpha)
    d_alpha += customers * r / alpha
    d_s += customers * np.log(beta)
    d_beta += customers * s / beta
    return -value / customers, -np.array([d_r * r, d_alpha * alpha, d_s * s, d_beta * beta]) / customers
