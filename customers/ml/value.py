"""Expected orders, probability of being active and value of every customer, from dates and amounts alone.

`summarise_orders` turns order rows into the four numbers the models need, `fit_value` chooses and fits the models for a
shop, `ValueModel.forecast` answers for any customers and horizon.  Pure: no Django, no query.  How it works and how
well: docs/algorithms/value.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from customers.ml.rates import BetaGeometricNBD, DegenerateFit, EmpiricalRate, InconsistentHistory
from customers.ml.spend import GammaGamma, ShrunkenMean

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = [
    "BetaGeometricNBD",
    "DegenerateFit",
    "EmpiricalRate",
    "GammaGamma",
    "InconsistentHistory",
    "OrderHistory",
    "ShrunkenMean",
    "ValueForecast",
    "ValueModel",
    "fit_value",
    "summarise_orders",
]


@dataclass(frozen=True, slots=True)
class OrderHistory:
    """One row per customer with at least one order up to the as-of day.

    customer: (n,) int, the caller's customer index, ascending.
    orders: (n,) days with an order.  frequency: orders - 1.
    recency_days, age_days: (n,) days from the first order to the last one and to the as-of day.
    total_amount: (n,) all spend.  mean_amount: (n,) spend per day with an order.
    repeat_amount: (n,) the same without the first day, 0 where there is none (what the gamma-gamma paper uses).
    """

    customer: NDArray[np.int64]
    orders: Floats
    recency_days: Floats
    age_days: Floats
    total_amount: Floats
    mean_amount: Floats
    repeat_amount: Floats

    @property
    def frequency(self) -> Floats:
        return self.orders - 1

    @property
    def silence_days(self) -> Floats:
        """Days since the last order."""
        return self.age_days - self.recency_days

    def __len__(self) -> int:
        return len(self.customer)


@dataclass(frozen=True, slots=True)
class ValueForecast:
    """Per customer, in the order of the history given: expectation over the horizon and its interval at `level`."""

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
class ValueModel:
    """A fitted pair: how often (`rate`) and how much (`spend`); `notes` says what was tried and not used, and why."""

    rate: BetaGeometricNBD | EmpiricalRate
    spend: GammaGamma | ShrunkenMean
    notes: tuple[str, ...] = field(default=())

    def forecast(self, history: OrderHistory, *, horizon_days: float, level: float = 0.8) -> ValueForecast:
        """Return what each customer is expected to do in the next `horizon_days`.

        Value intervals carry the uncertainty of the number of orders, not that of the amount per order.
        """
        columns = (history.frequency, history.recency_days, history.age_days)
        orders = self.rate.expected_orders(*columns, horizon_days)
        low, high = self.rate.orders_between(*columns, horizon_days, level=level)
        amount = self.spend.expected_amount(history.orders, history.mean_amount)
        return ValueForecast(
            horizon_days=horizon_days,
            level=level,
            p_active=self.rate.p_active(*columns),
            orders=orders,
            orders_low=low,
            orders_high=high,
            order_amount=amount,
            value=orders * amount,
            value_low=low * amount,
            value_high=high * amount,
        )

    def to_config(self) -> dict[str, Any]:
        return {"rate": self.rate.to_config(), "spend": self.spend.to_config(), "notes": list(self.notes)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        rates = {kind.kind: kind for kind in (BetaGeometricNBD, EmpiricalRate)}
        spends = {kind.kind: kind for kind in (GammaGamma, ShrunkenMean)}
        return cls(
            rate=rates[config["rate"]["kind"]].from_config(config["rate"]),
            spend=spends[config["spend"]["kind"]].from_config(config["spend"]),
            notes=tuple(config["notes"]),
        )


def summarise_orders(customer: ArrayLike, day: ArrayLike, amount: ArrayLike, *, as_of_day: float) -> OrderHistory:
    """Return one row per customer from one row per order; several orders on one day count as one, as in the papers.

    customer: (m,) int.  day: (m,) whole days from any fixed origin.  amount: (m,) net amount, in one currency.
    as_of_day: the end of the observed period on the same scale; rows after it are refused by ValueError, because a
    later row in a training set is a leak the caller must know of.
    """
    who, when, money = np.asarray(customer, dtype=np.int64), np.asarray(day), np.asarray(amount, dtype=float)
    when = np.floor(when.astype(float)).astype(np.int64)
    if len(when) and when.max() > as_of_day:
        raise ValueError("an order lies after the as-of day")
    order = np.lexsort((when, who))
    who, when, money = who[order], when[order], money[order]
    new_day = np.ones(len(who), dtype=bool)
    new_day[1:] = (who[1:] != who[:-1]) | (when[1:] != when[:-1])
    starts = np.flatnonzero(new_day)
    money = np.add.reduceat(money, starts) if len(starts) else money
    who, when = who[starts], when[starts]
    customers, first, counts = np.unique(who, return_index=True, return_counts=True)
    last = first + counts - 1
    total = np.add.reduceat(money, first) if len(first) else np.zeros(0)
    repeats = counts - 1
    return OrderHistory(
        customer=customers,
        orders=counts.astype(float),
        recency_days=(when[last] - when[first]).astype(float),
        age_days=(as_of_day - when[first]).astype(float),
        total_amount=total,
        mean_amount=total / np.maximum(counts, 1),
        repeat_amount=np.where(repeats > 0, (total - money[first]) / np.maximum(repeats, 1), 0.0) if len(first) else total,
    )


def fit_value(history: OrderHistory) -> ValueModel:
    """Return the model of this shop: BG/NBD and gamma-gamma where they fit, else the stated fallbacks.

    All orders enter the amounts, first ones included: unlike the paper's CDNOW example a young shop has mostly first
    orders, and leaving them out would leave out most of what is known.
    """
    columns = (history.frequency, history.recency_days, history.age_days)
    notes: list[str] = []
    rate: BetaGeometricNBD | EmpiricalRate
    spend: GammaGamma | ShrunkenMean
    try:
        rate = BetaGeometricNBD().fit(*columns)
    except DegenerateFit as failure:
        notes.append(f"BG/NBD not used: {failure.reason}")
        rate = EmpiricalRate().fit(*columns)
    try:
        spend = GammaGamma().fit(history.orders, history.mean_amount)
    except DegenerateFit as failure:
        notes.append(f"Gamma-gamma not used: {failure.reason}")
        spend = ShrunkenMean().fit(history.orders, history.mean_amount)
    return ValueModel(rate=rate, spend=spend, notes=tuple(notes))
