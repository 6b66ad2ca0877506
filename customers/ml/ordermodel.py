"""What the three models of ordering have in common: the questions they answer, and their form as configuration."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from customers.ml.counts import CountForecast, count_forecast
from customers.ml.histories import GREATEST_PARAMETER, LEAST_PARAMETER, DegenerateFit, Grouped, checked_history, distinct

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Tail = Callable[[int, NDArray[np.int64]], Floats]


class OrderModel(ABC):
    """Orders per customer from (frequency, recency, age), in days.

    unit_days: the unit in which parameters and `log_likelihood_` are stated; 7 = weeks, as in the published tables.
    After `fit`: one attribute per name in `names`, with a trailing underscore, `log_likelihood_` (sum), `customers_`.
    """

    kind: ClassVar[str]
    names: ClassVar[tuple[str, ...]]

    def __init__(self, *, unit_days: float = 7.0) -> None:
        self.unit_days = unit_days
        self.log_likelihood_ = 0.0
        self.customers_ = 0

    @abstractmethod
    def fit(self, frequency: ArrayLike, recency_days: ArrayLike, age_days: ArrayLike) -> Self:
        """Learn the parameters; raises DegenerateFit where the data do not determine them.

        frequency: (n,) repeat orders (days with an order, less the first).
        recency_days, age_days: (n,) days from the first order to the last one and to the end of the observed period.
        """

    @abstractmethod
    def _log_density(self, rows: Grouped) -> Floats:
        """Return the log-likelihood of each group's history; times in units."""

    @abstractmethod
    def _active(self, x: Floats, recency: Floats, age: Floats) -> Floats:
        """Return P(active) per row; times in units."""

    @abstractmethod
    def _ahead(self, x: Floats, age: Floats, horizon: float) -> tuple[Floats, Tail]:
        """Return the expected orders of the horizon if active, and their tail P(orders >= k | active); times in units."""

    def _weight(self, x: Floats, recency: Floats, age: Floats) -> Floats:
        """Return by how much what happens "if active" counts; P(active) unless nobody ever stops."""
        return self._active(x, recency, age)

    def p_active(self, frequency: ArrayLike, recency_days: ArrayLike, age_days: ArrayLike) -> Floats:
        """Return each customer's probability of still being a customer, (n,) in 0..1."""
        return self._active(*self._in_units(frequency, recency_days, age_days))

    def expected_orders(self, frequency: ArrayLike, recency_days: ArrayLike, age_days: ArrayLike, horizon_days: float) -> Floats:
        """Return each customer's expected number of orders in the coming `horizon_days`, (n,), never negative."""
        x, recency, age = self._in_units(frequency, recency_days, age_days)
        (xs, ages), place = distinct(x, age)
        mean, _tail = self._ahead(xs, ages, horizon_days / self.unit_days)
        expected: Floats = mean[place] * self._weight(x, recency, age)
        return expected

    def expected_from_start(self, age_days: ArrayLike) -> Floats:
        """Return the repeat orders expected of a customer of whom nothing is known within `age_days` of the first order."""
        ages = np.asarray(age_days, dtype=float)
        nothing = np.zeros(1)
        expected = np.array([float(self._ahead(nothing, nothing, float(days) / self.unit_days)[0][0]) for days in ages.ravel()])
        return expected.reshape(ages.shape)

    def forecast(self, frequency: ArrayLike, recency_days: ArrayLike, age_days: ArrayLike, horizon_days: float, *, level: float = 0.8) -> CountForecast:
        """Return expectation, spread and the interval that holds the horizon's orders with probability `level`."""
        x, recency, age = self._in_units(frequency, recency_days, age_days)
        (xs, ages), place = distinct(x, age)
        mean, tail = self._ahead(xs, ages, horizon_days / self.unit_days)
        # Round half up: an effective horizon of a season may be a fraction of a day.
        most = max(int(horizon_days + 0.5), 1)
        return count_forecast(mean=mean, tail=tail, place=place, active=self._weight(x, recency, age), level=level, most=most)

    def orders_between(
        self, frequency: ArrayLike, recency_days: ArrayLike, age_days: ArrayLike, horizon_days: float, *, level: float = 0.8
    ) -> tuple[Floats, Floats]:
        """Return the low and high end of the interval that holds the orders of the horizon with probability `level`."""
        found = self.forecast(frequency, recency_days, age_days, horizon_days, level=level)
        return found.low, found.high

    def median_wait_days(self, frequency: ArrayLike, age_days: ArrayLike) -> Floats:
        """Return the days within which half of the active customers with this history order again, (n,).

        The rate is Gamma(r + x, alpha + T) given the history, so P(no order in t) = ((alpha + T) / (alpha + T + t)) ** (r + x).
        """
        x, age = np.asarray(frequency, dtype=float), np.asarray(age_days, dtype=float) / self.unit_days
        r, alpha = self.parameters()[:2]
        # A shop of one-time buyers has r near 0: the median lies beyond any calendar.
        wait: Floats = (alpha + age) * np.expm1(np.minimum(np.log(2.0) / (r + x), 30.0)) * self.unit_days
        return wait

    def log_likelihood(self, frequency: ArrayLike, recency_days: ArrayLike, age_days: ArrayLike) -> Floats:
        """Return the log-density of each customer's order dates, (n,).

        For one customer, its value at a later day less its value at an earlier one is the log-density of what happened
        between the two, given what came before: the holdout likelihood, exactly.
        """
        x, recency, age = self._in_units(frequency, recency_days, age_days)
        return self._log_density(Grouped.of_rows(x, recency, age, np.ones(len(x))))

    def parameters(self) -> tuple[float, ...]:
        return tuple(getattr(self, f"{name}_") for name in self.names)

    def to_config(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "unit_days": self.unit_days,
            **dict(zip(self.names, self.parameters(), strict=True)),
            "log_likelihood": self.log_likelihood_,
            "customers": self.customers_,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        model = cls(unit_days=float(config["unit_days"]))
        for name in cls.names:
            value = float(config[name])
            if not 0 < value < float("inf"):
                raise ValueError(f"parameter {name} is {value}")
            setattr(model, f"{name}_", value)
        model.log_likelihood_, model.customers_ = float(config["log_likelihood"]), int(config["customers"])
        return model

    def _in_units(self, frequency: ArrayLike, recency_days: ArrayLike, age_days: ArrayLike) -> tuple[Floats, Floats, Floats]:
        x, recency, age = checked_history(frequency, recency_days, age_days)
        return x, recency / self.unit_days, age / self.unit_days

    def _settle(self, parameters: tuple[float, ...], rows: Grouped) -> None:
        """Keep the parameters (times in units) and refuse a fit that sits on a ridge."""
        for name, value in zip(self.names, parameters, strict=True):
            setattr(self, f"{name}_", float(value))
        self.customers_ = int(rows.customers)
        self.log_likelihood_ = float(rows.weight @ self._log_density(rows))
        if not np.isfinite([*parameters, self.log_likelihood_]).all():
            raise DegenerateFit("a parameter is not a number")
        self._refuse_if_degenerate()
        for name, value in zip(self.names, parameters, strict=True):
            if value > GREATEST_PARAMETER or value < LEAST_PARAMETER:
                raise DegenerateFit(f"parameter {name} ran to {value:.1e}, a flat ridge of the likelihood")

    def _refuse_if_degenerate(self) -> None:  # noqa: B027 - most models know nothing more
        """Raise DegenerateFit for what only this model knows; by default nothing."""


def scale_of(rows: Grouped) -> float:
    """Return the unit in which a typical age is about 10: the parameters' logarithms then have similar curvature."""
    return max(float(rows.age.max()), 1.0) / 10.0
