"""What the portrait needs of the value model, in one call: 30, 90 and 365 days, and when the next order is due."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from customers.ml.orders import OrderHistory
from customers.ml.value import ValueModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MONTH_DAYS, QUARTER_DAYS, YEAR_DAYS = 30.0, 90.0, 365.0
# A next order further away than this is not foreseen.
FARTHEST_DAYS = 730.0


@dataclass(frozen=True, slots=True)
class ValueHorizons:
    """Every column (n,), float, finite, in the order of the history given; amounts in the currency of its amounts.

    p_active: probability of still being a customer.  orders_*, value_*: expected in the coming 30, 90, 365 days, with
    value = orders * order_amount; *_low, *_high: the interval that holds the outcome with probability `level`.
    next_order_days: days from the as-of day within which half of such customers, if active, have ordered again; at most
    FARTHEST_DAYS, which means "not foreseen".  next_order_day: the same as a day number on the history's scale.
    """

    level: float
    p_active: Floats
    order_amount: Floats
    orders_30: Floats
    orders_90: Floats
    orders_90_low: Floats
    orders_90_high: Floats
    orders_365: Floats
    orders_365_low: Floats
    orders_365_high: Floats
    value_30: Floats
    value_90: Floats
    value_90_low: Floats
    value_90_high: Floats
    value_365: Floats
    value_365_low: Floats
    value_365_high: Floats
    next_order_days: Floats
    next_order_day: Floats


def forecast_horizons(model: ValueModel, history: OrderHistory, *, level: float = 0.8) -> ValueHorizons:
    """Return the forecasts of every customer of the history; no row depends on another, so shards may be asked apart.

    One million customers take about ten seconds on one core, most of it in the tails of the yearly counts.
    """
    factor = model.factor(history)
    near = model.forecast(history, horizon_days=QUARTER_DAYS, level=level, factor=factor)
    year = model.forecast(history, horizon_days=YEAR_DAYS, level=level, factor=factor)
    columns = model.timed(history)
    month = model.rate.expected_orders(*columns, model.horizon(history, MONTH_DAYS))
    # The season's clock runs unevenly; over the wait its pace of the coming quarter is near enough.
    pace = max(model.horizon(history, QUARTER_DAYS) / QUARTER_DAYS, 1e-3)
    wait = np.clip(np.ceil(model.rate.median_wait_days(columns[0], columns[2]) / pace), 1.0, FARTHEST_DAYS)
    return ValueHorizons(
        level=level,
        p_active=near.p_active,
        order_amount=near.order_amount,
        orders_30=month,
        orders_90=near.orders,
        orders_90_low=near.orders_low,
        orders_90_high=near.orders_high,
        orders_365=year.orders,
        orders_365_low=year.orders_low,
        orders_365_high=year.orders_high,
        value_30=month * near.order_amount,
        value_90=near.value,
        value_90_low=near.value_low,
        value_90_high=near.value_high,
        value_365=year.value,
        value_365_low=year.value_low,
        value_365_high=year.value_high,
        next_order_days=wait,
        next_order_day=history.as_of_day + wait,
    )
