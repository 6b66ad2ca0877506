"""How wrong forecasts of orders and spend were, once the days have come. Pure numpy and SciPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import spearmanr

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def rank_agreement(predicted: Floats, actual: Floats) -> float:
    """Return Spearman's rank correlation, 0 where either side is constant."""
    if len(predicted) < 2 or len(np.unique(predicted)) < 2 or len(np.unique(actual)) < 2:
        return 0.0
    return float(spearmanr(predicted, actual).statistic)


def correlation(predicted: Floats, actual: Floats) -> float:
    """Return Pearson's correlation, 0 where either side is constant."""
    if len(predicted) < 2 or np.ptp(predicted) == 0 or np.ptp(actual) == 0:
        return 0.0
    return float(np.corrcoef(predicted, actual)[0, 1])


def normalised_gini(predicted: Floats, actual: Floats) -> float:
    """Return the Gini of the spend ordered by prediction over that ordered by itself: 1 perfect, 0 by chance."""
    if not len(actual) or actual.sum() <= 0:
        return 0.0

    def gini(order: NDArray[np.int64]) -> float:
        return float(np.cumsum(actual[order]).sum() / actual.sum() / len(actual) - (len(actual) + 1) / (2 * len(actual)))

    perfect = gini(np.argsort(-actual, kind="stable"))
    return gini(np.argsort(-predicted, kind="stable")) / perfect if perfect > 0 else 0.0


def top_share(predicted: Floats, actual: Floats, *, share: float = 0.1) -> float:
    """Return which part of the spend came from the predicted top tenth of the customers."""
    number = max(round(len(actual) * share), 1)
    return float(actual[np.argsort(-predicted, kind="stable")[:number]].sum() / actual.sum()) if actual.sum() > 0 else 0.0


def curve_error(predicted: Floats, actual: Floats) -> float:
    """Return the mean absolute error of a cumulative curve relative to the actual one, over points where that is above 0."""
    seen = actual > 0
    return float(np.mean(np.abs(predicted[seen] / actual[seen] - 1))) if seen.any() else 0.0
