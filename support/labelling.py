"""Which visitor messages a person should label next, and the labels offered by single keys.

What teaches most comes first: messages over which model and people disagreed, bad ratings after an automatic answer,
messages of groups nobody could answer, then those the model was least sure of.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Case, Exists, F, FloatField, IntegerField, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Abs, Coalesce
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from crm.core import audit
from crm.core.models import User
from support import intents, labels, teams
from support.models import Conversation, IntentExample, Message, QuestionCluster
from support.models.cluster import ClusterState
from support.models.conversation import Author
from support.models.labels import OUT_OF_SCOPE

# Older messages say little about what is asked now.
LOOKED_BACK = timedelta(days=60)
# A rating at or below this, in a conversation the assistant answered, makes its answers suspects.
LOW_RATING = 2
# Labels with a key of their own, 1 to 9; 0 is "none of these".
KEYS = 9
DISAGREED, RATED, GROUPED, UNSURE, REFUSED = "disagreed", "rated", "grouped", "unsure", "refused"
REASONS: dict[str, str | Promise] = {
    DISAGREED: _("The assistant answered, then a person had to"),
    RATED: _("Bad rating after an automatic answer"),
    GROUPED: _("One of a group of questions without an answer"),
    UNSURE: _("The model was not sure"),
    REFUSED: _("The model says that no intent fits"),
}


@dataclass(frozen=True, slots=True)
class Offer:
    """A label with its key: '1' to '9', '0' for none of these, '' for the rest."""

    key: str
    label: str
    name: str
    probability: float | None
    is_said: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """A message to label. before: the lines just above it, (author, text)."""

    message: Message
    reason: str
    before: tuple[tuple[str, str], ...]
    offers: tuple[Offer, ...]


def waiting(*, viewer: User, now: datetime) -> "QuerySet[Message]":
    """Return the messages worth labelling that the viewer may see, the most instructive first, with `.reason`."""
    answered = Message.objects.filter(conversation=OuterRef("conversation"), author=Author.BOT, kind="answer", seq__gt=OuterRef("seq"))
    person_after = Message.objects.filter(conversation=OuterRef("conversation"), author=Author.AGENT, is_note=False, seq__gt=OuterRef("seq"))
    grouped = _grouped()
    rows = Message.objects.filter(
        author=Author.VISITOR, kind="text", example=None, label_skipped_at=None, sent_at__gte=now - LOOKED_BACK, conversation__in=seen_by(viewer)
    )
    was_answered = Exists(answered) & Q(in_scope=True)
    reason = Case(
        When(was_answered & Exists(person_after) & ~Q(intent__in=intents.NOT_A_CHOICE), then=Value(DISAGREED)),
        When(Exists(answered) & Q(conversation__csat__lte=LOW_RATING), then=Value(RATED)),
        When(pk__in=grouped, then=Value(GROUPED)),
        When(in_scope=True, confidence__lt=0.75, then=Value(UNSURE)),
        When(in_scope=False, then=Value(REFUSED)),
        default=Value(""),
    )
    order = Case(*(When(reason=name, then=Value(place)) for place, name in enumerate(REASONS)), default=Value(9), output_field=IntegerField())
    # Nearest to a coin's toss first; a message without a confidence goes last among its like.
    doubt = Coalesce(Abs(F("confidence") - Value(0.5)), Value(1.0), output_field=FloatField())
    return rows.annotate(reason=reason).exclude(reason="").annotate(order=order, doubt=doubt).order_by("order", "doubt", "-sent_at", "-pk")


def seen_by(viewer: User) -> "QuerySet[Conversation]":
    """Return the conversations whose messages the viewer may read."""
    return teams.conversations_for(viewer)


def _grouped() -> list[int]:
    found = QuestionCluster.objects.filter(state=ClusterState.OPEN).values_list("message_ids", flat=True)[:50]
    return [number for numbers in found for number in numbers]


def candidate(*, message: Message, language: str) -> Candidate:
    """Return the message with what is needed to judge it. Two queries."""
    before = Message.objects.filter(conversation_id=message.conversation_id, seq__lt=message.seq, is_note=False).order_by("-seq")[:3]
    lines = tuple((row.author, row.text) for row in reversed(before))
    return Candidate(message, getattr(message, "reason", ""), lines, offers(message=message, language=language, every=labels.known_labels()))


def offers(*, message: Message, language: str, every: set[str]) -> tuple[Offer, ...]:
    """Return every label: the likeliest on keys 1 to 9, 'none of these' on 0, the rest without a key."""
    weighed = {str(label): float(share) for label, share in (message.understood or {}).get("choices", [])}
    said = OUT_OF_SCOPE if message.in_scope is False else message.intent
    if message.intent and message.intent not in weighed and message.confidence is not None:
        weighed[message.intent] = message.confidence
    likely = sorted((label for label in weighed if label in every and label != OUT_OF_SCOPE), key=lambda label: -weighed[label])
    rest = [label for label, _name in intents.choices(language, frozenset(every)) if label in every and label not in likely and label != OUT_OF_SCOPE]
    keyed = [*likely, *_usual(rest)][:KEYS]
    ordered = [*keyed, OUT_OF_SCOPE, *(label for label in rest if label not in keyed)]
    keys = {label: str(number) for number, label in enumerate(keyed, start=1)} | {OUT_OF_SCOPE: "0"}
    return tuple(Offer(keys.get(label, ""), label, intents.name(label, language), weighed.get(label), label == said) for label in ordered)


def _usual(rest: Sequence[str]) -> list[str]:
    """Return the labels people gave most lately, so that the keys hold what is usual here."""
    given = IntentExample.objects.filter(message__isnull=False).order_by("-created_at").values_list("label", flat=True)[:300]
    counts: dict[str, int] = {}
    for label in given:
        counts[label] = counts.get(label, 0) + 1
    return sorted(rest, key=lambda label: -counts.get(label, 0))


def skip(*, message_id: int, by: User, now: datetime) -> None:
    """Take the message out of the queue without a label. Raises MessageMissing."""
    moved = Message.objects.filter(pk=message_id, author=Author.VISITOR, conversation__in=seen_by(by)).update(label_skipped_at=now)
    if not moved:
        raise labels.MessageMissing
    audit.record(actor=by, action="message.skip_label", data={"message": message_id})


def may_label(*, viewer: User, message_id: int) -> bool:
    """Return whether the message is one the viewer may read. One query."""
    return Message.objects.filter(pk=message_id, conversation__in=seen_by(viewer)).exists()
