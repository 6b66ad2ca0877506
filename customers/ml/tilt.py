"""What recent behaviour adds to the ranking of customers by value: a small learned correction of the probability model.

The order models see three numbers per customer, and on shops whose big buyers order both more and larger, or whose rates
drift, they rank spend no better than its past total.  The tilt learns the ranking from the shop's own past: at earlier
moments, what did customers with this recency, frequency, spend and forecast spend in the horizon that followed?

Two ridge regressions on piecewise-linear functions of the features' ranks: one of the rank of the spend (who comes before
whom), one of the spend itself (Poisson, who brings the money).  Their ranks and the model's own are averaged, and the
customers are given the model's values in this new order: totals and spread stay the model's, the order is learned.
`learning_value` keeps a tilt only where it ranked better on a period it had not seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from customers.ml.orders import OrderHistory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FEATURES = (
    "orders",
    "silence",
    "age",
    "recency_share",
    "mean_amount",
    "total_amount",
    "orders_30",
    "orders_60",
    "orders_90",
    "orders_180",
    "amount_30",
    "amount_60",
    "amount_90",
    "amount_180",
    "last_amount",
    "largest_amount",
    "silence_in_gaps",
    "gap",
    "spend_rate",
    "expected_value",
    "expected_orders",
    "p_active",
)
KNOTS = (-0.3, -0.1, 0.1, 0.3)
# Quantiles kept of each feature to turn a value into its rank.
QUANTILES = 128
# Ridge weight per row of a hundred columns of ranks; between 10 and 100 nothing changes that could be measured.
RIDGE = 30.0
# Where the spend itself is regressed, the largest are capped: one wholesaler must not decide the order of everyone.
CAP = 0.995
# A value is changed by no more than this factor either way.
GREATEST_FACTOR = 8.0
# Rows per block at prediction: 50,000 x 110 columns are 44 MB.
BLOCK = 50_000


class Forecast(Protocol):
    """The part of a ValueForecast that is read."""

    @property
    def value(self) -> Floats: ...
    @property
    def orders(self) -> Floats: ...
    @property
    def p_active(self) -> Floats: ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment of the past: the features then, and the spend of the horizon that followed, (n, f) and (n,)."""

    features: Floats
    spend: Floats


@dataclass(frozen=True, slots=True)
class Ranking:
    """A value's rank in -0.5..0.5 among the customers it was learned from; between the kept quantiles linear."""

    values: Floats
    ranks: Floats

    def __call__(self, given: Floats) -> Floats:
        ranks: Floats = np.interp(given, self.values, self.ranks)
        return ranks

    @classmethod
    def of(cls, column: Floats) -> Ranking:
        ordered = np.sort(column)
        values = np.unique(ordered[np.linspace(0, len(ordered) - 1, QUANTILES).round().astype(int)])
        # The middle of equal values: counts have few distinct ones.
        below, through = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
        return cls(values, (below + through) / 2 / len(ordered) - 0.5)

    def to_config(self) -> list[list[float]]:
        return [[float(f"{value:.9g}") for value in self.values], [round(float(rank), 7) for rank in self.ranks]]

    @classmethod
    def from_config(cls, config: list[list[float]]) -> Ranking:
        values, ranks = (np.array(part, dtype=float) for part in config)
        if len(values) != len(ranks) or not np.isfinite(values).all() or not np.isfinite(ranks).all():
            raise ValueError("a ranking has as many ranks as values")
        return cls(values, ranks)


