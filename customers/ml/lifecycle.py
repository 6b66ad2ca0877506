"""The stage of each customer's life with the shop, from the shop's own rhythm rather than fixed numbers of days.

A customer's next order is expected after a personal gap: the logarithm of their own gaps, drawn towards the shop's
(empirical Bayes).  How unusual the present silence is under that gap decides between on time, at risk and lapsed.

Stages: prospect (no order), new, growing, loyal, at_risk, lapsed, reactivated.  Rules and figures:
docs/algorithms/lifecycle.md.  Pure numpy and SciPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy.special import ndtr

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

STAGES = ("prospect", "new", "growing", "loyal", "at_risk", "lapsed", "reactivated")

# Share of a customer's own expected gaps that is shorter than the silence at which they count as at risk, as lapsed.
AT_RISK_QUANTILE = 0.80
LAPSED_QUANTILE = 0.95
# Gaps needed before the shop's own rhythm is believed; below it the prior of a general shop is used.
FEWEST_GAPS = 20
# Prior: median gap 60 days, 90% within a year. Only a shop without FEWEST_GAPS repeat orders ever sees it.
PRIOR_LOG_GAP = float(np.log(60.0))
PRIOR_SPREAD = 1.4


@dataclass(frozen=True, slots=True)
class GapHistory:
    """What is known of each customer's rhythm; all columns (n,).

    orders: days with an order (0 for a prospect).
    mean_log_gap: mean natural logarithm of the completed gaps in days, 0 where there is none.
    last_gap_days: the gap before the last order, 0 with fewer than two orders.
    silence_days: days since the last order; ignored for prospects.
    """

    orders: Floats
    mean_log_gap: Floats
    last_gap_days: Floats
    silence_days: Floats


@dataclass(frozen=True, slots=True)
class LifecycleStages:
    """Stage code and its reasons, one per customer.

    expected_gap_days: the personal median gap.  overdue: silence divided by it.
    silence_quantile: share of this customer's expected gaps that are shorter than the silence, 0..1.
    """

    stage: NDArray[np.str_]
    expected_gap_days: Floats
    overdue: Floats
    silence_quantile: Floats


class Lifecycle:
    """Learns a shop's rhythm and thresholds, then names the stage of any customer.

    at_risk_quantile, lapsed_quantile: see AT_RISK_QUANTILE, LAPSED_QUANTILE.
    least_p_active: a customer whose probability of being active is below it is lapsed whatever the silence.

    After `fit`: `log_gap_` and `between_`, `within_` (mean of the log gaps, variance over and within customers),
    `loyal_orders_` (orders from which on customers count as loyal), `gaps_` (how many gaps were seen).
    """

    def __init__(
        self,
        *,
        at_risk_quantile: float = AT_RISK_QUANTILE,
        lapsed_quantile: float = LAPSED_QUANTILE,
        least_p_active: float = 0.1,
    ) -> None:
        self.at_risk_quantile = at_risk_quantile
        self.lapsed_quantile = lapsed_quantile
        self.least_p_active = least_p_active

    def fit(self, customer: ArrayLike, day: ArrayLike) -> Self:
        """Learn from the order days of all customers.

        customer: (m,) int.  day: (m,) whole days from any fixed origin; several orders of one day count once.
        """
        who, gap = _gaps(customer, day)
        self.gaps_ = len(gap)
        counts = np.unique(np.asarray(customer), return_counts=True)[1] if len(np.asarray(customer)) else np.zeros(0)
        self.log_gap_, self.between_, self.within_ = PRIOR_LOG_GAP, PRIOR_SPREAD**2 / 2, PRIOR_SPREAD**2 / 2
        if self.gaps_ >= FEWEST_GAPS:
            self._learn_rhythm(who, np.log(np.maximum(gap, 1.0)))
        days = np.unique(np.column_stack([np.asarray(customer, dtype=np.int64), _whole(day)]), axis=0) if len(counts) else None
        self.loyal_orders_ = _loyal_orders(np.unique(days[:, 0], return_counts=True)[1] if days is not None else np.zeros(0))
        return self

    def _learn_rhythm(self, who: NDArray[np.int64], log_gap: Floats) -> None:
        """One-way random effects by moments (DerSimonian & Laird 1986): variance within and between customers.

        Each customer weighs once in the mean, not once per gap: quick buyers complete more gaps, and a mean over gaps
        would call everybody else late.
        """
        _, index, counts = np.unique(who, return_inverse=True, return_counts=True)
        means = np.bincount(index, weights=log_gap) / counts
        residual = log_gap - means[index]
        freedom = len(log_gap) - len(counts)
        within = float(residual @ residual / freedom) if freedom >= 10 else float(np.var(log_gap) / 2)
        self.log_gap_ = float(means.mean())
        between = float(np.var(means)) - within * float(np.mean(1 / counts))
        self.within_ = max(within, 0.01)
        # Some spread between customers always remains, so that a person's own gaps are never ignored.
        self.between_ = max(between, 0.05 * self.within_)

    def stages(self, history: GapHistory, p_active: ArrayLike | None = None) -> LifecycleStages:
        """Return the stage of each customer and how overdue they are.

        p_active: (n,) probability of being active from the value model, or None.  Rules, first match wins:
        prospect: no order.  lapsed: the silence exceeds the lapsed quantile of the personal gap, or p_active is below
        `least_p_active` (repeat buyers only: the model knows nothing of one-time buyers).  at_risk: it exceeds the
        at-risk quantile.  reactivated: the gap before the last order exceeded the lapsed quantile.  new: one order.
        loyal: at least `loyal_orders_`.  growing: the rest.
        """
        orders = np.asarray(history.orders, dtype=float)
        silence = np.maximum(np.asarray(history.silence_days, dtype=float), 0.0)
        mean, spread = self._personal_gap(orders - 1, history.mean_log_gap)
        quantile = ndtr((np.log(np.maximum(silence, 0.5)) - mean) / spread)
        # The long gap must be judged by the rhythm before it, or it would excuse itself.
        earlier = np.maximum(orders - 2, 0)
        last_log = np.log(np.maximum(np.asarray(history.last_gap_days, dtype=float), 1.0))
        earlier_sum = np.asarray(history.mean_log_gap, dtype=float) * np.maximum(orders - 1, 0) - last_log
        earlier_mean, earlier_spread = self._personal_gap(earlier, np.where(earlier > 0, earlier_sum / np.maximum(earlier, 1), 0.0))
        came_back = (orders >= 2) & (ndtr((last_log - earlier_mean) / earlier_spread) > self.lapsed_quantile)
        inactive = np.zeros(len(orders), dtype=bool)
        if p_active is not None:
            inactive = (np.asarray(p_active, dtype=float) < self.least_p_active) & (orders >= 2)
        stage = np.select(
            [
                orders <= 0,
                (quantile > self.lapsed_quantile) | inactive,
                quantile > self.at_risk_quantile,
                came_back,
                orders == 1,
                orders >= self.loyal_orders_,
            ],
            ["prospect", "lapsed", "at_risk", "reactivated", "new", "loyal"],
            default="growing",
        )
        prospect = orders <= 0
        expected = np.exp(mean)
        return LifecycleStages(
            stage=stage,
            expected_gap_days=expected,
            overdue=np.where(prospect, 0.0, silence / expected),
            silence_quantile=np.where(prospect, 0.0, quantile),
        )

    def _personal_gap(self, gaps: ArrayLike, mean_log_gap: ArrayLike) -> tuple[Floats, Floats]:
        """Return mean and standard deviation of the predicted next log gap, given `gaps` completed ones."""
        count = np.maximum(np.asarray(gaps, dtype=float), 0.0)
        weight = count / (count + self.within_ / self.between_)
        mean = weight * np.asarray(mean_log_gap, dtype=float) + (1 - weight) * self.log_gap_
        return mean, np.sqrt(self.within_ + self.between_ * (1 - weight))

    def to_config(self) -> dict[str, Any]:
        names = ("at_risk_quantile", "lapsed_quantile", "least_p_active", "log_gap_", "between_", "within_", "loyal_orders_", "gaps_")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        model = cls()
        for name, value in config.items():
            setattr(model, name, value)
        return model


def gap_history(customer: ArrayLike, day: ArrayLike, *, customers: ArrayLike, as_of_day: float) -> GapHistory:
    """Return the rhythm of each of `customers` from order rows up to the as-of day.

    customer, day: (m,) as in Lifecycle.fit.  customers: (n,) ascending customer indices; those without rows are
    prospects.
    """
    wanted = np.asarray(customers, dtype=np.int64)
    pairs = np.unique(np.column_stack([np.asarray(customer, dtype=np.int64), _whole(day)]), axis=0)
    pairs = pairs[pairs[:, 1] <= as_of_day]
    position = np.searchsorted(wanted, pairs[:, 0])
    inside = (position < len(wanted)) & (wanted[np.minimum(position, len(wanted) - 1)] == pairs[:, 0]) if len(wanted) else []
    pairs, position = pairs[inside], position[inside]
    orders = np.bincount(position, minlength=len(wanted)).astype(float)
    same = np.flatnonzero(position[1:] == position[:-1]) + 1 if len(position) else np.zeros(0, dtype=np.int64)
    gap = (pairs[same, 1] - pairs[same - 1, 1]).astype(float) if len(same) else np.zeros(0)
    total = np.bincount(position[same], weights=np.log(np.maximum(gap, 1.0)), minlength=len(wanted))
    last_gap, last_day = np.zeros(len(wanted)), np.full(len(wanted), float(as_of_day))
    last_gap[position[same]] = gap  # rows are in order of time, so the last assignment stays
    last_day[position] = pairs[:, 1]
    return GapHistory(
        orders=orders,
        mean_log_gap=total / np.maximum(orders - 1, 1),
        last_gap_days=last_gap,
        silence_days=as_of_day - last_day,
    )


def _whole(day: ArrayLike) -> NDArray[np.int64]:
    whole: NDArray[np.int64] = np.floor(np.asarray(day, dtype=float)).astype(np.int64)
    return whole


def _gaps(customer: ArrayLike, day: ArrayLike) -> tuple[NDArray[np.int64], Floats]:
    """Return the customer and length in days of every completed gap between two order days."""
    pairs = np.unique(np.column_stack([np.asarray(customer, dtype=np.int64), _whole(day)]), axis=0)
    same = pairs[1:, 0] == pairs[:-1, 0]
    return pairs[1:, 0][same], (pairs[1:, 1] - pairs[:-1, 1])[same].astype(float)


def _loyal_orders(counts: ArrayLike) -> int:
    """Return the number of orders that the top quarter of the repeat buyers has reached, at least 3."""
    repeat = np.asarray(counts, dtype=float)
    repeat = repeat[repeat >= 2]
    return max(3, int(np.ceil(np.quantile(repeat, 0.75)))) if len(repeat) >= FEWEST_GAPS else 4
