"""What a message asks, how sure that is, and what follows from it: answer, ask back, or hand over to a person.

The trained classifier of task `intents` judges; without one (none trained yet, files damaged, encoder absent) every
message goes to a person. That is the stated baseline: a guess from keywords would be sure of itself and wrong.
"""

import logging
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from crm.core.errors import CrmError
from crm.core.learning import modelstore
from support import intents
from support.language import language_of
from support.models.labels import OUT_OF_SCOPE

if TYPE_CHECKING:
    from crm.core.text.classifier import TextClassifier

logger = logging.getLogger(__name__)
TASK = "intents"
# A visitor is asked back at most this often in one conversation; then a person takes over.
MOST_CLARIFICATIONS = 2
# Choices offered when asking back, and the probability below which one is not worth offering.
MOST_CHOICES, CHOICE_AT = 3, 0.03


class Decision(StrEnum):
    ANSWER = "answer"
    CLARIFY = "clarify"
    HAND_OVER = "hand_over"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Confidence from which the assistant answers, and from which it at least asks; chosen at training (ml/training.py)."""

    answer_at: float = 0.6
    clarify_at: float = 0.15


@dataclass(frozen=True, slots=True)
class Triage:
    """label: most probable intent, '' where nothing judged. confidence: its probability, 0 to 1.
    choices: labels worth asking about, likeliest first. version: of the model, None where none served.
    """

    label: str
    confidence: float
    in_scope: bool
    language: str
    choices: tuple[str, ...]
    version: int | None
    thresholds: Thresholds

    @property
    def is_judged(self) -> bool:
        return self.version is not None or self.confidence == 1.0


def of(*, text: str, language: str, choice: str = "") -> Triage:
    """Return the judgement of one message. Never raises for a model that cannot serve: then nothing is judged.

    language: the conversation's, kept where the text does not show one. choice: the intent the visitor picked from a
    question; it needs no model.
    """
    language = language_of(text, fallback=language)
    if choice and (choice in intents.SHIPPED or choice == OUT_OF_SCOPE):
        return Triage(choice, 1.0, choice != OUT_OF_SCOPE, language, (), None, Thresholds())
    try:
        return _judged([(text, language)])[0]
    except CrmError as error:
        logger.warning("no intent model serves", extra={"code": error.code})
        return Triage("", 0.0, False, language, (), None, Thresholds())


def warm() -> bool:
    """Load the model and run it once, so that the first visitor does not wait for it; False where none serves."""
    try:
        _judged([("hello", "en")])
    except CrmError as error:
        logger.info("no intent model to warm", extra={"code": error.code})
        return False
    return True


def decide(triage: Triage, *, clarifications: int) -> tuple[Decision, str]:
    """Return what to do and, for a hand-over, its reason code. clarifications: how often was asked back already."""
    if not triage.is_judged:
        return Decision.HAND_OVER, "no_model"
    if not triage.in_scope or triage.label == OUT_OF_SCOPE:
        return Decision.HAND_OVER, "out_of_scope"
    if triage.confidence >= triage.thresholds.answer_at:
        return _sure(triage.label)
    if triage.confidence < triage.thresholds.clarify_at or not triage.choices:
        return Decision.HAND_OVER, "unsure"
    if triage.label == intents.TALK_TO_PERSON:
        # Asking back whether somebody wants a person is the one question nobody wants to hear.
        return Decision.HAND_OVER, "asked"
    if clarifications >= MOST_CLARIFICATIONS:
        return Decision.HAND_OVER, "unsure"
    return Decision.CLARIFY, ""


def _sure(label: str) -> tuple[Decision, str]:
    if label == intents.TALK_TO_PERSON:
        return Decision.HAND_OVER, "asked"
    if label == intents.COMPLAINT:
        return Decision.HAND_OVER, "complaint"
    return Decision.ANSWER, ""


def _judged(messages: list[tuple[str, str]]) -> list[Triage]:
    """Judge (text, language) pairs in one pass; the same code for one message and for a batch."""
    served = modelstore.build(TASK, _restored)
    predictions = served.classifier.predict([text for text, _ in messages])
    found = []
    for row, (_, language) in enumerate(messages):
        probabilities = predictions.probabilities[row]
        order = probabilities.argsort()[::-1]
        likely = [predictions.classes[column] for column in order if probabilities[column] >= CHOICE_AT]
        found.append(
            Triage(
                label=str(predictions.labels[row]),
                confidence=float(predictions.confidence[row]),
                in_scope=bool(predictions.in_scope[row]),
                language=language,
                choices=tuple(label for label in likely if label not in intents.NOT_A_CHOICE)[:MOST_CHOICES],
                version=served.version,
                thresholds=served.thresholds,
            )
        )
    return found


@dataclass(frozen=True, slots=True)
class _Served:
    version: int
    classifier: "TextClassifier"
    thresholds: Thresholds


def _restored(model: modelstore.LoadedModel) -> _Served:
    # scikit-learn comes with the classifier; a web process that never judges a message does without.
    from crm.core.text.classifier import TextClassifier

    return _Served(model.version.version, TextClassifier.from_tensors(model.tensors, model.config["classifier"]), Thresholds(**model.config["thresholds"]))
