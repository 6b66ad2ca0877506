"""How good stated probabilities are: ranking, loss, calibration and lift, each with a bootstrap interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from crm.core.learning.evaluation import Figure, auroc, bootstrap, brier, calibration_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Simulated label sets for the calibration error that a perfectly calibrated model would still show.
CHANCE_DRAWS = 100


def binary_log_loss(label: NDArray[Any], probability: Floats) -> float:
    given = np.clip(probability, 1e-15, 1 - 1e-15)
    return float(-np.where(np.asarray(label) > 0, np.log(given), np.log1p(-given)).mean())


def average_precision(label: NDArray[Any], probability: Floats) -> float:
    """Return the area under precision and recall as the mean precision at each hit; ties are taken as one step."""
    order = np.argsort(-np.asarray(probability), kind="stable")
    hit = np.asarray(label, dtype=float)[order]
    if not hit.sum():
        return float("nan")
    ends = np.append(np.flatnonzero(np.diff(np.asarray(probability)[order])), len(hit) - 1)
    caught = np.cumsum(hit)[ends]
    return float((np.diff(caught, prepend=0.0) * caught / (ends + 1)).sum() / hit.sum())


def lift(label: NDArray[Any], probability: Floats, *, share: float = 0.1) -> float:
    """Return how many times the overall rate the top share has; ties at the edge count by their mean rate."""
    given, hit = np.asarray(probability), np.asarray(label, dtype=float)
    if not hit.sum():
        return float("nan")
    wanted = max(1.0, share * len(given))
    edge = np.sort(given)[::-1][int(np.ceil(wanted)) - 1]
    above, tied = given > edge, given == edge
    caught = hit[above].sum() + (wanted - above.sum()) * hit[tied].mean()
    return float(caught / wanted / hit.mean())


def lift_table(label: NDArray[Any], probability: Floats, *, parts: int = 10) -> list[tuple[int, int, float, float, float]]:
    """Return per tenth, the likeliest first: number, rows, mean probability, observed rate, lift."""
    hit, given = np.asarray(label, dtype=float), np.asarray(probability)
    order = np.argsort(-given, kind="stable")
    overall = max(hit.mean(), 1e-12)
    return [
        (number + 1, len(rows), float(given[rows].mean()), float(hit[rows].mean()), float(hit[rows].mean() / overall))
        for number, rows in enumerate(np.array_split(order, min(parts, len(order))))
        if len(rows)
    ]


def calibration_by_chance(probability: Floats, *, seed: int = 0) -> float:
    """Return the mean calibration error if every label were drawn by exactly its stated probability.

    A measured error of this size is noise of small bins, not a fault of the probabilities.
    """
    generator = np.random.default_rng(seed)
    given = np.asarray(probability)
    return float(np.mean([calibration_error(generator.random(len(given)) < given, given) for _ in range(CHANCE_DRAWS)]))


def figures(label: NDArray[Any], probability: Floats, *, seed: int = 0) -> dict[str, Figure]:
    """Return auc, pr_auc, log_loss, brier, ece (15 bins of equal count) and lift_10 with 95% intervals over rows."""
    measures = {
        "auc": auroc,
        "pr_auc": average_precision,
        "log_loss": binary_log_loss,
        "brier": brier,
        "ece": calibration_error,
        "lift_10": lift,
    }
    return {name: bootstrap(measure, label, probability, seed=seed) for name, measure in measures.items()}


def better_by(label: NDArray[Any], probability: Floats, baseline: Floats, *, seed: int = 0) -> Figure:
    """Return the AUC gained over the baseline on the same rows, with a paired bootstrap interval."""

    def gained(truth: NDArray[Any], ours: Floats, theirs: Floats) -> float:
        return auroc(truth, ours) - auroc(truth, theirs)

    return bootstrap(gained, label, probability, baseline, seed=seed)
