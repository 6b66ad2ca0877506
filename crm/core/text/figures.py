"""How good text predictions are, out-of-scope texts included, from the words predicted and the words that were right.

Pure numpy.  Nothing here chooses anything: thresholds come from training, these functions only count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from crm.core.learning.evaluation import accuracy, auroc, bootstrap, calibration_error, macro_f1, matthews

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Shares of the rows answered at which the coverage curve is read.
COVERAGE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
PROMISE = 0.95
# Gorodkin's correlation and macro-F1 are resampled too: 200 tables of 150 classes take seconds, fewer rows suffice.
MOST_RESAMPLED = 20_000


def of_predictions(
    truth: Sequence[str],
    predicted: Sequence[str],
    *,
    confidence: NDArray[np.float64],
    scope: NDArray[np.float64] | None = None,
    outside: str | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (figures, tables) of labelled rows.

    truth, predicted: (n,) labels, `outside` naming the out-of-scope one where there is one.  confidence: (n,) stated
    probability of the predicted label.  scope: (n,) how well each text fits any class; needed for the out-of-scope
    figures.  accuracy, macro-F1 and MCC count the out-of-scope label as one more class; in_scope_accuracy counts a
    refused in-scope text as wrong.
    """
    right_word, said = np.asarray(truth, dtype=np.str_), np.asarray(predicted, dtype=np.str_)
    right = right_word == said
    figures: dict[str, Any] = {"accuracy": _interval(accuracy, right_word, said)}
    figures["macro_f1"] = macro_f1(right_word, said)
    figures["mcc"] = matthews(right_word, said)
    figures["ece"] = calibration_error(right, confidence)
    answered = np.ones(len(right), dtype=bool)
    strength = np.asarray(confidence, dtype=float)
    if outside is not None:
        answered = said != outside
        # A refused text is answered by nobody: it enters the curve last, in the order of what speaks for an answer.
        strength = np.where(answered, strength, strength - 2)
        figures |= _scope_figures(right_word, said, right, scope, outside)
    curve = coverage_curve(right, strength)
    figures["coverage_at_95"] = coverage_at(right & answered, strength, PROMISE)
    figures["answered"] = float(answered.mean())
    figures["answers_right"] = float(right[answered].mean()) if answered.any() else None
    return figures, {"coverage": curve, "per_class": per_class(right_word, said)}


def _scope_figures(
    truth: NDArray[np.str_], said: NDArray[np.str_], right: NDArray[np.bool_], scope: NDArray[np.float64] | None, outside: str
) -> dict[str, Any]:
    is_outside, refused = truth == outside, said == outside
    figures: dict[str, Any] = {
        "in_scope_accuracy": float(right[~is_outside].mean()) if (~is_outside).any() else None,
        "oos_recall": float(refused[is_outside].mean()) if is_outside.any() else None,
        "oos_precision": float(is_outside[refused].mean()) if refused.any() else None,
    }
    area = auroc(~is_outside, scope) if scope is not None else float("nan")
    figures["auroc"] = area if np.isfinite(area) else None
    return figures


def coverage_curve(right: NDArray[np.bool_], strength: NDArray[np.float64]) -> list[dict[str, float]]:
    """Return the accuracy among the surest rows, for several shares of rows answered."""
    order = np.argsort(-strength, kind="stable")
    running = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    counts = [max(1, round(share * len(order))) for share in COVERAGE] if len(order) else []
    return [{"coverage": share, "accuracy": float(running[count - 1])} for share, count in zip(COVERAGE, counts, strict=False)]


def coverage_at(right: NDArray[np.bool_], strength: NDArray[np.float64], target: float) -> float:
    """Return the largest share of rows, surest first, that is right at least `target` of the time; 0 if none is."""
    if not len(right):
        return 0.0
    order = np.argsort(-strength, kind="stable")
    running = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    # A cut inside a run of equal confidence is no threshold anybody could set.
    ordered = strength[order]
    cut = np.append(ordered[:-1] > ordered[1:], True)
    held = np.flatnonzero((running >= target) & cut)
    return float((held[-1] + 1) / len(order)) if len(held) else 0.0


def per_class(truth: NDArray[np.str_], said: NDArray[np.str_]) -> list[dict[str, Any]]:
    """Return precision, recall and rows of every label that occurs."""
    rows = []
    for name in np.unique(np.concatenate([truth, said])):
        there, called = truth == name, said == name
        both = int((there & called).sum())
        rows.append(
            {
                "label": str(name),
                "precision": both / int(called.sum()) if called.any() else None,
                "recall": both / int(there.sum()) if there.any() else None,
                "rows": int(there.sum()),
            }
        )
    return rows


def _interval(measure: Any, truth: NDArray[np.str_], said: NDArray[np.str_]) -> dict[str, float]:
    # Numbers resample many times quicker than words.
    _, codes = np.unique(np.concatenate([truth, said]), return_inverse=True)
    figure = bootstrap(measure, codes[: len(truth)], codes[len(truth) :])
    return {"value": figure.value, "low": figure.low, "high": figure.high}
