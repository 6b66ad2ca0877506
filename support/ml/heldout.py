"""How a fitted intent model judges each of its examples without having seen it: kept with the version, so that a page
can say what other thresholds would have done.

Every row, in scope or out, is judged by a head that was fitted without it; see crm.core.text.results.OutOfSample.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from support.ml.intent import CHOICES, IntentModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from support.ml.dataset import Examples

PREFIX = "heldout."
# Numbers of languages in the saved arrays.
LANGUAGES = ("en", "zh-hans")


def tensors(model: IntentModel, examples: Examples) -> dict[str, NDArray[Any]]:
    """Return one entry per example, in-scope ones first: confidence and together (float32, of the best intent and of the
    three best), scope (float32), right and holds (uint8: best one right, one of three right; 0 out of scope),
    outside (uint8), language (uint8, number in LANGUAGES, 255 for others).
    """
    seen = model.classifier_.out_of_sample_
    order = np.argsort(-seen.served, axis=1, kind="stable")[:, :CHOICES]
    languages = np.asarray(examples.languages, dtype=object)[model.classifier_.kept_rows_]
    confidence, together = [seen.served.max(1)], [np.take_along_axis(seen.served, order, axis=1).sum(1)]
    scope = [np.asarray(seen.scope_score)]
    outside = len(seen.outside_score)
    if outside:
        confidence.append(seen.outside_served.max(1))
        together.append(np.sort(seen.outside_served, axis=1)[:, -CHOICES:].sum(1))
        scope.append(np.asarray(seen.outside_score))
    no_intent = np.zeros(outside, dtype=bool)
    found: dict[str, NDArray[Any]] = {
        "confidence": np.concatenate(confidence).astype(np.float32),
        "together": np.concatenate(together).astype(np.float32),
        "scope": np.concatenate(scope).astype(np.float32),
        "right": np.concatenate([order[:, 0] == seen.codes, no_intent]).astype(np.uint8),
        "holds": np.concatenate([(order == seen.codes[:, None]).any(1), no_intent]).astype(np.uint8),
        "outside": np.concatenate([np.zeros(len(seen.codes)), np.ones(outside)]).astype(np.uint8),
        "language": np.array([_number(name) for name in [*languages, *examples.outside_languages]], dtype=np.uint8),
    }
    return {PREFIX + name: values for name, values in found.items()}


def thresholds(model: IntentModel) -> dict[str, float]:
    """Return the thresholds the training chose: answer_from, clarify_from, scope_from (0.0 where nothing is out of scope)."""
    gate = model.classifier_.gate_
    return {
        "answer_from": float(model.answer_from_),
        "clarify_from": float(model.clarify_from_),
        "scope_from": float(gate.threshold_) if gate else 0.0,
    }


def _number(language: str) -> int:
    return LANGUAGES.index(language) if language in LANGUAGES else 255
