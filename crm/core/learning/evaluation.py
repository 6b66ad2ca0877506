"""How good a model is: splits without leaks, figures with intervals, and the comparison that decides a promotion.

Pure numpy and SciPy, shared by every app's training run.  Figures are never taken on rows a model was fitted to: use
`time_split` where rows have dates, `stratified_folds` where they have none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

# Resamples of a bootstrap interval. 200 give the 95% ends to about a tenth of the interval's width.
RESAMPLES = 200
# Rows drawn each time. Beyond, an interval is narrower than anybody reads and costs more than the model it is of.
MOST_DRAWN = 50_000


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number with its bootstrap interval and the rows it rests on."""

    value: float
    low: float
    high: float
    rows: int

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a challenger replaces the champion, and the reason in one sentence."""

    promote: bool
    reason: str


def time_split(at: ArrayLike, *, share: float = 0.2) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return row numbers of the earlier and the later part; the later holds about `share` of the rows.

    Rows of one moment are never parted: all rows at or after the cut moment are later.  With a single moment the later
    part is empty.
    """
    moments = np.asarray(at)
    if not len(moments):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    cut = np.sort(moments)[min(len(moments) - 1, int(np.ceil(len(moments) * (1 - share))))]
    later = moments >= cut
    if later.all():
        later = moments > moments.min()
    return np.flatnonzero(~later), np.flatnonzero(later)


def stratified_folds(labels: ArrayLike, *, folds: int = 5, seed: int = 0) -> NDArray[np.int64]:
    """Return the fold (0..folds-1) of each row; every label is spread as evenly as its count allows.

    Labels rarer than the number of folds are allowed: some folds then lack them.
    """
    _, codes = np.unique(np.asarray(labels), return_inverse=True)
    shuffled = np.random.default_rng(seed).permutation(len(codes))
    by_label = shuffled[np.argsort(codes[shuffled], kind="stable")]
    fold = np.empty(len(codes), dtype=np.int64)
    # Counting on across labels keeps the folds' sizes within one row of each other.
    fold[by_label] = np.arange(len(codes)) % folds
    return fold


def accuracy(truth: ArrayLike, predicted: ArrayLike) -> float:
    right = np.asarray(truth) == np.asarray(predicted)
    return float(right.mean()) if len(right) else float("nan")


