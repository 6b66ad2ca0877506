"""Expected orders, probability of being active and value of every customer, from dates and amounts alone.

`summarise_orders` turns order rows into the numbers the models need, `fit_value` fits a shop's models to such a summary,
`learning_value.learn_value` also chooses among them, learns seasons and refines from the rows themselves, and
`ValueModel.forecast` answers for any customers and horizon.  Pure: no Django, no query.  How it works and how well:
docs/algorithms/value.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from customers.ml.amounts import total_interval
from customers.ml.orders import OrderHistory, summarise_orders
from customers.ml.rates import ORDER_MODELS, BetaGeometricNBD, DegenerateFit, EmpiricalRate, InconsistentHistory, OrderModel, ParetoNBD
from customers.ml.season import Season
from customers.ml.spend import GammaGamma, ShrunkenMean
from customers.ml.tilt import Tilt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = [
    "BetaGeometricNBD",
    "DegenerateFit",
    "EmpiricalRate",
    "GammaGamma",
    "InconsistentHistory",
    "OrderHistory",
    "ParetoNBD",
    "ShrunkenMean",
    "ValueForecast",
    "ValueModel",
    "fit_value",
    "summarise_orders",
]

# How the models are called in reports and notes.
NAMES = {
    "bg_nbd": "BG/NBD",
    "pareto_nbd": "Pareto/NBD",
    "empirical_rate": "NBD",
    "gamma_gamma": "Gamma-gamma",
    "shrunken_mean": "shrunken mean",
}


@dataclass(frozen=True, slots=True)
class ValueForecast:
    """Per customer, in the order of the history given: expectation over the horizon and its interval at `level`.

    value = orders * order_amount.  value_low, value_high carry both the number of orders and their amounts.
    """

    horizon_days: float
    level: float
    p_active: Floats
    orders: Floats
    orders_low: Floats
    orders_high: Floats
    order_amount: Floats
    value: Floats
    value_low: Floats
    value_high: Floats


@dataclass(frozen=True, slots=True)
class Expected:
    """The expectations of a ValueForecast alone, which cost a tenth of its intervals; (n,) each."""

    orders: Floats
    value: Floats
    p_active: Floats


@dataclass(frozen=True, slots=True)
class ValueModel:
    """A fitted shop: how often (`rate`), how much (`spend`), when in the year (`season`), and what recent behaviour adds
    to the ranking of value (`tilt`); the last two None where the data do not support them.  `notes` says what was tried
    and not used, and why.
    """

    rate: OrderModel
    spend: GammaGamma | ShrunkenMean
    season: Season | None = None
    tilt: Tilt | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def described(self) -> str:
        """The parts by name, for lists of versions."""
        return " + ".join([self.rate.kind, self.spend.kind, *(["season"] if self.season else []), *(["ranking"] if self.tilt else [])])

    def timed(self, history: OrderHistory) -> tuple[Floats, Floats, Floats]:
        """Return frequency, recency and age, the times by the season's clock."""
        if self.season is None:
            return history.columns
        first, last = history.as_of_day - history.age_days, history.as_of_day - history.silence_days
        return history.frequency, self.season.between(first, last), self.season.between(first, history.as_of_day)

    def horizon(self, history: OrderHistory, days: float) -> float:
        """Return the coming `days` by the season's clock."""
        if self.season is None:
            return days
        return float(self.season.between(np.array([history.as_of_day]), history.as_of_day + days)[0])

    def p_active(self, history: OrderHistory) -> Floats:
        return self.rate.p_active(*self.timed(history))

    def order_amount(self, history: OrderHistory) -> Floats:
        """Return the expected amount of each customer's next order, before the tilt."""
        return self.spend.expected_amount(history.orders, history.mean_amount)

    def means(self, history: OrderHistory, days: float) -> Expected:
        """Return the expectations over the coming `days`, before the tilt."""
        columns = self.timed(history)
        orders = self.rate.expected_orders(*columns, self.horizon(history, days))
        return Expected(orders, orders * self.order_amount(history), self.rate.p_active(*columns))

    def factor(self, history: OrderHistory) -> Floats:
        """Return by how much the tilt raises or lowers each customer's value, (n,); ones without a tilt."""
        if self.tilt is None or not len(history):
            return np.ones(len(history))
        return self.tilt.factor(history, self.means(history, self.tilt.horizon_days))

    def forecast(self, history: OrderHistory, *, horizon_days: float, level: float = 0.8, factor: Floats | None = None) -> ValueForecast:
        """Return what each customer is expected to do in the next `horizon_days`.

        factor: what `self.factor(history)` returned, for a caller who asks for several horizons.
        """
        columns = self.timed(history)
        counts = self.rate.forecast(*columns, self.horizon(history, horizon_days), level=level)
        amount = self.order_amount(history) * (self.factor(history) if factor is None else factor)
        value = counts.mean * amount
        spread = self.spend.relative_spread(history.orders)
        low, high = total_interval(counts, amount, *spread, level=level)
        return ValueForecast(
            horizon_days=horizon_days,
            level=level,
            p_active=self.rate.p_active(*columns),
            orders=counts.mean,
            orders_low=counts.low,
            orders_high=counts.high,
            order_amount=amount,
            value=value,
            value_low=low,
            value_high=high,
        )

    def to_config(self) -> dict[str, Any]:
        return {
            "rate": self.rate.to_config(),
            "spend": self.spend.to_config(),
            "season": self.season.to_config() if self.season else None,
            "tilt": self.tilt.to_config() if self.tilt else None,
            "notes": list(self.notes),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return the model of a configuration; versions from before seasons and tilts load without them.

        Raises KeyError or ValueError for what is not one.
        """
        spends = {kind.kind: kind for kind in (GammaGamma, ShrunkenMean)}
        season, tilt = config.get("season"), config.get("tilt")
        return cls(
            rate=ORDER_MODELS[config["rate"]["kind"]].from_config(config["rate"]),
            spend=spends[config["spend"]["kind"]].from_config(config["spend"]),
            season=Season.from_config(season) if season else None,
            tilt=Tilt.from_config(tilt) if tilt else None,
            notes=tuple(config["notes"]),
        )


def fit_value(history: OrderHistory, *, prefer: Sequence[str] = ("bg_nbd", "pareto_nbd"), season: Season | None = None) -> ValueModel:
    """Return the model of this shop: the first of `prefer` and gamma-gamma where they fit, else the stated fallbacks.

    All orders enter the amounts, first ones included: unlike the paper's CDNOW example a young shop has mostly first
    orders, and leaving them out would leave out most of what is known.
    """
    notes: list[str] = []
    columns = ValueModel(EmpiricalRate(), ShrunkenMean(), season).timed(history)
    rate: OrderModel | None = None
    for kind in prefer:
        try:
            rate = ORDER_MODELS[kind]().fit(*columns)
            break
        except DegenerateFit as failure:
            notes.append(f"{NAMES[kind]} not used: {failure.reason}")
    spend: GammaGamma | ShrunkenMean
    try:
        spend = GammaGamma().fit(history.orders, history.mean_amount)
    except DegenerateFit as failure:
        notes.append(f"Gamma-gamma not used: {failure.reason}")
        spend = ShrunkenMean().fit(history.orders, history.mean_amount)
    return ValueModel(rate=rate or EmpiricalRate().fit(*columns), spend=spend, season=season, notes=tuple(notes))
