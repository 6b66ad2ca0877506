"""The leak guard: names a column that says the answer, because it is a copy of it or was written down after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from crm.core.learning.evaluation import auroc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from customers.ml.tabular.columns import Matrix

    Floats = NDArray[np.float64]

# One column alone ranking rows this well is no predictor but the answer in other words; honest shop data stay below .9.
ANSWER = 0.985
SUSPICIOUS = 0.92
# A value whose rows all bear the rarer label, this many of them, follows from the label.
FEWEST_CERTAIN = 50
BINS = 32


@dataclass(frozen=True, slots=True)
class Leak:
    """column: its name.  auc: how well it alone ranks rows it was not fitted to.  is_certain: it must not be used.
    reason: one sentence for people.
    """

    column: str
    auc: float
    is_certain: bool
    reason: str


def find_leaks(matrix: Matrix, label: NDArray[Any], *, seed: int = 0) -> list[Leak]:
    """Return columns that predict the label too well to be true, the worst first; label: (n,) 0/1."""
    half = np.random.default_rng(seed).permutation(len(label)) % 2
    rarer = int(label.mean() <= 0.5)
    found: dict[str, Leak] = {}
    for feature, column in enumerate(matrix.columns):
        bins = _bins(matrix.values[:, feature], is_category=bool(matrix.levels[feature]))
        alone = _alone(bins, label, half)
        leak = None
        if alone >= ANSWER:
            leak = Leak(column, alone, True, f"{column!r} alone predicts the label with an AUC of {alone:.3f}: it is the answer, or was written after it")
        elif (certain := _certain(bins, label == rarer)) >= FEWEST_CERTAIN:
            leak = Leak(column, alone, True, f"all {certain} rows that stand out in {column!r} bear the rarer label: it was written after the answer was known")
        elif alone >= SUSPICIOUS:
            leak = Leak(column, alone, False, f"{column!r} alone predicts the label with an AUC of {alone:.3f}: make sure that it is known beforehand")
        if leak and (column not in found or leak.is_certain > found[column].is_certain):
            found[column] = leak
    return sorted(found.values(), key=lambda leak: (-leak.is_certain, -leak.auc, leak.column))


def _bins(values: Floats, *, is_category: bool) -> NDArray[np.int64]:
    """Return each row's bin: its level or value where these are few, else its quantile; the commonest value and gaps apart."""
    gap = np.isnan(values)
    distinct, codes, counts = np.unique(np.where(gap, 0.0, values), return_inverse=True, return_counts=True)
    if not is_category and len(distinct) > 2 * BINS:
        common = distinct[np.argmax(counts)] if counts.max() > 0.2 * len(values) else np.nan
        rest = values[~gap & (values != common)]
        edges = np.unique(np.quantile(rest, np.arange(1, BINS) / BINS))
        codes = np.where(values == common, BINS + 1, np.searchsorted(edges, np.where(gap, 0.0, values)))
    return np.where(gap, codes.max() + 1, codes).astype(np.int64)


def _alone(bins: NDArray[np.int64], label: NDArray[Any], half: NDArray[np.int64]) -> float:
    """Return the AUC of the bins' label rates, each half judged by the other's rates."""
    aucs = []
    for side in (0, 1):
        known = half != side
        rows = np.bincount(bins[known], minlength=bins.max() + 1)
        positive = np.bincount(bins[known], weights=label[known], minlength=bins.max() + 1)
        rate = (positive + label.mean()) / (rows + 1)
        aucs.append(auroc(label[~known], rate[bins[~known]]))
    return float(np.nanmean(aucs)) if np.isfinite(aucs).any() else 0.5


def _certain(bins: NDArray[np.int64], rare: NDArray[np.bool_]) -> int:
    """Return how many rows lie in one bin, or outside the commonest one, that bears nothing but the rarer label."""
    rows, hits = np.bincount(bins), np.bincount(bins, weights=rare)
    pure = rows[(rows == hits) & (rows > 0)]
    most = int(pure.max()) if len(pure) else 0
    outside = bins != np.argmax(rows)
    return max(most, int(outside.sum()) if rare[outside].all() else 0)
