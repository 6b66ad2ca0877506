"""How well the intent model does on messages it has not seen, in the form the model page shows.

Every training text is judged without having been taught (leave-one-out, or five folds for large sets), so all examples
serve both for learning and for judging.  The baseline is the same data with character n-grams alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from crm.core.learning.evaluation import accuracy, auroc, bootstrap, calibration_error, macro_f1, matthews
from crm.core.learning.reports import ModelReport, ReportedFigure, ReportTable, calibration_bins, confusions, per_class
from support.ml.intent import CHOICES, Decision, IntentModel, decide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from crm.core.text.classifier import TextClassifier
    from crm.core.text.results import OutOfSample

BASELINE = "character and word n-grams"


@dataclass(frozen=True, slots=True)
class IntentJudgement:
    """metrics, baseline: for ModelVersion; report: for the model page."""

    metrics: dict[str, float]
    baseline: dict[str, float]
    report: ModelReport


def judge(model: IntentModel, baseline: TextClassifier, *, slices: Sequence[str] = ()) -> IntentJudgement:
    """Return figures of a fitted model beside the baseline's, fitted on the same texts.

    slices: one code per text given to `fit` (its language, say), reported apart; empty for none.
    """
    seen, plain = model.classifier_.out_of_sample_, baseline.out_of_sample_
    right = seen.predicted == seen.codes
    metrics, plain_metrics = _figures(seen), _figures(plain)
    decisions = decisions_out_of_sample(model)
    answered = decisions == Decision.ANSWER
    metrics["answered"] = float(answered.mean())
    metrics["answers_right"] = float(right[answered].mean()) if answered.any() else float("nan")
    metrics["clarified"] = float((decisions == Decision.CLARIFY).mean())
    figures = [
        ReportedFigure.of("accuracy", bootstrap(accuracy, seen.codes, seen.predicted), baseline=plain_metrics["accuracy"]),
        ReportedFigure.of("macro_f1", bootstrap(macro_f1, seen.codes, seen.predicted), baseline=plain_metrics["macro_f1"]),
        ReportedFigure("calibration_error", metrics["calibration_error"], baseline=plain_metrics["calibration_error"], higher_is_better=False),
        ReportedFigure("answered", metrics["answered"]),
        ReportedFigure("answers_right", metrics["answers_right"]),
        ReportedFigure("clarified", metrics["clarified"]),
    ]
    scope = ("scope_auroc", "out_of_scope_refused", "in_scope_kept", "matthews_with_out_of_scope")
    figures.extend(ReportedFigure(name, metrics[name], baseline=plain_metrics.get(name)) for name in scope if name in metrics)
    # A fine-tuned model judges only what it has not learned from; the baseline is then read on the same rows.
    place = {row: number for number, row in enumerate(baseline.kept_rows_)}
    same = np.array([place[row] for row in model.classifier_.kept_rows_], dtype=np.int64)
    tables = [per_class(seen.codes, seen.predicted, seen.classes), confusions(seen.codes, seen.predicted, seen.classes)]
    if len(slices):
        tables.insert(0, _by_slice(seen, (plain.predicted == plain.codes)[same], np.asarray(slices)[model.classifier_.kept_rows_]))
    notes = [] if model.classifier_.uses_encoder_ else ["No text encoder was available: the model rests on n-grams alone."]
    return IntentJudgement(
        metrics=metrics,
        baseline=plain_metrics,
        report=ModelReport(
            method="Each example judged by a model that has not seen it.",
            baseline=BASELINE,
            figures=tuple(figures),
            calibration=calibration_bins(right, seen.confidence),
            tables=tuple(tables),
            notes=tuple(notes),
        ),
    )


def decisions_out_of_sample(model: IntentModel) -> NDArray[np.str_]:
    """Return what the policy would have done with each training text, judged without having been taught it."""
    seen = model.classifier_.out_of_sample_
    together = np.sort(seen.served, axis=1)[:, -CHOICES:].sum(1)
    return decide(confidence=seen.served.max(1), together=together, in_scope=seen.in_scope, answer_from=model.answer_from_, clarify_from=model.clarify_from_)


def _figures(seen: OutOfSample) -> dict[str, float]:
    right = seen.predicted == seen.codes
    figures: dict[str, float] = {
        "accuracy": float(right.mean()),
        "macro_f1": macro_f1(seen.codes, seen.predicted),
        "calibration_error": calibration_error(right, seen.confidence),
        "examples": len(right),
        "intents": len(seen.classes),
    }
    if len(seen.outside_score):
        fits = np.concatenate([np.ones(len(right)), np.zeros(len(seen.outside_score))])
        # Out of scope is one more class: -1 both as truth and as what the gate says.
        truth = np.concatenate([seen.codes, np.full(len(seen.outside_score), -1)])
        said = np.concatenate([np.where(seen.in_scope, seen.predicted, -1), np.where(seen.outside_refused, -1, -2)])
        figures |= {
            "scope_auroc": auroc(fits, np.concatenate([seen.scope_score, seen.outside_score])),
            "out_of_scope_refused": float(seen.outside_refused.mean()),
            "in_scope_kept": float(seen.in_scope.mean()),
            "matthews_with_out_of_scope": matthews(truth, said),
        }
    return figures


def _by_slice(seen: OutOfSample, plain_right: NDArray[np.bool_], slices: NDArray[Any]) -> ReportTable:
    rows = []
    for name in np.unique(slices):
        chosen = slices == name
        rows.append(
            (
                str(name),
                float((seen.predicted == seen.codes)[chosen].mean()),
                float(plain_right[chosen].mean()),
                float(seen.in_scope[chosen].mean()),
                int(chosen.sum()),
            )
        )
    return ReportTable(name="slices", columns=("slice", "accuracy", "baseline", "in_scope_kept", "rows"), rows=tuple(rows))
