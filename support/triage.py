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
from support import intents, policy
from support.language import language_of
from support.models.labels import OUT_OF_SCOPE

if TYPE_CHECKING:
    from support.ml.intent import IntentModel

logger = logging.getLogger(__name__)
TASK = "intents"
# A visitor is asked back at most this often in one conversation; then a person takes over.
MOST_CLARIFICATIONS = 2
# Probability below which an intent is not worth offering as a choice.
CHOICE_AT = 0.03


class Decision(StrEnum):
    ANSWER = "answer"
    CLARIFY = "clarify"
    HAND_OVER = "hand_over"


@dataclass(frozen=True, slots=True)
class Triage:
    """label: most probable intent, '' where nothing judged. confidence: its probability, 0 to 1.
    advice: what the thresholds in force say (policy.py): a person's, else those chosen at training so that answers are
    right often enough.
    choices: labels worth asking about, likeliest first. version: of the model, None where none served.
    weighed: the likeliest labels with their probabilities.
    """

    label: str
    confidence: float
    in_scope: bool
    language: str
    advice: Decision
    choices: tuple[str, ...] = ()
    version: int | None = None
    is_judged: bool = True
    weighed: tuple[tuple[str, float], ...] = ()


def of(*, text: str, language: str, choice: str = "") -> Triage:
    """Return the judgement of one message. Never raises for a model that cannot serve: then nothing is judged.

    language: the conversation's, kept where the text does not show one. choice: the intent the visitor picked from those a
    question offered; it needs no model.
    """
    language = language_of(text, fallback=language)
    if choice:
        return Triage(choice, 1.0, choice != OUT_OF_SCOPE, language, Decision.ANSWER)
    try:
        return judged([(text, language)])[0]
    except CrmError as error:
        logger.warning("no intent model serves", extra={"code": error.code})
        return Triage("", 0.0, False, language, Decision.HAND_OVER, is_judged=False)


def warm() -> bool:
    """Load the model and run it once, so that the first visitor does not wait for it; False where none serves."""
    try:
        judged([("hello", "en")])
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
    if triage.advice == Decision.HAND_OVER:
        return Decision.HAND_OVER, "unsure"
    if triage.label == intents.TALK_TO_PERSON:
        # Even when unsure: asking back whether somebody wants a person is the one question nobody wants to hear.
        return Decision.HAND_OVER, "asked"
    if triage.advice == Decision.ANSWER:
        return (Decision.HAND_OVER, "complaint") if triage.label == intents.COMPLAINT else (Decision.ANSWER, "")
    if clarifications >= MOST_CLARIFICATIONS or not triage.choices:
        return Decision.HAND_OVER, "unsure"
    return Decision.CLARIFY, ""


def judged(messages: list[tuple[str, str]]) -> list[Triage]:
    """Judge (text, language) pairs in one pass; the same code for one message and for a batch.

    Raises ModelMissing, ModelCorrupt, ModelIncompatible, or the encoder's errors.
    """
    served = modelstore.build(TASK, _restored)
    understood = served.model.understand([text for text, _ in messages])
    thresholds = policy.in_force(version=served.version, trained=served.trained)
    return [
        Triage(
            label=each.label,
            confidence=each.confidence,
            in_scope=each.scope_score >= thresholds.scope_from,
            language=language,
            advice=Decision(thresholds.decision(confidence=each.confidence, together=sum(share for _, share in each.choices), scope=each.scope_score)),
            choices=tuple(label for label, probability in each.choices if probability >= CHOICE_AT and label not in intents.NOT_A_CHOICE),
            version=served.version,
            weighed=tuple(each.choices),
        )
        for each, (_, language) in zip(understood, messages, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Served:
    version: int
    model: "IntentModel"
    trained: policy.Thresholds


def _restored(model: modelstore.LoadedModel) -> _Served:
    from support.ml import heldout, training

    classifier = training.restored(model)
    return _Served(model.version.version, classifier, policy.Thresholds(**heldout.thresholds(classifier)))
