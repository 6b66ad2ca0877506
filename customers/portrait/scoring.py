"""Everything inferred of a range of customers, as columns. Knows models, runs no query."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from customers.ml.hmm.stages import stage_probabilities
from customers.ml.horizons import FARTHEST_DAYS, forecast_horizons
from customers.ml.lifecycle import gap_history
from customers.ml.orders import summarise_orders

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from customers.features.builder import Parts
    from customers.features.orders import Orders
    from customers.ml.orders import OrderHistory
    from customers.portrait.serving import Models
    from customers.portrait.yardstick import Yardstick

    Floats = NDArray[np.float64]

# Orders that the shop's return rate weighs against a customer's own, where no model serves.
RETURN_PRIOR = 3.0


@dataclass(frozen=True, slots=True)
class Expectations:
    """What is expected of each customer, (n,), NaN where nothing is claimed; amounts in the main currency."""

    p_active: Floats
    order_amount: Floats
    orders_30: Floats
    orders_90: Floats
    orders_90_low: Floats
    orders_90_high: Floats
    orders_365: Floats
    value_30: Floats
    value_90: Floats
    value_365: Floats
    value_365_low: Floats
    value_365_high: Floats
    next_order_day: Floats

    def over(self, place: NDArray[np.int64], size: int) -> Expectations:
        """Return the same laid out over `size` customers at these places, NaN elsewhere."""
        laid = {}
        for field in fields(self):
            laid[field.name] = np.full(size, np.nan)
            laid[field.name][place] = getattr(self, field.name)
        return Expectations(**laid)


@dataclass(frozen=True, slots=True)
class Buyers:
    """What only buyers have; (b,), in the order of `history`. place: their positions among all customers."""

    history: OrderHistory
    place: NDArray[np.int64]
    recency: NDArray[np.int64]
    frequency: NDArray[np.int64]
    monetary: NDArray[np.int64]
    group: NDArray[np.str_]
    stage: NDArray[np.str_]
    stage_names: tuple[str, ...]
    stage_share: Floats | None
    expected_gap: Floats
    overdue: Floats
    last_gap: Floats
    loyal_orders: int


@dataclass(frozen=True, slots=True)
class Scores:
    """expected: of buyers and, from neighbours, of people without an order.  neighbours: how many of those had bought."""

    buyers: Buyers
    expected: Expectations
    is_cold: NDArray[np.bool_]
    neighbours: Floats
    p_churn: Floats
    p_purchase_30: Floats
    p_return: Floats


def score(parts: Parts, yardstick: Yardstick, models: Models) -> Scores:
    """Return the scores of every customer of the parts, in their order."""
    size, day, orders = len(parts.table), yardstick.as_of_day, parts.orders
    history = summarise_orders(orders.customer, orders.day, orders.amount, as_of_day=day)
    place = np.searchsorted(parts.table.customer, history.customer)
    buyers = _buyers(parts, yardstick, models, history, place)
    expected = expectations(orders, history, models).over(place, size)
    is_cold = np.ones(size, dtype=bool)
    is_cold[place] = False
    neighbours = np.full(size, np.nan)
    p_30 = np.full(size, np.nan)
    strangers = np.flatnonzero(is_cold)
    if yardstick.cold is not None and len(strangers):
        told = yardstick.cold.forecast(parts.table.only(strangers))
        for name in (
            "orders_30",
            "orders_90",
            "orders_90_low",
            "orders_90_high",
            "orders_365",
            "value_30",
            "value_90",
            "value_365",
            "value_365_low",
            "value_365_high",
        ):
            getattr(expected, name)[strangers] = getattr(told, name)
        neighbours[strangers], p_30[strangers] = told.bought, told.p_30
    has_model = models.value is not None
    in_90, in_30 = (expected.orders_90, expected.orders_30) if has_model else (np.full(size, np.nan),) * 2
    p_30 = np.where(np.isfinite(p_30), p_30, -np.expm1(-in_30))
    counted, returned = parts.table.column("orders").astype(float), parts.table.column("returns").astype(float)
    usual = np.where(counted > 0, np.clip((returned + RETURN_PRIOR * yardstick.return_rate) / (counted + RETURN_PRIOR), 0, 1), np.nan)
    return Scores(
        buyers=buyers,
        expected=expected,
        is_cold=is_cold,
        neighbours=neighbours,
        p_churn=_asked(models, "churn", parts, np.where(is_cold, np.nan, np.exp(-in_90))),
        p_purchase_30=_asked(models, "next_purchase", parts, p_30),
        p_return=_asked(models, "returns", parts, usual),
    )


def expectations(orders: Orders, history: OrderHistory, models: Models) -> Expectations:
    """Return what is expected of the buyers of `history`: by the value model, else "the same again"."""
    unknown = np.full(len(history), np.nan)
    if models.value is None:
        counts = {days: _recent(orders, history, days) for days in (30, 90, 365)}
        amount = history.mean_amount
        return Expectations(
            p_active=unknown, order_amount=amount, orders_30=counts[30], orders_90=counts[90], orders_90_low=unknown, orders_90_high=unknown,
            orders_365=counts[365], value_30=counts[30] * amount, value_90=counts[90] * amount, value_365=counts[365] * amount,
            value_365_low=unknown, value_365_high=unknown, next_order_day=unknown,
        )  # fmt: skip
    if not len(history):
        return Expectations(*(unknown.copy() for _field in fields(Expectations)))
    told = forecast_horizons(models.value, history)
    return Expectations(
        p_active=told.p_active, order_amount=told.order_amount, orders_30=told.orders_30, orders_90=told.orders_90,
        orders_90_low=told.orders_90_low, orders_90_high=told.orders_90_high, orders_365=told.orders_365,
        value_30=told.value_30, value_90=told.value_90, value_365=told.value_365,
        value_365_low=told.value_365_low, value_365_high=told.value_365_high,
        next_order_day=np.where(told.next_order_days < FARTHEST_DAYS, told.next_order_day, np.nan),
    )  # fmt: skip


def _buyers(parts: Parts, yardstick: Yardstick, models: Models, history: OrderHistory, place: NDArray[np.int64]) -> Buyers:
    orders, day = parts.orders, yardstick.as_of_day
    net = np.maximum(history.total_amount - parts.unmatched_returns[place], 0.0)
    rfm = yardstick.scale.score(silence_days=history.silence_days, orders=history.orders, amount=net)
    gaps = gap_history(orders.customer, orders.day, customers=history.customer, as_of_day=day)
    rhythm = models.stages.gaps.stages(gaps)
    named = stage_probabilities(models.stages, customer=orders.customer, day=orders.day, customers=history.customer, as_of_day=day)
    return Buyers(
        history=history,
        place=place,
        recency=rfm.recency,
        frequency=rfm.frequency,
        monetary=rfm.monetary,
        group=rfm.group,
        stage=named.stage,
        stage_names=named.names,
        stage_share=named.probability if named.is_probability else None,
        expected_gap=rhythm.expected_gap_days,
        overdue=rhythm.overdue,
        last_gap=gaps.last_gap_days,
        loyal_orders=int(models.stages.gaps.loyal_orders_),
    )


def _asked(models: Models, task: str, parts: Parts, baseline: Floats) -> Floats:
    """Return the model's probabilities; the baseline's where none serves, and for nobody the model is not asked about."""
    model = models.propensities.get(task)
    if model is None:
        return baseline
    said = model.score(parts.table).probability
    # People first seen after the moment have no features, but neighbours may have told of them.
    return np.where(np.isfinite(said), said, np.nan if task != "next_purchase" else baseline)


def _recent(orders: Orders, history: OrderHistory, days: int) -> Floats:
    """Return each buyer's days with an order in the last `days`."""
    if not len(orders):
        return np.zeros(len(history))
    recent = orders.day > history.as_of_day - days
    pairs = np.unique(np.column_stack([orders.customer[recent], orders.day[recent]]), axis=0)
    return np.bincount(np.searchsorted(history.customer, pairs[:, 0]), minlength=len(history)).astype(float)
