"""What the assistant proposes to an agent: a reply with its source, and a summary. Nothing here is ever sent by itself.

A suggestion answers the visitor's newest message. It is prepared in a worker when an agent's page asks for it, is stale
as soon as the visitor writes again, and what became of it is read off what the agent then sent.
"""

from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from crm.core.errors import NotFound
from crm.core.models import User
from support import intents, phrases, phrasing, replies, retrieval, translating, triage, understanding
from support.entities import Entity
from support.language import known
from support.models import Conversation, Message, Suggestion
from support.models.assist import SuggestionOutcome
from support.models.conversation import Author

# Likeness (0..1, matched characters) of what was sent from which it counts as the suggestion itself, or as one changed.
SAME, CHANGED = 0.98, 0.5
# Longer texts are compared by their beginnings: matching is quadratic.
COMPARED = 1500
# Lines of a summary.
OLD_LINES = 400


# Why a person has the conversation, by the codes kept with it.
HANDOVER_REASONS: dict[str, str | Promise] = {
    "asked": _("the visitor asked for one"),
    "complaint": _("a complaint"),
    "unsure": _("the assistant was not sure enough"),
    "out_of_scope": _("no intent fits"),
    "no_article": _("no article answers it"),
    "no_model": _("no intent model served"),
    "error": _("the assistant failed"),
    "details": _("an order to be looked at"),
    "file": _("a file the visitor sent"),
    "mail": _("an answer by e-mail"),
    "api": _("a partner's program"),
}


class SuggestionMissing(NotFound):
    code = "suggestion_missing"
    message = gettext_noop("There is no such suggestion.")


@dataclass(frozen=True, slots=True)
class Summary:
    """A conversation in a few facts. first, last: the visitor's first and newest line. entities: (kind, text) in order.

    answers: titles of the articles the assistant quoted. intent: label of the main intent, '' where none is known.
    handover_reason: in words, '' while the assistant has it.
    """

    first: str
    last: str
    intent: str
    mood: str
    urgency: str
    entities: tuple[tuple[str, str], ...]
    answers: tuple[str, ...]
    handover_reason: str | Promise
    visitor_lines: int


def newest_question(conversation_id: int) -> Message | None:
    """Return the visitor's newest message if nobody has replied to it yet. One query."""
    last = Message.objects.filter(conversation_id=conversation_id, is_note=False, author__in=[Author.VISITOR, Author.AGENT]).order_by("-seq").first()
    return last if last is not None and last.author == Author.VISITOR else None


def current(*, conversation_id: int, agent: User, now: datetime) -> tuple[Message | None, Suggestion | None]:
    """Return the question that is open and the suggestion for it, None where it is still to be prepared.

    Suggestions for earlier questions that nobody answered become stale. Those that were answered are settle()'s, which
    may still be on its way: the page asks again as soon as the reply is there.
    """
    question = newest_question(conversation_id)
    if question is None:
        return None, None
    answered = Message.objects.filter(conversation_id=conversation_id, author=Author.AGENT, is_note=False, seq__gt=OuterRef("upto_seq"))
    shown = Suggestion.objects.filter(conversation_id=conversation_id, agent=agent, outcome=SuggestionOutcome.SHOWN, upto_seq__lt=question.seq)
    shown.exclude(Exists(answered)).update(outcome=SuggestionOutcome.STALE, settled_at=now)
    return question, Suggestion.objects.filter(conversation_id=conversation_id, agent=agent, upto_seq=question.seq).first()


def prepare(*, message_id: int, agent_id: int, now: datetime) -> Suggestion | None:
    """Write the suggestion for a visitor's message and an agent; None where the message is gone. Safe to run twice.

    Slow: it runs the models, and the generator where one is configured.
    """
    message = Message.objects.select_related("conversation").filter(pk=message_id, author=Author.VISITOR).first()
    if message is None:
        return None
    conversation = message.conversation
    judged = triage.of(text=message.text, language=conversation.language)
    named, _mood = understanding.look(message.text, source_id=conversation.source_id, at=message.sent_at)
    text, source, origin = _proposed(conversation, message, judged, named)
    if translation := _for_reader(message.text, spoken=judged.language, agent_id=agent_id):
        source = source | {"question": translation}
    try:
        with transaction.atomic():
            return Suggestion.objects.create(
                conversation=conversation,
                upto_seq=message.seq,
                intent=judged.label if judged.in_scope else "",
                language=judged.language,
                text=text,
                source=source,
                origin=origin,
                agent_id=agent_id,
                shown_at=now,
            )
    except IntegrityError:
        return Suggestion.objects.filter(conversation=conversation, upto_seq=message.seq, agent_id=agent_id).first()


