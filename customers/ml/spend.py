"""What an order of each customer is worth on average: the gamma-gamma model and its shrunken-mean fallback.

Source: Fader & Hardie (2013), The Gamma-Gamma Model of Monetary Value; Colombo & Jiang (1999).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy.special import gammaln, psi

from customers.ml.histories import GREATEST_PARAMETER, DegenerateFit
from customers.ml.maximise import maximise

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

# Below this q the fitted population mean p * gamma / (q - 1) is dominated by customers nobody has seen.
LEAST_Q = 1.05
# Fewer customers with an amount than this: use the shrunken mean.
FEWEST_SPENDERS = 20


class GammaGamma:
    """Order amounts scatter as Gamma(p, v) around each customer's own mean, and v varies as Gamma(q, gamma).

    After `fit`: `p_`, `q_`, `gamma_`, `log_likelihood_`, `customers_`.
    """

    kind = "gamma_gamma"

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
        rows = _Amounts.of(x, mean / scale)
        logs = maximise(_objective, rows, starts=((2.0, 3.0, 3.0), (6.0, 4.0, 1.0)))
        p, q, gamma = np.exp(logs)
        self.p_, self.q_, self.gamma_ = float(p), float(q), float(gamma * scale)
        self.customers_ = len(x)
        self.log_likelihood_ = float(_log_likelihood(_Amounts.of(x, mean), self.p_, self.q_, self.gamma_).sum())
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

    def relative_spread(self, orders: ArrayLike) -> tuple[Floats, Floats]:
        """Return the squared relative spread of one order about the customer's mean, and of that mean's uncertainty, (n,) each."""
        x = np.asarray(orders, dtype=float)
        # With q + p x <= 2 the variance does not exist; the cap is that of a customer seen at 2.25.
        return np.full(len(x), 1 / self.p_), 1 / np.maximum(self.q_ + self.p_ * x - 2, 0.25)

    def to_config(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "p": self.p_,
            "q": self.q_,
            "gamma": self.gamma_,
            "log_likelihood": self.log_likelihood_,
            "customers": self.customers_,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        model = cls()
        model.p_, model.q_, model.gamma_ = (float(config[name]) for name in ("p", "q", "gamma"))
        model.log_likelihood_, model.customers_ = float(config["log_likelihood"]), int(config["customers"])
        return model


class ShrunkenMean:
    """Each customer's mean drawn towards the shop's: weight x / (x + k), k learned from the spread (empirical Bayes).

    The stated fallback where gamma-gamma degenerates.  After `fit`: `mean_`, `k_`, `within_` (squared relative spread of one order), `customers_`.
    """

    kind = "shrunken_mean"
    # What versions from before the spread was kept assume: an order scatters as widely as its mean.
    within_ = 1.0

    def fit(self, orders: ArrayLike, mean_amount: ArrayLike) -> Self:
        x, mean = np.asarray(orders, dtype=float), np.asarray(mean_amount, dtype=float)
        usable = (x > 0) & (mean > 0) & np.isfinite(mean)
        x, mean = x[usable], mean[usable]
        self.customers_ = len(x)
        self.mean_ = float(np.average(mean, weights=x)) if len(x) else 0.0
        self.k_, self.within_ = 2.0, 1.0
        if len(x) >= FEWEST_SPENDERS and len(np.unique(x)) > 1:
            # Var(mean | x) = between + within / x, a line in 1/x; its two coefficients give k = within / between.
            squared = (mean - self.mean_) ** 2
            design = np.column_stack([np.ones_like(x), 1 / x])
            # Amounts are heavy-tailed: cap the squares so that three wholesalers do not decide k for everyone.
            squared = np.minimum(squared, np.quantile(squared, 0.99))
            between, within = np.linalg.lstsq(design, squared, rcond=None)[0]
            if between > 0 and within > 0:
                self.k_ = float(np.clip(within / between, 0.1, 50.0))
                self.within_ = float(np.clip(within / max(self.mean_, 1e-12) ** 2, 0.01, 10.0))
        return self

    def expected_amount(self, orders: ArrayLike, mean_amount: ArrayLike) -> Floats:
        """Return each customer's expected amount per future order, (n,)."""
        x, mean = np.asarray(orders, dtype=float), np.asarray(mean_amount, dtype=float)
        known = (x > 0) & (mean > 0)
        x, mean = np.where(known, x, 0.0), np.where(known, mean, 0.0)
        amount: Floats = (x * mean + self.k_ * self.mean_) / (x + self.k_)
        return amount

    def relative_spread(self, orders: ArrayLike) -> tuple[Floats, Floats]:
        """Return the squared relative spread of one order about the customer's mean, and of that mean's uncertainty, (n,) each."""
        x = np.asarray(orders, dtype=float)
        return np.full(len(x), self.within_), self.within_ / (x + self.k_)

    def to_config(self) -> dict[str, Any]:
        return {"kind": self.kind, "mean": self.mean_, "k": self.k_, "within": self.within_, "customers": self.customers_}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        model = cls()
        model.mean_, model.k_, model.customers_ = float(config["mean"]), float(config["k"]), int(config["customers"])
        model.within_ = float(config.get("within", cls.within_))
        return model


@dataclass(frozen=True, slots=True)
class _Amounts:
    """Orders and mean amount per customer; the few distinct numbers of orders apart, for the gamma functions."""

    x: Floats
    z: Floats
    xs: Floats
    x_at: NDArray[np.int64]

    @classmethod
    def of(cls, x: Floats, z: Floats) -> _Amounts:
        xs, x_at = np.unique(x, return_inverse=True)
        return cls(x, z, xs, x_at)

    def sample(self, rows: int, *, seed: int = 0) -> _Amounts:
        if len(self.x) <= rows:
            return self
        chosen = np.random.default_rng(seed).choice(len(self.x), size=rows, replace=False)
        return _Amounts.of(self.x[chosen], self.z[chosen])


def _log_likelihood(rows: _Amounts, p: float, q: float, gamma: float) -> Floats:
    x = rows.xs
    by_x = gammaln(p * x + q) - gammaln(p * x) - gammaln(q) + q * np.log(gamma) + p * x * np.log(x)
    density: Floats = by_x[rows.x_at] + (p * rows.x - 1) * np.log(rows.z) - (p * rows.x + q) * np.log(gamma + rows.x * rows.z)
    return density


def _objective(logs: Floats, rows: _Amounts) -> tuple[float, Floats]:
    p, q, gamma = np.exp(logs)
    total = gamma + rows.x * rows.z
    log_total, digamma = np.log(total), psi(p * rows.xs + q)
    d_p = (rows.xs * (digamma - psi(p * rows.xs) + np.log(rows.xs)))[rows.x_at] + rows.x * (np.log(rows.z) - log_total)
    d_q = (digamma - psi(q) + np.log(gamma))[rows.x_at] - log_total
    d_gamma = q / gamma - (p * rows.x + q) / total
    gradient = -np.array([d_p.mean() * p, d_q.mean() * q, d_gamma.mean() * gamma])
    return -float(_log_likelihood(rows, p, q, gamma).mean()), gradient
