"""What a visitor wants: the intent classifier with the three-way decision answer, ask back, or hand over.

The thresholds are learned, not set: answering starts where answers are right often enough, asking back where one of
the three choices shown is the right one often enough.  Pure: no Django, no query.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from crm.core.text.classifier import TextClassifier
from crm.core.text.results import Explanation, Predictions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Share of automatic answers that must be to the right question. Below nine in ten people stop reading them.
ANSWERS_RIGHT = 0.92
# Choices shown when asking back, and the share of such questions that must contain the right one.
CHOICES = 3
CHOICES_RIGHT = 0.7


class Decision(StrEnum):
    ANSWER = "answer"
    CLARIFY = "clarify"
    HAND_OVER = "hand_over"


@dataclass(frozen=True, slots=True)
class Understanding:
    """What one message seems to want.

    label, confidence: the most probable intent and its calibrated probability.  choices: the three most probable.
    in_scope, scope_score: whether the message fits any intent.  decision: what the policy does with it.
    nearest: training row it resembles most, -1 where the model keeps none.
    """

    label: str
    confidence: float
    in_scope: bool
    scope_score: float
    choices: tuple[tuple[str, float], ...]
    decision: Decision
    nearest: int


class IntentModel:
    """The classifier and its policy.

    answers_right, choices_right: see ANSWERS_RIGHT, CHOICES_RIGHT.  seed, use_encoder, finetune: see TextClassifier.

    After `fit`: `classifier_`, `answer_from_` (least confidence to answer), `clarify_from_` (least probability of the
    three choices together to ask back).
    """

    format = 1

    def __init__(
        self,
        *,
        answers_right: float = ANSWERS_RIGHT,
        choices_right: float = CHOICES_RIGHT,
        seed: int = 0,
        use_encoder: bool | None = None,
        finetune: bool = False,
    ) -> None:
        self.answers_right = answers_right
        self.choices_right = choices_right
        self.seed = seed
        self.use_encoder = use_encoder
        self.finetune = finetune

    def fit(self, texts: Sequence[str], labels: Sequence[str], out_of_scope: Sequence[str] = ()) -> Self:
        """Learn from example messages and their intents, and from messages no intent fits."""
        self.classifier_ = TextClassifier(seed=self.seed, use_encoder=self.use_encoder, finetune=self.finetune).fit(texts, labels, out_of_scope)
        seen = self.classifier_.out_of_sample_
        order = np.argsort(-seen.served, axis=1, kind="stable")[:, :CHOICES]
        confidence, together = seen.served.max(1), np.take_along_axis(seen.served, order, axis=1).sum(1)
        let_through = seen.in_scope
        right = order[:, 0] == seen.codes
        self.answer_from_ = least_confidence(confidence[let_through], right[let_through], target=self.answers_right)
        holds = (order == seen.codes[:, None]).any(1)
        asked = let_through & (confidence < self.answer_from_)
        self.clarify_from_ = least_confidence(together[asked], holds[asked], target=self.choices_right)
        return self

    def understand(self, texts: Sequence[str]) -> list[Understanding]:
        """Return what each message wants and what to do about it; raises what TextClassifier.predict raises."""
        return self._judged(self.classifier_.predict(texts))

    def _judged(self, predictions: Predictions) -> list[Understanding]:
        order = np.argsort(-predictions.probabilities, axis=1, kind="stable")[:, :CHOICES]
        together = np.take_along_axis(predictions.probabilities, order, axis=1).sum(1)
        decisions = decide(
            confidence=predictions.confidence,
            together=together,
            in_scope=predictions.in_scope,
            answer_from=self.answer_from_,
            clarify_from=self.clarify_from_,
        )
        return [
            Understanding(
                label=str(predictions.labels[row]),
                confidence=float(predictions.confidence[row]),
                in_scope=bool(predictions.in_scope[row]),
                scope_score=float(predictions.scope_score[row]),
                choices=tuple((predictions.classes[code], float(predictions.probabilities[row, code])) for code in order[row]),
                decision=Decision(decisions[row]),
                nearest=int(predictions.nearest[row]),
            )
            for row in range(len(predictions))
        ]

    def explain(self, text: str, *, label: str | None = None) -> Explanation:
        """Return what each word contributes to the intent."""
        return self.classifier_.explain(text, label=label)

    def to_tensors(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        tensors, classifier = self.classifier_.to_tensors()
        config = {
            "format": self.format,
            "answers_right": self.answers_right,
            "choices_right": self.choices_right,
            "answer_from": self.answer_from_,
            "clarify_from": self.clarify_from_,
            "seed": self.seed,
            "classifier": classifier,
        }
        return tensors, config

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> Self:
        if config.get("format") != cls.format:
            raise ValueError(f"intent model format {config.get('format')} is not {cls.format}")
        model = cls(answers_right=config["answers_right"], choices_right=config["choices_right"], seed=config["seed"])
        model.answer_from_, model.clarify_from_ = config["answer_from"], config["clarify_from"]
        model.classifier_ = TextClassifier.from_tensors(tensors, config["classifier"])
        return model


def decide(
    *,
    confidence: NDArray[np.float64],
    together: NDArray[np.float64],
    in_scope: NDArray[np.bool_],
    answer_from: float,
    clarify_from: float,
) -> NDArray[np.str_]:
    """Return the decision code for each message; a message out of scope is always handed over."""
    return np.select(
        [~in_scope, confidence >= answer_from, together >= clarify_from],
        [Decision.HAND_OVER.value, Decision.ANSWER.value, Decision.CLARIFY.value],
        default=Decision.HAND_OVER.value,
    )


def least_confidence(confidence: NDArray[np.float64], right: NDArray[np.bool_], *, target: float) -> float:
    """Return the lowest confidence such that all rows at or above it are right at least `target` of the time.

    1.0 if the target is reached nowhere (then nothing is answered but certainties), 0.0 without rows.
    """
    if not len(confidence):
        return 0.0
    order = np.argsort(-confidence, kind="stable")
    ordered, share = confidence[order], np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    # Rows of equal confidence stand or fall together: judge only at the last of them.
    last_of_equal = np.append(ordered[1:] != ordered[:-1], True)
    reached = np.flatnonzero((share >= target) & last_of_equal)
    # Rounded down: confidences on a flat stretch of the calibration differ in their last bits only.
    return float(np.floor(ordered[reached[-1]] * 1e6) / 1e6) if len(reached) else 1.0
