"""From a model's score to a probability that means what it says, learned on rows the model had not seen.

Two maps of log-odds to log-odds, both rising everywhere so that no ranking changes:
Platt (1999): a straight line.  Isotonic (Zadrozny & Elkan 2002; centred, Oron & Flournoy 2017): steps found by pooling
adjacent violators, joined by straight lines through the steps' centres.  Which one is decided by cross-validation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Isotonic steps are noisy below a few hundred rows of the rarer class; the straight line then always serves.
FEWEST_FOR_STEPS = 200
# Rows per step at least: pooled groups of equal count before the violators are.
ROWS_A_STEP = 40
# Beyond these log-odds (a chance of 6 in 100,000) no shop's table can tell probabilities apart.
STEEPEST = 9.7


@dataclass(frozen=True, slots=True)
class Calibration:
    """kind: "none", "platt" or "isotonic".  slope, intercept: the line.  at, to: (k,) rising corners of the steps' joins;
    beyond the first and last corner the line's slope goes on.
    """

    kind: str = "none"
    slope: float = 1.0
    intercept: float = 0.0
    at: tuple[float, ...] = ()
    to: tuple[float, ...] = ()

    def apply(self, score: Floats) -> Floats:
        """Return calibrated log-odds; score: log-odds of any shape."""
        if not self.at:
            return self.intercept + self.slope * score
        corners, heights = np.array(self.at), np.array(self.to)
        below, above = np.minimum(score - corners[0], 0), np.maximum(score - corners[-1], 0)
        return np.asarray(np.interp(score, corners, heights) + self.slope * (below + above))

    def explain(self, contributions: Floats, base: float) -> tuple[Floats, float]:
        """Return contributions and base of the calibrated log-odds.

        The line scales all of them alike.  Under steps a row's contributions are stretched by one factor, how much of
        its way from the base to its score the calibration kept, so that they still sum exactly and keep their signs.
        """
        start = np.array([base])
        moved = float(self.apply(start)[0])
        if not self.at:
            return contributions * self.slope, moved
        way = contributions.sum(axis=-1)
        kept = self.apply(base + way) - moved
        return contributions * np.divide(kept, way, out=np.full_like(way, self.slope), where=np.abs(way) > 1e-9)[..., None], moved

    def to_config(self) -> dict[str, Any]:
        return {"kind": self.kind, "slope": self.slope, "intercept": self.intercept, "at": list(self.at), "to": list(self.to)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Calibration:
        return cls(config["kind"], config["slope"], config["intercept"], tuple(config["at"]), tuple(config["to"]))


def sigmoid(log_odds: Floats) -> Floats:
    """Return probabilities, never exactly 0 or 1."""
    return 1 / (1 + np.exp(-np.clip(log_odds, -30, 30)))


def learn_calibration(score: Floats, label: NDArray[Any], fold: NDArray[np.int64]) -> Calibration:
    """Return the better of line and steps, judged by log-loss on folds it was not fitted to.

    score: (n,) log-odds of rows their model had not seen.  label: (n,) 0/1.  fold: (n,) fold numbers.
    """
    line = fit_line(score[:, None], label)
    platt = Calibration("platt", slope=float(max(line[1], 1e-3)), intercept=float(line[0]))
    if min(label.sum(), len(label) - label.sum()) < FEWEST_FOR_STEPS:
        return platt
    loss = np.zeros(2)
    for number in np.unique(fold):
        known, asked = fold != number, fold == number
        for place, fit in enumerate((_line, _steps)):
            loss[place] += log_loss(label[asked], fit(score[known], label[known]).apply(score[asked])).sum()
    return _steps(score, label) if loss[1] < loss[0] else platt


def log_loss(label: NDArray[Any], log_odds: Floats) -> Floats:
    """Return each row's negative log-probability of its label."""
    return np.logaddexp(0, np.where(np.asarray(label) > 0, -log_odds, log_odds))


def fit_line(scores: Floats, label: NDArray[Any], *, ridge: float = 1e-3) -> Floats:
    """Return (1 + k,) intercept and non-negative weights of the logistic regression on k scores; scores: (n, k).

    ridge: draws the weights towards 1/k, so that candidates that say the same share their weight.
    """
    from scipy.optimize import minimize

    count = scores.shape[1]
    given = np.asarray(label, dtype=float)
    rate = np.clip(given.mean(), 1e-6, 1 - 1e-6)

    def loss(weights: Floats) -> tuple[float, Floats]:
        log_odds = weights[0] + scores @ weights[1:]
        off = sigmoid(log_odds) - given
        away = weights[1:] - 1 / count
        value = log_loss(given, log_odds).mean() + ridge * (away @ away) / 2
        return float(value), np.concatenate([[off.mean()], scores.T @ off / len(given) + ridge * away])

    start = np.concatenate([[0.0 if scores.any() else np.log(rate / (1 - rate))], np.full(count, 1 / count)])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(None, None)] + [(0, None)] * count)
    return np.asarray(found.x, dtype=float)


def _line(score: Floats, label: NDArray[Any]) -> Calibration:
    line = fit_line(score[:, None], label)
    return Calibration("platt", slope=float(max(line[1], 1e-3)), intercept=float(line[0]))


def _steps(score: Floats, label: NDArray[Any]) -> Calibration:
    from sklearn.isotonic import IsotonicRegression

    order = np.argsort(score, kind="stable")
    groups = np.array_split(order, max(1, len(order) // ROWS_A_STEP))
    middle = np.array([score[group].mean() for group in groups])
    rate = np.array([(label[group].sum() + 0.5) / (len(group) + 1) for group in groups])
    weight = np.array([len(group) for group in groups], dtype=float)
    fitted = IsotonicRegression().fit_transform(np.arange(len(groups)), rate, sample_weight=weight)
    at, to = [], []
    for value in np.unique(fitted):
        block = fitted == value
        at.append(float(np.average(middle[block], weights=weight[block])))
        to.append(float(np.clip(np.log(value / (1 - value)), -STEEPEST, STEEPEST)))
    line = _line(score, label)
    if len(at) < 2 or np.any(np.diff(at) <= 0):
        return line
    return Calibration("isotonic", slope=line.slope, intercept=line.intercept, at=tuple(at), to=tuple(to))