@dataclass(frozen=True, slots=True)
class Tilt:
    """horizon_days: of the spend it was learned on.  order, money: (1 + columns,) weights of the two regressions.
    blend: weights of order, money and the model's own ranking.  rankings: per feature, then of the two regressions' and
    the model's own output, then of the blend.  log_values: the model's values at the blend's quantiles.
    """

    horizon_days: float
    order: Floats
    money: Floats
    blend: tuple[float, float, float]
    rankings: tuple[Ranking, ...]
    outputs: tuple[Ranking, Ranking, Ranking]
    grid: Floats
    log_values: Floats

    def factor(self, history: OrderHistory, forecast: Forecast) -> Floats:
        """Return by how much to raise or lower each customer's value, (n,), within GREATEST_FACTOR either way.

        forecast: the model's own over `horizon_days`.
        """
        target = np.interp(self.score(features(history, forecast)), self.grid, self.log_values)
        own = np.log(np.maximum(forecast.value, 1e-9))
        # A customer without any expected value keeps none: there is nothing to multiply.
        factor: Floats = np.where(forecast.value > 1e-9, np.exp(np.clip(target - own, -np.log(GREATEST_FACTOR), np.log(GREATEST_FACTOR))), 1.0)
        return factor

    def score(self, given: Floats) -> Floats:
        """Return the blended rank of each row of features, higher is more value."""
        score = np.empty(len(given))
        for begin in range(0, len(given), BLOCK):
            part = given[begin : begin + BLOCK]
            columns = design(part, self.rankings)
            raw = (columns @ self.order, columns @ self.money, part[:, FEATURES.index("expected_value")])
            score[begin : begin + BLOCK] = sum(weight * ranking(each) for weight, ranking, each in zip(self.blend, self.outputs, raw, strict=True))
        return score

    def to_config(self) -> dict[str, Any]:
        def rounded(given: Floats) -> list[float]:
            return [float(f"{value:.9g}") for value in given]

        return {
            "horizon_days": self.horizon_days,
            "features": list(FEATURES),
            "order": rounded(self.order),
            "money": rounded(self.money),
            "blend": list(self.blend),
            "rankings": [ranking.to_config() for ranking in self.rankings],
            "outputs": [ranking.to_config() for ranking in self.outputs],
            "grid": rounded(self.grid),
            "log_values": rounded(self.log_values),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        if tuple(config["features"]) != FEATURES:
            raise ValueError("the ranking was learned on other features")
        first, second, third = (Ranking.from_config(part) for part in config["outputs"])
        one, two, three = (float(weight) for weight in config["blend"])
        return cls(
            horizon_days=float(config["horizon_days"]),
            order=np.array(config["order"], dtype=float),
            money=np.array(config["money"], dtype=float),
            blend=(one, two, three),
            rankings=tuple(Ranking.from_config(part) for part in config["rankings"]),
            outputs=(first, second, third),
            grid=np.array(config["grid"], dtype=float),
            log_values=np.array(config["log_values"], dtype=float),
        )


def features(history: OrderHistory, forecast: Forecast) -> Floats:
    """Return (n, f) features by FEATURES; only their order within a column matters."""
    silence, frequency = history.silence_days, history.frequency
    gap = np.where(frequency > 0, history.recency_days / np.maximum(frequency, 1), 0.0)
    return np.column_stack(
        [
            history.orders,
            silence,
            history.age_days,
            history.recency_days / np.maximum(history.age_days, 1),
            history.mean_amount,
            history.total_amount,
            history.recent_orders,
            history.recent_amount,
            history.last_amount,
            history.largest_amount,
            np.where(frequency > 0, silence / np.maximum(gap, 1), -1.0),
            gap,
            # A month is added so that yesterday's newcomer does not lead by dividing by one day.
            history.total_amount / (history.age_days + 30),
            forecast.value,
            forecast.orders,
            forecast.p_active,
        ]
    )


def learn_weights(snapshots: Sequence[Snapshot]) -> tuple[Floats, Floats]:
    """Return the two regressions' weights, of the order and of the money, from moments of the past."""
    columns, ranks, money = [], [], []
    for snapshot in snapshots:
        columns.append(design(snapshot.features, [Ranking.of(column) for column in snapshot.features.T]))
        ranks.append(Ranking.of(snapshot.spend)(snapshot.spend))
        capped = np.minimum(snapshot.spend, np.quantile(snapshot.spend, CAP))
        money.append(capped / max(float(capped.mean()), 1e-12))
    rows = np.vstack(columns)
    return _ridge(rows, np.concatenate(ranks)), _poisson(rows, np.concatenate(money))


def make_tilt(weights: tuple[Floats, Floats], now: Floats, value: Floats, *, horizon_days: float, blend: tuple[float, float, float]) -> Tilt:
    """Return the tilt for customers whose features and model values are now these.

    now: (n, f) features.  value: (n,) the model's values over the horizon.  blend: weights of the three rankings.
    """
    order, money = weights
    rankings = tuple(Ranking.of(column) for column in now.T)
    raw = [np.concatenate([_times(now[begin : begin + BLOCK], rankings, one) for begin in range(0, len(now), BLOCK)]) for one in weights]
    first, second, third = (Ranking.of(each) for each in (*raw, value))
    score = blend[0] * first(raw[0]) + blend[1] * second(raw[1]) + blend[2] * third(value)
    # More points at the top, where the money is.
    grid = 1 - np.geomspace(1, 1 / max(len(score), 2), 200)
    places = np.unique(np.r_[0.0, np.linspace(0, 1, 200), grid])
    # Strictly rising, or interpolation would be undefined among equal scores.
    points = np.maximum.accumulate(np.quantile(score, places) + np.arange(len(places)) * 1e-9)
    values = np.quantile(np.log(np.maximum(value, 1e-9)), places)
    return Tilt(horizon_days, order, money, blend, rankings, (first, second, third), points, values)


def _times(given: Floats, rankings: Sequence[Ranking], weights: Floats) -> Floats:
    product: Floats = design(given, rankings) @ weights
    return product


def design(given: Floats, rankings: Sequence[Ranking]) -> Floats:
    """Return (n, 1 + f (1 + knots)) columns: one, and piecewise-linear functions of each feature's rank."""
    rows, number = given.shape
    width = 1 + len(KNOTS)
    columns = np.empty((rows, 1 + number * width))
    columns[:, 0] = 1.0
    for feature, ranking in enumerate(rankings):
        rank = ranking(given[:, feature])
        begin = 1 + feature * width
        columns[:, begin] = rank
        for place, knot in enumerate(KNOTS):
            columns[:, begin + 1 + place] = np.maximum(rank - knot, 0.0)
    return columns


def _ridge(columns: Floats, target: Floats) -> Floats:
    """Return the ridge regression's weights; the constant is not drawn towards 0."""
    penalty = np.full(columns.shape[1], RIDGE)
    penalty[0] = 0.0
    weights: Floats = np.asarray(np.linalg.solve(columns.T @ columns + np.diag(penalty + 1e-9), columns.T @ target), dtype=np.float64)
    return weights


def _poisson(columns: Floats, target: Floats) -> Floats:
    """Return the weights of the logarithm of the mean, by Newton's steps on the penalised quasi-likelihood."""
    penalty = np.full(columns.shape[1], RIDGE)
    penalty[0] = 0.0
    weights: Floats = np.zeros(columns.shape[1])
    for _step in range(25):
        mean = np.exp(np.clip(columns @ weights, -12.0, 6.0))
        gradient = columns.T @ (target - mean) - penalty * weights
        step = np.linalg.solve(columns.T @ (columns * mean[:, None]) + np.diag(penalty + 1e-9), gradient)
        # A Newton step from far away overshoots the exponential.
        weights = weights + step * min(1.0, 2.0 / max(float(np.abs(columns @ step).max()), 1e-12))
        if np.abs(step).max() < 1e-5:
            break
    return weights