def _proposed(conversation: Conversation, message: Message, judged: triage.Triage, named: list[Entity]) -> tuple[str, dict[str, object], str]:
    """Return text, source and origin; without support the text is a question to ask back and the origin 'question'."""
    if judged.is_judged and judged.label == intents.ORDER_STATUS and (own := replies.own_order(conversation, message, judged.language, named)):
        return own, {}, "order"
    quoted = retrieval.quote_of_article(message.text, intent=judged.label, language=judged.language) if judged.is_judged and judged.in_scope else None
    if quoted is None and (hit := retrieval.best(message.text, language=judged.language)):
        quoted = hit.passage.quote()
    if quoted is None:
        return phrases.say("ask_more", judged.language), {}, "question"
    worded = phrasing.phrase(passage=quoted.text, question=message.text, language=judged.language)
    return worded.text, quoted.source(), worded.origin or "article"


def _for_reader(text: str, *, spoken: str, agent_id: int) -> str:
    """Return the visitor's message in the agent's language; '' where it is theirs already or no model is configured."""
    if not translating.is_possible():
        return ""
    chosen = str(User.objects.values_list("locale", flat=True).get(pk=agent_id))
    return translating.translate(text, into=known(chosen)).text if chosen and known(chosen) != spoken else ""


def dismiss(*, suggestion_id: int, agent: User, now: datetime) -> Suggestion:
    """Say that the suggestion is of no use. Raises SuggestionMissing."""
    row = Suggestion.objects.filter(pk=suggestion_id, agent=agent).first()
    if row is None:
        raise SuggestionMissing
    Suggestion.objects.filter(pk=row.pk, outcome=SuggestionOutcome.SHOWN).update(outcome=SuggestionOutcome.REJECTED, settled_at=now)
    row.refresh_from_db()
    return row


def settle(*, message_id: int, now: datetime) -> str:
    """Read off an agent's reply what became of the suggestion its author was shown; return the outcome, '' for none."""
    reply = Message.objects.filter(pk=message_id, author=Author.AGENT, is_note=False).first()
    if reply is None:
        return ""
    with transaction.atomic():
        shown = Suggestion.objects.select_for_update().filter(
            conversation_id=reply.conversation_id, agent_id=reply.agent_id, outcome=SuggestionOutcome.SHOWN, upto_seq__lt=reply.seq
        )
        row = shown.order_by("-upto_seq").first()
        if row is None:
            return ""
        likeness = like(row.text, reply.text)
        row.outcome = SuggestionOutcome.ACCEPTED if likeness >= SAME else SuggestionOutcome.EDITED if likeness >= CHANGED else SuggestionOutcome.REJECTED
        row.changed_share = None if row.outcome == SuggestionOutcome.REJECTED else round(1 - likeness, 4)
        row.settled_at = now
        row.save(update_fields=["outcome", "changed_share", "settled_at"])
        return str(row.outcome)


def like(suggested: str, sent: str) -> float:
    """Return how much of two texts is the same, 0..1; a text that holds the whole suggestion and more counts as changed."""
    one, other = " ".join(suggested.split())[:COMPARED], " ".join(sent.split())[:COMPARED]
    if one and one in other and one != other:
        return max(CHANGED, len(one) / len(other))
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def summary(*, conversation: Conversation) -> Summary | None:
    """Return the conversation in a few facts, None while the visitor has said nothing. One query."""
    rows = list(Message.objects.filter(conversation=conversation, is_note=False).order_by("-seq")[:OLD_LINES])[::-1]
    asked = [row for row in rows if row.author == Author.VISITOR]
    if not asked:
        return None
    named: dict[tuple[str, str], None] = {}
    for row in asked:
        for entity in (row.understood or {}).get("entities", []):
            named[str(entity["kind"]), str(entity["text"])] = None
    noted: dict[str, object] = next((row.understood for row in reversed(asked) if row.understood), {})
    return Summary(
        first=asked[0].text[:200],
        last=asked[-1].text[:200] if len(asked) > 1 else "",
        intent=conversation.intent or next((row.intent for row in reversed(asked) if row.intent and row.in_scope), ""),
        mood=str(noted.get("mood", "")),
        urgency=str(noted.get("urgency", "")),
        entities=tuple(named)[:12],
        answers=tuple(dict.fromkeys(str(row.data["title"]) for row in rows if row.kind == "answer" and row.data.get("title"))),
        handover_reason=HANDOVER_REASONS.get(conversation.handover_reason, conversation.handover_reason),
        visitor_lines=len(asked),
    )
