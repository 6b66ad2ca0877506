"""The assistant's reply to a visitor's message, and the rule that a person's word always comes first.

A reply is owed by a row (Message.reply_state = due), claimed by a conditional update, prepared without any lock, and
posted under the conversation's lock only if meanwhile no person wrote and nobody took the conversation. Otherwise it
is discarded and the discard is in the audit trail.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone

from crm.core import audit
from support import conversations, disclosure, intents, knowledge, lines, phrases, phrasing, retrieval, triage, understanding
from support.entities import ORDER, Entity
from support.language import CHINESE
from support.models import Conversation, Message
from support.models.conversation import Author, ConversationState, ReplyState
from support.mood import Mood
from support.triage import Decision, Triage

logger = logging.getLogger(__name__)

# A claim older than this belongs to a worker that died. Loading the model for the first time takes up to 20 s.
CLAIM_LASTS = timedelta(seconds=60)
# The sweeper leaves younger rows to the task that the event enqueued.
SWEEP_AFTER = timedelta(seconds=4)
SWEEP_AT_ONCE = 50
# Characters up to which a line with another one after it is a piece of a word, not a question.
FRAGMENT = 2
# Words beside an order's number with which a message still says nothing but the number: "the order is MM20483, thanks".
MOST_OTHER_WORDS = 3
_HANDOVER_PHRASE = {"asked": "handover", "complaint": "handover_complaint", "details": "handover_details"}
# Reasons to hand over that a further line of the visitor does not take back.
_STANDS = frozenset({"asked", "complaint", "details"})


@dataclass(frozen=True, slots=True)
class Draft:
    """A reply not yet posted. kind: answer, clarify, text or handover (then `reason`). text_id: the article quoted.

    about: the judgement it rests on, where that is not the message's own. then: why a person takes over after the answer.
    before: the lines before the message it was read with, None where it was read alone.
    """

    kind: str
    text: str = ""
    data: dict[str, object] = field(default_factory=dict)
    reason: str = ""
    text_id: int | None = None
    about: Triage | None = None
    then: str = ""
    before: str | None = None


@dataclass(frozen=True, slots=True)
class Noted:
    """What the message names and how it is meant; empty where looking failed."""

    named: list[Entity] = field(default_factory=list)
    meant: Mood | None = None

    def as_dict(self, judged: Triage | None) -> dict[str, object]:
        """Return it as Message.understood keeps it."""
        if self.meant is None:
            return {}
        return understanding.noted(self.named, self.meant, judged.weighed if judged else ())


def draft(*, message_id: int, now: datetime) -> str:
    """Prepare and post the reply owed to a visitor's message; return what became of it.

    'posted', 'handed_over', 'discarded' (a person was quicker), 'merged' (the visitor's next message carries on), or
    'nothing' (not owed, or another worker is at it). Safe to run twice.
    """
    if not _claim(message_id, now):
        return "nothing"
    message = Message.objects.select_related("conversation").get(pk=message_id)
    while not (outcome := _posted(message, *_prepared(message), now)):
        pass
    return outcome


def _prepared(message: Message) -> "tuple[Draft, Triage | None, Noted]":
    """Return the reply with what the message says; a failing assistant's is a person."""
    try:
        choice = lines.choice_in(message)
        judged = triage.of(text=message.text, language=message.conversation.language, choice=choice)
        named, meant = understanding.look(message.text, source_id=message.conversation.source_id, at=message.sent_at)
        # A choice says what was asked; the order or the thing it is about was named before.
        prepared = (
            _composed_for(f"{lines.asked_back(message)}\n{message.text}", message, judged) if choice else compose(message=message, judged=judged, named=named)
        )
        if prepared.kind != "answer" and prepared.reason not in _STANDS:
            before = lines.lines_before(message)
            prepared = replace(_with_lines_before(prepared, before, message) if before else prepared, before=before)
        return prepared, judged, Noted(named, meant)
    except DatabaseError:
        raise
    except Exception:
        # Whatever is wrong with the assistant, the visitor gets a person and not silence.
        logger.exception("reply not prepared", extra={"message_id": message.pk})
        return Draft("handover", reason="error"), None, Noted()


def due(*, now: datetime) -> list[int]:
    """Return ids of messages whose reply an event missed; rows another sweeper holds are skipped."""
    with transaction.atomic():
        owed = Message.objects.filter(reply_state=ReplyState.DUE, sent_at__lt=now - SWEEP_AFTER).filter(_unclaimed(now))
        return list(owed.select_for_update(skip_locked=True, of=("self",)).order_by("sent_at").values_list("pk", flat=True)[:SWEEP_AT_ONCE])


def _unclaimed(now: datetime) -> Q:
    return Q(reply_claimed_at=None) | Q(reply_claimed_at__lt=now - CLAIM_LASTS)


def _claim(message_id: int, now: datetime) -> bool:
    return bool(Message.objects.filter(_unclaimed(now), pk=message_id, reply_state=ReplyState.DUE).update(reply_claimed_at=now))


def _with_lines_before(prepared: Draft, before: str, message: Message) -> Draft:
    """Return the reply to a line and those just before it, which were left to it, where they say more than the line alone.

    "my parrot ate the remote", then "hello?": it is not the greeting that waits. "I bought a kettle last week", then "still
    nothing": together they are a question.
    """
    is_small_talk = prepared.kind == "text"
    again = _composed_for(before if is_small_talk else f"{before}\n{message.text}", message)
    return again if is_small_talk or again.kind == "answer" else prepared


def _composed_for(text: str, message: Message, judged: Triage | None = None) -> Draft:
    """Return the reply to a text, as if the message had said it."""
    judged = judged or triage.of(text=text, language=message.conversation.language)
    named, _meant = understanding.look(text, source_id=message.conversation.source_id, at=message.sent_at)
    as_if = Message(conversation=message.conversation, seq=message.seq, text=text, sent_at=message.sent_at)
    return replace(compose(message=as_if, judged=judged, named=named), about=judged)


def compose(*, message: Message, judged: Triage, named: Sequence[Entity] = ()) -> Draft:
    """Return the reply to the message; reads articles and orders, changes nothing."""
    conversation = message.conversation
    if _is_number_asked_for(message, named):
        return Draft("handover", reason="details")
    if disclosure.asks_who(message.text):
        return Draft("text", phrases.say("who", judged.language))
    decision, reason = triage.decide(judged, clarifications=conversation.clarifications)
    match decision:
        case Decision.HAND_OVER:
            return Draft("handover", reason=reason)
        case Decision.CLARIFY:
            offered = [{"label": label, "name": intents.name(label, judged.language)} for label in judged.choices]
            return Draft("clarify", phrases.say("clarify", judged.language), {"choices": offered})
    if judged.label in {intents.GREETING, intents.THANKS}:
        return Draft("text", phrases.say(judged.label, judged.language))
    return _answer(conversation, message, judged, named)


def _answer(conversation: Conversation, message: Message, judged: Triage, named: Sequence[Entity]) -> Draft:
    quoted = retrieval.quote_of_article(message.text, intent=judged.label, language=judged.language)
    if judged.label == intents.ORDER_STATUS:
        own = own_order(conversation, message, judged.language, list(named))
        if own:
            return Draft("answer", own, quoted.source() if quoted else {}, text_id=quoted.text_id if quoted else None)
        if quoted:
            said = f"{quoted.text}\n\n{phrases.say('order_verify', judged.language)}"
            return Draft("answer", said, quoted.source(), text_id=quoted.text_id)
    if quoted is None:
        # No article is listed for the intent; another one may still say it.
        hit = retrieval.best(message.text, language=judged.language)
        if hit is None:
            return Draft("handover", reason="no_article")
        quoted = hit.passage.quote()
    worded = phrasing.phrase(passage=quoted.text, question=message.text, language=judged.language)
    source = quoted.source() | ({"worded_by": worded.origin} if worded.origin else {}) | ({"wording_refused": worded.fault} if worded.fault else {})
    knows_order = judged.label in intents.HANDLED_BY_PEOPLE and any(entity.kind == ORDER for entity in named)
    return Draft("answer", worded.text, source, text_id=quoted.text_id, then="details" if knows_order else "")


def _is_number_asked_for(message: Message, named: Sequence[Entity]) -> bool:
    """Return whether the message is an order's number and little else, after an answer that leads to people doing something with it.

    A proven customer's own order is told by the assistant itself. One query where a number is named.
    """
    conversation = message.conversation
    numbers = [entity for entity in named if entity.kind == ORDER]
    wanted = intents.HANDLED_BY_PEOPLE if conversation.is_verified else intents.HANDLED_BY_PEOPLE | {intents.ORDER_STATUS}
    if not numbers or conversation.intent not in wanted:
        return False
    rest = message.text
    for entity in numbers:
        rest = rest.replace(entity.text, " ")
    if len(retrieval.tokens(rest)) > MOST_OTHER_WORDS:
        return False
    before = Message.objects.filter(conversation=conversation, seq__lt=message.seq, is_note=False).exclude(author=Author.VISITOR).order_by("-seq")
    return bool(before.values_list("kind", flat=True).first() == "answer")


def own_order(conversation: Conversation, message: Message, language: str, named: list[Entity]) -> str:
    """Return where the proven customer's order stands, or '' for a visitor who has not proven who they are.

    A number that is not on the customer's own account is treated as unknown, whoever it belongs to.
    """
    if not conversation.is_verified or conversation.customer_id is None:
        return ""
    orders, meant, is_foreign = understanding.own_order(named, message.text, customer_id=conversation.customer_id)
    if not orders:
        return phrases.say("order_none", language)
    shown = meant or orders[0]
    values = {
        "number": shown.external_id,
        "date": _day(shown.placed_at, language),
        "status": phrases.say(f"status_{shown.status}", language),
    }
    return phrases.say("order_not_yours" if is_foreign else "order_found", language, **values)


def _day(moment: datetime, language: str) -> str:
    local = timezone.localtime(moment)
    return f"{local.year}年{local.month}月{local.day}日" if language == CHINESE else f"{local:%B} {local.day}, {local.year}"


def _posted(message: Message, prepared: Draft, judged: Triage | None, noted: "Noted", now: datetime) -> str:
    """Post the draft under the conversation's lock unless a person or the visitor moved on, and settle the row; '' to prepare it anew."""
    with transaction.atomic():
        conversation = conversations.locked(message.conversation_id)
        if not Message.objects.filter(pk=message.pk, reply_state=ReplyState.DUE).exists():
            return "nothing"  # It took longer than a claim lasts, and another worker was quicker.
        later = set(Message.objects.filter(conversation=conversation, seq__gt=message.seq, is_note=False).values_list("author", flat=True))
        if conversation.state != ConversationState.BOT or Author.AGENT in later:
            _settle(message, judged, noted, ReplyState.DISCARDED)
            audit.record(actor=None, actor_label="assistant", action="reply.discard", target=message, data={"state": conversation.state, "kind": prepared.kind})
            return "discarded"
        if prepared.before is not None and prepared.before != lines.lines_before(message):
            return ""  # A line before it has been left to it meanwhile.
        _settle(message, judged, noted, ReplyState.DONE)
        if _is_left_to_next(message, prepared, later):
            return "merged"
        _remember(conversation, prepared, prepared.about or judged, noted)
        if prepared.kind == "handover":
            phrase = _HANDOVER_PHRASE.get(prepared.reason, "handover_unsure")
            conversations.hand_over(conversation_id=conversation.pk, reason=prepared.reason, phrase=phrase, now=now)
            return "handed_over"
        conversations.post(conversation_id=conversation.pk, author=Author.BOT, text=prepared.text, kind=prepared.kind, data=prepared.data, now=now, cause="bot")
        if prepared.text_id is not None:
            knowledge.mark_quoted(text_id=prepared.text_id, at=now)
        if prepared.then:
            conversations.hand_over(conversation_id=conversation.pk, reason=prepared.then, phrase=_HANDOVER_PHRASE[prepared.then], now=now)
        return "posted"


def _is_left_to_next(message: Message, prepared: Draft, later: set[str]) -> bool:
    """Return whether nothing need be said to this line because of what was said after it; the conversation is locked."""
    may_wait = Author.VISITOR in later and prepared.reason not in _STANDS and (prepared.kind != "answer" or len(message.text) <= FRAGMENT)
    if may_wait and (prepared.kind == "text" or lines.is_carried_on(message)):
        # The visitor is still typing lines; asking back or handing over on the first half would be premature.
        return True
    said = Message.objects.filter(conversation_id=message.conversation_id, seq__gt=message.seq, author=Author.BOT, kind="answer", text=prepared.text)
    # Two lines of one question have the same answer: once is enough, unless a person is to follow.
    return prepared.kind == "answer" and not prepared.then and Author.BOT in later and said.exists()


def _remember(conversation: Conversation, prepared: Draft, judged: Triage | None, noted: "Noted") -> None:
    """Keep with the conversation what it is about and how often was asked back; the row is locked."""
    changed = []
    if noted.meant is not None and conversation.urgency != noted.meant.urgency:
        conversation.urgency = noted.meant.urgency
        changed.append("urgency")
    if prepared.kind == "clarify":
        conversation.clarifications += 1
        changed.append("clarifications")
    # A bare number is about what was asked before it.
    says_what = prepared.kind != "clarify" and prepared.reason != "details"
    if judged and judged.is_judged and judged.in_scope and judged.label not in intents.NOT_A_CHOICE and says_what:
        conversation.intent = judged.label
        changed.append("intent")
    if changed:
        conversation.save(update_fields=changed)


def _settle(message: Message, judged: Triage | None, noted: "Noted", state: ReplyState) -> None:
    values: dict[str, object] = {"reply_state": state}
    if noted.meant is not None:
        values["understood"] = noted.as_dict(judged)
    if judged and judged.is_judged:
        values |= {
            "intent": judged.label, "confidence": judged.confidence, "in_scope": judged.in_scope, "intent_version": judged.version,
            "language": judged.language,
        }  # fmt: skip
    Message.objects.filter(pk=message.pk).update(**values)
