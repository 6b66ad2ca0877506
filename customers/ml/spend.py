"""What an order of each customer is worth on average: the gamma-gamma model and its shrunken-mean fallback.

Source: Fader & Hardie (2013), The Gamma-Gamma Model of Monetary Value; Colombo & Jiang (1999).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln, psi

from customers.ml.rates import GREATEST_PARAMETER, DegenerateFit

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

# Below this q the fitted population mean p * gamma / (q - 1) is dominated by customers nobody has seen.
LEAST_Q = 1.05
# Fewer customers with an amount than this: use the shrunken mean.
FEWEST_SPENDERS = 20


class GammaGamma:
    """Order amounts scatter as Gamma(p, v) around each customer's own mean, and v varies as Gamma(q, gamma).

    penalty: weight of the squared logarithms of the parameters, per customer; 0 is maximum likelihood.
    After `fit`: `p_`, `q_`, `gamma_`, `log_likelihood_`, `customers_`.
    """

    kind = "gamma_gamma"

    def __init__(self, *, penalty: float = 0.0) -> None:
        self.penalty = penalty

    def fit(self, orders: ArrayLike, mean_amount: ArrayLike) -> Self:
        """Learn from customers with at least one order of positive amount; others are left out.

        orders: (n,) number of orders the mean is over.  mean_amount: (n,) their mean, in the shop's currency.
        Raises DegenerateFit where the mean of the fitted population does not exist or the likelihood is flat.
        """
        x, mean = np.asarray(orders, dtype=float), np.asarray(mean_amount, dtype=float)
        usable = (x > 0) & (mean > 0) & np.isfinite(mean)
        x, mean = x[usable], mean[usable]
        if len(x) < FEWEST_SPENDERS:
            raise DegenerateFit(f"{len(x)} customers with a positive amount are too few")
        # Fit in units of the median amount, so that yen and dinars start equally near.
        scale = float(np.median(mean))
        z = mean / scale
        best = None
        for start in (np.log([2.0, 3.0, 3.0]), np.log([6.0, 4.0, 1.0])):
            result = minimize(
                _objective,
                start,
                args=(x, z, self.penalty),
                jac=True,
                method="L-BFGS-B",
                bounds=[(-12.0, 14.0)] * 3,
                options={"maxiter": 500, "ftol": 1e-13},
            )
            if np.isfinite(result.fun) and (best is None or result.fun < best.fun):
                best = result
        if best is None:
            raise DegenerateFit("the likelihood of the amounts is not finite")
        p, q, gamma = np.exp(best.x)
        self.p_, self.q_, self.gamma_ = float(p), float(q), float(gamma * scale)
        self.customers_ = len(x)
        self.log_likelihood_ = float(_log_likelihood(x, mean, self.p_, self.q_, self.gamma_).sum())
        if self.q_ < LEAST_Q:
            raise DegenerateFit(f"the amounts' tail is so heavy (q = {self.q_:.2f}) that their mean does not exist")
        if max(self.p_, self.q_) > GREATEST_PARAMETER or not np.isfinite(self.log_likelihood_):
            raise DegenerateFit("a parameter of the amounts ran away along a flat ridge")
        return self

    def expected_amount(self, orders: ArrayLike, mean_amount: ArrayLike) -> Floats:
        """Return each customer's expected amount per future order, (n,); the shop's mean for one without a usable order."""
        x, mean = np.asarray(orders, dtype=float), np.asarray(mean_amount, dtype=float)
        known = (x > 0) & (mean > 0)
        x, mean = np.where(known, x, 0.0), np.where(known, mean, 0.0)
        amount: Floats = self.p_ * (self.gamma_ + x * mean) / (self.p_ * x + self.q_ - 1)
        return amount

    def to_config(self) -> dict[str, float | str]:
        return {
            "kind": self.kind,
            "penalty": self.penalty,
            "p": self.p_,
            "q": self.q_,
            "gamma": self.gamma_,
            "log_likelihood": self.log_likelihood_,
            "customers": self.customers_,
        }

    @classmethod
    def from_config(cls, config: dict[str, float | str]) -> Self:
        model = cls(penalty=float(config["penalty"]))
        model.p_, model.q_, model.gamma_ = (float(config[name]) for name in ("p", "q", "gamma"))
        model.log_likelihood_, model.customers_ = float(config["log_likelihood"]), int(config["customers"])
        return model


class ShrunkenMean:
    """Each customer's mean drawn towards the shop's: weight x / (x + k), k learned from the spread (empirical Bayes).

    The stated fallback where gamma-gamma degenerates.  After `fit`: `mean_`, `k_`, `customers_`.
    """

    kind = "shrunken_mean"

    def fit(self, orders: ArrayLike, mean_amount: ArrayLike) -> Self:
        x, mean = np.asarray(orders, dtype=float), np.asarray(mean_amount, dtype=float)
        usable = (x > 0) & (mean > 0) & np.isfinite(mean)
        x, mean = x[usable], mean[usable]
        self.customers_ = len(x)
        self.mean_ = float(np.average(mean, weights=x)) if len(x) else 0.0
        self.k_ = 2.0
        if len(x) >= FEWEST_SPENDERS and len(np.unique(x)) > 1:
            # Var(mean | x) = between + within / x, a line in 1/x; its two coefficients give k = within / between.
            squared = (mean - self.mean_) ** 2
            design = np.column_stack([np.ones_like(x), 1 / x])
            # Amounts are heavy-tailed: cap the squares so that three wholesalers do not decide k for everyone.
            squared = np.minimum(squared, np.quantile(squared, 0.99))
            between, within = np.linalg.lstsq(design, squared, rcond=None)[0]
            if between > 0 and within > 0:
                self.k_ = float(np.clip(within / between, 0.1, 50.0))
        return self

    def expected_amount(self, orders: ArrayLike, mean_amount: ArrayLike) -> Floats:
        """Return each customer's expected amount per future order, (n,)."""
        x, mean = np.asarray(orders, dtype=float), np.asarray(mean_amount, dtype=float)
        known = (x > 0) & (mean > 0)
        x, mean = np.where(known, x, 0.0), np.where(known, mean, 0.0)
        amount: Floats = (x * mean + self.k_ * self.mean_) / (x + self.k_)
        return amount

    def to_config(self) -> dict[str, float | str]:
        return {"kind": self.kind, "mean": self.mean_, "k": self.k_, "customers": self.customers_}

    @classmethod
    def from_config(cls, config: dict[str, float | str]) -> Self:
        model = cls()
        model.mean_, model.k_, model.customers_ = float(config["mean"]), float(config["k"]), int(config["customers"])
        return model


def _log_likelihood(x: Floats, z: Floats, p: float, q: float, gamma: float) -> Floats:
    terms: Floats = (
        gammaln(p * x + q) - gammaln(p * x) - gammaln(q) + q * np.log(gamma) + (p * x - 1) * np.log(z) + p * x * np.log(x) - (p * x + q) * np.log(gamma + x * z)
    )
    return terms


def _objective(logs: Floats, x: Floats, z: Floats, penalty: float) -> tuple[float, Floats]:
    p, q, gamma = np.exp(logs)
    total = gamma + x * z
    d_p = x * (psi(p * x + q) - psi(p * x) + np.log(z) + np.log(x) - np.log(total))
    d_q = psi(p * x + q) - psi(q) + np.log(gamma) - np.log(total)
    d_gamma = q / gamma - (p * x + q) / total
    gradient = -np.array([d_p.mean() * p, d_q.mean() * q, d_gamma.mean() * gamma])
    value = -float(_log_likelihood(x, z, p, q, gamma).mean()) + penalty * float(logs @ logs)
    return value, gradient + 2 * penalty * logs