def macro_f1(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Return the unweighted mean of F1 over the labels that occur in the truth or the prediction."""
    table = _confusion(truth, predicted)
    right, said, there = np.diag(table), table.sum(0), table.sum(1)
    return float(np.mean(2 * right / np.maximum(said + there, 1)))


def matthews(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Return the multi-class Matthews correlation (Gorodkin 2004), 0 where it is undefined."""
    table = _confusion(truth, predicted).astype(float)
    total, right, said, there = table.sum(), np.trace(table), table.sum(0), table.sum(1)
    below = np.sqrt(total**2 - said @ said) * np.sqrt(total**2 - there @ there)
    return float((right * total - said @ there) / below) if below > 0 else 0.0


def auroc(positive: ArrayLike, score: ArrayLike) -> float:
    """Return the probability that a positive row scores above a negative one, ties counting half; NaN with one kind."""
    # Here, not above: scipy.stats takes most of a second to import, and every process of the stack imports this module.
    from scipy.stats import rankdata

    truth, ranks = np.asarray(positive, dtype=bool), rankdata(np.asarray(score, dtype=float))
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if not positives or not negatives:
        return float("nan")
    return float((ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def calibration_error(right: ArrayLike, confidence: ArrayLike, *, bins: int = 15) -> float:
    """Return the expected calibration error over bins of equal row counts (Guo et al. 2017; Nixon et al. 2019)."""
    hit, stated = np.asarray(right, dtype=float), np.asarray(confidence, dtype=float)
    if not len(hit):
        return float("nan")
    order = np.argsort(stated, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    return float(sum(len(part) * abs(hit[part].mean() - stated[part].mean()) for part in parts) / len(hit))


def log_loss(truth_codes: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the mean negative log-probability of the true class; truth_codes: (n,) column numbers."""
    codes, given = np.asarray(truth_codes, dtype=np.int64), np.asarray(probabilities, dtype=float)
    return float(-np.log(np.maximum(given[np.arange(len(codes)), codes], 1e-15)).mean())


def brier(positive: ArrayLike, probability: ArrayLike) -> float:
    return float(np.mean((np.asarray(probability, dtype=float) - np.asarray(positive, dtype=float)) ** 2))


def hit_rate(ranks: ArrayLike, *, top: int = 10) -> float:
    """Return the share of rows whose wanted item came within the first `top`; ranks: (n,), 0 is best, inf is absent."""
    return float(np.mean(np.asarray(ranks, dtype=float) < top))


def ndcg(ranks: ArrayLike, *, top: int = 10) -> float:
    """Return the mean of 1 / log2(rank + 2) over rows, 0 beyond `top`: NDCG with one wanted item per row."""
    places = np.asarray(ranks, dtype=float)
    return float(np.mean(np.where(places < top, 1 / np.log2(places + 2), 0.0)))


def bootstrap(measure: Callable[..., float], *columns: ArrayLike, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0) -> Figure:
    """Return `measure(*columns)` with its percentile bootstrap interval over rows (Efron & Tibshirani 1993).

    columns: arrays of one length, resampled together.  The interval is (nan, nan) for fewer than two rows, and where the
    measure exists on no draw (a ranking of rows that are all of one kind).  Of more than MOST_DRAWN rows that many are drawn
    each time and what the draws differ is scaled to all rows (m out of n; Bickel, Goetze & van Zwet 1997): a million rows
    drawn 200 times take minutes and gigabytes and tell the same.
    """
    arrays = [np.asarray(column) for column in columns]
    rows = len(arrays[0])
    value = float(measure(*arrays)) if rows else float("nan")
    if rows < 2:
        return Figure(value=value, low=float("nan"), high=float("nan"), rows=rows)
    generator = np.random.default_rng(seed)
    size = min(rows, MOST_DRAWN)
    drawn = np.array([measure(*(array[index] for array in arrays)) for index in (generator.integers(0, rows, size) for _draw in range(resamples))])
    if np.isnan(drawn).all():
        return Figure(value=value, low=float("nan"), high=float("nan"), rows=rows)
    if size < rows:
        drawn = value + (drawn - value) * np.sqrt(size / rows)
    low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Figure(value=value, low=float(low), high=float(high), rows=rows)


def compare(*, challenger: float, champion: float | None, baseline: float, higher_is_better: bool = True, margin: float = 0.0) -> Verdict:
    """Return whether the challenger should serve: better than the named baseline, and not worse than the champion.

    All three figures must be of the same rows.  champion: None where none serves.  margin: how much the challenger may
    lie below the champion, for figures whose noise is known.
    """
    sign = 1.0 if higher_is_better else -1.0
    if not np.isfinite(challenger):
        return Verdict(promote=False, reason="The new model could not be measured.")
    if sign * challenger < sign * baseline:
        return Verdict(promote=False, reason=f"The new model ({challenger:.4f}) does not beat the simple baseline ({baseline:.4f}).")
    if champion is None or not np.isfinite(champion):
        return Verdict(promote=True, reason=f"First model that beats the simple baseline ({challenger:.4f} against {baseline:.4f}).")
    if sign * (challenger - champion) < -margin:
        return Verdict(promote=False, reason=f"The serving model is better on the same rows ({champion:.4f} against {challenger:.4f}).")
    return Verdict(promote=True, reason=f"At least as good as the serving model on the same rows ({challenger:.4f} against {champion:.4f}).")


def _confusion(truth: ArrayLike, predicted: ArrayLike) -> NDArray[np.int64]:
    actual, said = np.asarray(truth), np.asarray(predicted)
    names, codes = np.unique(np.concatenate([actual, said]), return_inverse=True)
    table = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(table, (codes[: len(actual)], codes[len(actual) :]), 1)
    return table
