"""Customers without an order: what became of people who had browsed like them.

Learned on people who had no order some time ago and on what they did since; asked for the nearest of them.  With few
neighbours who bought the interval is wide, as it should be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from customers.features import FeatureTable

    Floats = NDArray[np.float64]

# Neighbours asked: one past prospect in ten, within these bounds. Asking sixty of a young shop's two hundred blurred those
# who had just come with those who never buy (docs/algorithms/features.md has the figures).
ASKED_SHARE, FEWEST_ASKED, MOST_ASKED = 0.1, 15, 60
# Fewer past prospects than FEWEST say nothing; more than MOST cost time and tell nothing new.
FEWEST = 60
MOST = 6_000
LEVEL = 0.8
# Weight of the whole shop's prospects against the neighbours', in people.
PRIOR = 5.0
NAMES = ("known_days", "seen_days", "views_30", "views_90", "baskets_90", "searches_90", "active_days_60", "wishes_365")
# Somebody never seen on the site, in days.
NEVER = 400.0


@dataclass(frozen=True, slots=True)
class ColdForecast:
    """All (n,): what to expect of people without an order; amounts in the main currency.

    p_30: probability of an order within 30 days.  orders_90, value_365: means.  *_low, *_high: what LEVEL of such people
    lie between.  bought: of the neighbours, how many ordered within `days`.
    """

    p_30: Floats
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
    bought: Floats


@dataclass(frozen=True, slots=True)
class ColdStart:
    """points: (m, 8) standardised features of past prospects.  orders, orders_30, spend: (m,) in the `days` that followed."""

    middle: Floats
    scale: Floats
    points: Floats
    orders: Floats
    orders_30: Floats
    spend: Floats
    days: int

    @property
    def asked(self) -> int:
        """How many neighbours are asked."""
        return min(len(self.points), max(FEWEST_ASKED, min(MOST_ASKED, round(ASKED_SHARE * len(self.points)))))

    def to_json(self) -> dict[str, Any]:
        return {name: np.round(getattr(self, name), 4).tolist() for name in ("middle", "scale", "points", "orders", "orders_30", "spend")} | {"days": self.days}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> ColdStart:
        return cls(
            **{name: np.array(kept[name], dtype=float) for name in ("middle", "scale", "points", "orders", "orders_30", "spend")}, days=int(kept["days"])
        )

    def forecast(self, table: FeatureTable) -> ColdForecast:
        """Return what to expect of the table's customers, none of whom has ordered."""
        from scipy.spatial import cKDTree

        count = self.asked
        _distance, near = cKDTree(self.points).query((_features(table) - self.middle) / self.scale, k=count)
        near = np.asarray(near).reshape(len(table), count)
        year, quarter, month = 365 / self.days, 90 / self.days, min(30, self.days)
        orders, spend = self._mean(self.orders, near), self._mean(self.spend, near)
        in_month, buys = self._mean(self.orders_30, near), self._mean((self.orders_30 > 0).astype(float), near)
        tail = (1 - LEVEL) / 2
        low, high = np.quantile(self.orders[near], [tail, 1 - tail], axis=1)
        spend_low, spend_high = np.quantile(self.spend[near], [tail, 1 - tail], axis=1)
        # Not even one in ten of the neighbours may have bought: then the mean lies above that tenth, and the end goes there.
        return ColdForecast(
            p_30=np.clip(buys, 0.0, 1.0),
            orders_30=in_month * 30 / month,
            orders_90=orders * quarter,
            orders_90_low=np.minimum(low, orders) * quarter,
            orders_90_high=np.maximum(high, np.ceil(orders)) * max(quarter, 1.0),
            orders_365=orders * year,
            value_30=spend * 30 / self.days,
            value_90=spend * quarter,
            value_365=spend * year,
            value_365_low=np.minimum(spend_low, spend) * year,
            value_365_high=np.maximum(np.maximum(spend_high, spend), self._dear(near)) * year,
            bought=(self.orders[near] > 0).sum(axis=1).astype(float),
        )

    def _mean(self, values: Floats, near: NDArray[np.int64]) -> Floats:
        """Return the neighbours' mean, drawn towards that of all past prospects."""
        found: Floats = (values[near].sum(axis=1) + PRIOR * values.mean()) / (near.shape[1] + PRIOR)
        return found

    def _dear(self, near: NDArray[np.int64]) -> Floats:
        """Return what one who does buy spends: the end of an honest interval where at least one in ten may."""
        bought = self.spend > 0
        typical = float(self.spend[bought].mean()) if bought.any() else 0.0
        share = self._mean(bought.astype(float), near)
        upper = share + 1.2816 * np.sqrt(share * (1 - share) / near.shape[1])
        return np.where(upper >= 0.1, typical, typical * upper * 10)


def learn(table: FeatureTable, *, orders: Floats, orders_30: Floats, spend: Floats, days: int) -> ColdStart | None:
    """Learn from past prospects and what they did in the `days` since; None where there are too few, or none has bought."""
    if len(table) < FEWEST or not (orders > 0).any():
        return None
    chosen = np.linspace(0, len(table) - 1, min(len(table), MOST)).astype(np.int64)
    raw = _features(table)[chosen]
    middle, scale = raw.mean(axis=0), np.maximum(raw.std(axis=0), 1e-3)
    return ColdStart(middle, scale, (raw - middle) / scale, orders[chosen], orders_30[chosen], spend[chosen], days)


def _features(table: FeatureTable) -> Floats:
    """Return (n, 8) logarithms; who was never seen counts as long unseen."""
    columns = [table.column(name).astype(float) for name in NAMES]
    filled = [
        np.where(np.isfinite(column), column, NEVER if name.endswith("_days") and name != "active_days_60" else 0.0)
        for name, column in zip(NAMES, columns, strict=True)
    ]
    found: Floats = np.log1p(np.maximum(np.column_stack(filled), 0.0))
    return found
