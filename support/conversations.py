"""The verbs on a conversation: open, post, assign, take, hand over, snooze, close, reopen, rate.

Every verb locks the conversation's row first, so messages are numbered without a gap and two people cannot act on the
same state at once. What a verb changes is announced after commit; the announcement may be lost, the row is not.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, connection, transaction
from django.db.models import Q, Value
from django.db.models.functions import Greatest
from django.utils.translation import gettext_noop

from crm.core import audit, locks
from crm.core.errors import Conflict, CrmError, NotFound
from crm.core.events import publish
from crm.core.models import User
from support import phrases, queueing, quick, tickets, webhooks, wire
from support.events import ConversationChanged, MessagePosted
from support.language import known, language_of
from support.mail import addresses
from support.models import Conversation, Message, TeamSource, Ticket
from support.models.conversation import Author, ConversationState, ReplyState

# Characters of one message; a longer text is a document, not a chat line.
LONGEST_TEXT = 4000
LONGEST_CLIENT_ID = 64
LONGEST_EMAIL = 254
# A visitor who writes within this time of closing continues the same conversation; later a new one begins.
SAME_SUBJECT = timedelta(hours=24)
# Messages returned by one `since`; a client that is further behind asks again.
PAGE = 200
# Cause of a change that concerns the visitor's page alone: staff has received or read what it wrote.
SEEN_BY_STAFF = "seen by staff"
OPEN_STATES = (ConversationState.BOT, ConversationState.QUEUED, ConversationState.ASSIGNED, ConversationState.SNOOZED)


class ConversationMissing(NotFound):
    code = "conversation_missing"
    message = gettext_noop("There is no such conversation.")


class TextEmpty(CrmError):
    code = "text_empty"
    message = gettext_noop("A message needs at least one visible character.")


class TextTooLong(CrmError):
    code = "text_too_long"
    message = f"A message may have at most {LONGEST_TEXT} characters."


class ClientIdBad(CrmError):
    code = "client_id_bad"
    message = f"A client id has at most {LONGEST_CLIENT_ID} characters."


class ConversationOver(Conflict):
    code = "conversation_over"
    message = gettext_noop("This conversation ended some time ago; a new one begins.")


class AlreadyTaken(Conflict):
    code = "already_taken"
    message = gettext_noop("Someone else has taken this conversation.")


class RatingBad(CrmError):
    code = "rating_bad"
    message = gettext_noop("A rating is a whole number from 1 to 5.")


class EmailBad(CrmError):
    code = "email_bad"
    message = gettext_noop("That is not an e-mail address one can write to.")


@dataclass(frozen=True, slots=True)
class Posted:
    """The message row; is_new is False when the same client id had brought it before."""

    message: Message
    is_new: bool


def open(
    *,
    source_id: int,
    visitor_id: str,
    now: datetime,
    language: str = "en",
    customer_id: int | None = None,
    is_verified: bool = False,
    visitor_name: str = "",
    visitor_email: str = "",
    is_demo: bool = False,
) -> Conversation:
    """Return a new conversation with the assistant, without messages.

    is_verified: the customer's identity was proven by the shop's signature; without it customer_id must come from
    staff, never from what a visitor typed.
    """
    return Conversation.objects.create(
        source_id=source_id,
        team_id=TeamSource.objects.filter(source_id=source_id).values_list("team_id", flat=True).first(),
        visitor_id=visitor_id,
        customer_id=customer_id,
        is_verified=is_verified,
        visitor_name=visitor_name[:100],
        visitor_email=visitor_email,
        language=known(language),
        opened_at=now,
        last_message_at=now,
        is_demo=is_demo,
    )


def current(*, source_id: int, visitor_id: str, customer_id: int | None) -> Conversation | None:
    """Return the visitor's newest conversation in any state, or None.

    customer_id: set only for a proven identity. A proven customer finds their own from any browser; a visitor who is
    not proven never sees a proven one, even from the browser it was held in.
    """
    mine = Q(visitor_id=visitor_id, is_verified=False)
    if customer_id is not None:
        mine |= Q(customer_id=customer_id, is_verified=True)
    return Conversation.objects.filter(mine, source_id=source_id).order_by("-last_message_at", "-id").first()


def for_visitor(*, source_id: int, visitor_id: str, customer_id: int | None, language: str, now: datetime) -> Conversation:
    """Return the conversation a visitor's new message belongs to, opening one where needed.

    Two tabs that write their first line at once get the same conversation.
    """
    with transaction.atomic():
        locks.take(f"visitor:{source_id}:{visitor_id}")
        found = current(source_id=source_id, visitor_id=visitor_id, customer_id=customer_id)
        if found and not _is_over(found, now):
            return adopt(conversation=found, customer_id=customer_id)
        return open(source_id=source_id, visitor_id=visitor_id, customer_id=customer_id, is_verified=customer_id is not None, language=language, now=now)


def adopt(*, conversation: Conversation, customer_id: int | None) -> Conversation:
    """Give an unproven visitor's conversation to the customer the same browser has proven to be since."""
    if customer_id is not None and not conversation.is_verified:
        conversation.customer_id, conversation.is_verified = customer_id, True
        conversation.save(update_fields=["customer", "is_verified"])
    return conversation


def _is_over(conversation: Conversation, now: datetime) -> bool:
    return conversation.state == ConversationState.CLOSED and conversation.closed_at is not None and conversation.closed_at < now - SAME_SUBJECT


def locked(conversation_id: int) -> Conversation:
    """Return the conversation with its row locked to the end of the transaction."""
    found = Conversation.objects.select_for_update(of=("self",)).filter(pk=conversation_id).first()
    if found is None:
        raise ConversationMissing
    return found


def post(
    *,
    conversation_id: int,
    author: str,
    text: str,
    now: datetime,
    client_id: str = "",
    agent: User | None = None,
    is_note: bool = False,
    kind: str = "text",
    data: dict[str, object] | None = None,
    language: str = "",
    cause: str = "chat",
) -> Posted:
    """Append a message under the conversation's lock and return it with its number.

    client_id: the sender's own id of this message; the same id again changes nothing and returns the first row.
    cause: 'demo' keeps the assistant from answering what is only history.
    Raises TextEmpty, TextTooLong, ClientIdBad, ConversationMissing, and ConversationOver for a visitor who writes long
    after it was closed (then `for_visitor` begins a new one).
    """
    text = checked(text)
    if len(client_id) > LONGEST_CLIENT_ID:
        raise ClientIdBad
    try:
        message = None
        if author == Author.VISITOR and kind == "text":
            message = _appended_quickly(conversation_id, text, now, client_id, data or {}, language, cause)
        if message is not None:
            return Posted(message, is_new=True)
        with transaction.atomic():
            conversation = locked(conversation_id)
            if author == Author.VISITOR and _is_over(conversation, now):
                raise ConversationOver
            message = _appended(conversation, author, text, now, client_id, agent, is_note, kind, data or {}, language, cause)
    except IntegrityError:
        # The unique client id refused a repeat; asking first would cost every first send a query.
        known_row = Message.objects.filter(conversation_id=conversation_id, author=author, client_id=client_id).first() if client_id else None
        if known_row is None:
            raise
        return Posted(known_row, is_new=False)
    return Posted(message, is_new=True)


def _appended_quickly(conversation_id: int, text: str, now: datetime, client_id: str, data: dict[str, object], language: str, cause: str) -> Message | None:
    """Append a visitor's line by one statement; None where that is not the common case."""
    shown = language or language_of(text, fallback="") or None
    line = quick.VisitorLine(conversation_id, text, client_id, data, shown, owes=cause != "demo")
    # One statement is its own transaction, unless webhooks' rows belong to it. Inside a caller's, a savepoint keeps a
    # refused repeat from ending theirs.
    with transaction.atomic() if connection.in_atomic_block or webhooks.wanted() else nullcontext():
        message = quick.append(line, now=now)
        if message is not None:
            publish(_told(message, cause))
    return message


def _told(message: Message, cause: str) -> MessagePosted:
    return MessagePosted(
        conversation_id=message.conversation_id,
        message_id=message.pk,
        seq=message.seq,
        author=message.author,
        is_note=message.is_note,
        reply_due=message.reply_state == ReplyState.DUE,
        at=message.sent_at,
        cause=cause,
        item=None if message.is_note else wire.item(message),
    )


def _appended(
    conversation: Conversation,
    author: str,
    text: str,
    now: datetime,
    client_id: str,
    agent: User | None,
    is_note: bool,
    kind: str,
    data: dict[str, object],
    language: str,
    cause: str,
) -> Message:
    """Insert the row with the next number and move the conversation's state accordingly; the row must be locked."""
    is_visitor = author == Author.VISITOR
    stood = (conversation.state, conversation.agent_id)
    language = language or (language_of(text, fallback=conversation.language) if is_visitor else conversation.language)
    if is_visitor:
        _visitor_wrote(conversation, now)
        conversation.language = language
    elif author == Author.AGENT and not is_note:
        _agent_wrote(conversation, agent, now)
    reply_due = is_visitor and kind == "text" and conversation.state == ConversationState.BOT and cause != "demo"
    conversation.last_seq += 1
    message = Message.objects.create(
        conversation=conversation,
        seq=conversation.last_seq,
        client_id=client_id,
        author=author,
        agent=agent,
        is_note=is_note,
        text=text,
        kind=kind,
        data=data,
        sent_at=now,
        language=language,
        reply_state=ReplyState.DUE if reply_due else ReplyState.NONE,
    )
    if not is_note and author != Author.SYSTEM:
        conversation.last_line, conversation.last_author = text[:200], author
    conversation.last_message_at = max(now, conversation.last_message_at)
    conversation.save(update_fields=_MOVED_BY_A_MESSAGE)
    publish(_told(message, cause))
    if (conversation.state, conversation.agent_id) != stood:
        publish(ConversationChanged(conversation.pk, now, cause))
    return message


_MOVED_BY_A_MESSAGE = [
    "last_seq", "last_line", "last_author", "last_message_at", "language", "state", "agent", "clarifications",
    "waiting_since", "first_response_at", "closed_at", "snoozed_until",
]  # fmt: skip


def _visitor_wrote(conversation: Conversation, now: datetime) -> None:
    match conversation.state:
        case ConversationState.CLOSED:
            # A closed chat that is written to again starts afresh with the assistant.
            conversation.state, conversation.agent, conversation.clarifications = ConversationState.BOT, None, 0
            conversation.closed_at = None
        case ConversationState.SNOOZED:
            conversation.state = ConversationState.ASSIGNED if conversation.agent_id else ConversationState.QUEUED
            conversation.snoozed_until = None
    if conversation.state in {ConversationState.QUEUED, ConversationState.ASSIGNED}:
        conversation.waiting_since = conversation.waiting_since or now


def _agent_wrote(conversation: Conversation, agent: User | None, now: datetime) -> None:
    # A partner's program that answers has no account: it takes nothing over, or nobody would see the chat as theirs.
    if agent is not None and (conversation.state != ConversationState.ASSIGNED or conversation.agent_id is None):
        conversation.state, conversation.agent = ConversationState.ASSIGNED, agent
    conversation.closed_at = conversation.snoozed_until = conversation.waiting_since = None
    conversation.first_response_at = conversation.first_response_at or now


def checked(text: str) -> str:
    """Return the text as it is stored. Raises TextEmpty or TextTooLong."""
    text = cleaned(text)
    if not text:
        raise TextEmpty
    if len(text) > LONGEST_TEXT:
        raise TextTooLong(length=len(text))
    return text


def cleaned(text: str) -> str:
    """Return the text without surrounding blanks and without what PostgreSQL or UTF-8 cannot store."""
    return text.replace("\x00", "").encode("utf-8", "ignore").decode("utf-8").strip()


def since(*, conversation_id: int, after_seq: int, with_notes: bool = False, limit: int = PAGE) -> list[Message]:
    """Return the messages numbered above `after_seq`, oldest first, at most `limit`. Runs one query.

    with_notes: only for staff. A visitor's list skips notes, so a client follows the highest number it was told
    about and not the numbers of the rows it sees.
    """
    rows = Message.objects.filter(conversation_id=conversation_id, seq__gt=after_seq)
    if not with_notes:
        rows = rows.filter(is_note=False)
    return list(rows.select_related("agent").order_by("seq")[:limit])


def assign(*, conversation_id: int, agent: User | None, by: User | None, now: datetime) -> Conversation:
    """Give the conversation to an agent (None: back to the queue) and tell the visitor who is there."""
    with transaction.atomic():
        conversation = locked(conversation_id)
        before = conversation.agent_id
        conversation.agent = agent
        conversation.state = ConversationState.ASSIGNED if agent else ConversationState.QUEUED
        conversation.closed_at = conversation.snoozed_until = None
        conversation.handed_over_at = conversation.handed_over_at or now
        conversation.waiting_since = conversation.waiting_since or (now if conversation.last_author == Author.VISITOR else None)
        conversation.save(update_fields=["agent", "state", "closed_at", "snoozed_until", "handed_over_at", "waiting_since"])
        if agent and agent.pk != before:
            shown = agent.first_name or agent.get_username()
            _system(conversation, "joined", now, data={"name": shown}, text=phrases.say("joined", conversation.language, name=shown), agent=agent)
        audit.record(actor=by, action="conversation.assign", target=conversation, data={"from": before, "to": agent.pk if agent else None})
        publish(ConversationChanged(conversation.pk, now, "assign"))
        return conversation


def take(*, conversation_id: int, agent: User, now: datetime) -> Conversation:
    """Assign the conversation to the agent unless a colleague has it. Raises AlreadyTaken."""
    with transaction.atomic():
        conversation = locked(conversation_id)
        if conversation.state == ConversationState.ASSIGNED and conversation.agent_id not in {None, agent.pk}:
            raise AlreadyTaken(agent_id=conversation.agent_id)
        if conversation.state == ConversationState.ASSIGNED and conversation.agent_id == agent.pk:
            return conversation
        return assign(conversation_id=conversation_id, agent=agent, by=agent, now=now)


def hand_over(*, conversation_id: int, reason: str, now: datetime, phrase: str = "handover", cause: str = "bot") -> Conversation:
    """Put the conversation in the queue for people and announce it with the visitor's place; a second call does nothing.

    reason: a short code kept with the conversation (asked, unsure, out_of_scope, complaint, no_article, no_model, error).
    """
    with transaction.atomic():
        conversation = locked(conversation_id)
        if conversation.state in {ConversationState.QUEUED, ConversationState.ASSIGNED}:
            return conversation
        conversation.state = ConversationState.QUEUED
        conversation.handed_over_at = conversation.handed_over_at or now
        conversation.waiting_since = conversation.waiting_since or now
        conversation.handover_reason = reason
        conversation.save(update_fields=["state", "handed_over_at", "waiting_since", "handover_reason"])
        outlook = queueing.outlook(conversation, now=now)
        text = phrases.say(phrase, conversation.language, queue=queueing.words(outlook, conversation.language))
        data: dict[str, object] = {"reason": reason, "place": outlook.place}
        if outlook.minutes is not None:
            data["minutes"] = outlook.minutes
        if outlook.opens_at is not None and cause != "demo":
            if addresses.is_on() and not conversation.visitor_email and not conversation.is_verified:
                text = f"{text} {phrases.say('offline_mail', conversation.language)}"
            # Nobody is there: what was asked becomes work that somebody finds in the morning, chat window or not.
            subject = conversation.last_line or phrases.say("closed", conversation.language)
            data["ticket"] = tickets.open(subject=subject, conversation_id=conversation.pk, by_label="assistant", is_demo=conversation.is_demo, now=now).pk
        _appended(conversation, Author.BOT, text, now, "", None, False, "handover", data, "", cause)
        publish(ConversationChanged(conversation.pk, now, cause))
        return conversation


def await_person(*, conversation_id: int, reason: str, now: datetime) -> Conversation:
    """Bring the conversation before people without a word to its visitor, who is elsewhere; one that has a person keeps them.

    reason: as for hand_over. A closed conversation of any age goes on.
    """
    with transaction.atomic():
        conversation = locked(conversation_id)
        if conversation.state in {ConversationState.BOT, ConversationState.CLOSED}:
            conversation.state, conversation.agent, conversation.closed_at = ConversationState.QUEUED, None, None
            conversation.handed_over_at = conversation.handed_over_at or now
            conversation.waiting_since = conversation.waiting_since or now
            conversation.handover_reason = reason
            conversation.save(update_fields=["state", "agent", "closed_at", "handed_over_at", "waiting_since", "handover_reason"])
            publish(ConversationChanged(conversation.pk, now, "chat"))
        return conversation


def leave_address(*, conversation_id: int, email: str, now: datetime) -> Conversation:
    """Keep the address a visitor wants to be answered at; it proves nothing about who they are. Raises EmailBad."""
    email = email.strip().lower()
    try:
        validate_email(email)
    except ValidationError:
        raise EmailBad from None
    if not email.isascii() or len(email) > LONGEST_EMAIL:
        raise EmailBad
    with transaction.atomic():
        conversation = locked(conversation_id)
        if conversation.visitor_email != email:
            conversation.visitor_email = email
            conversation.save(update_fields=["visitor_email"])
            publish(ConversationChanged(conversation.pk, now, "email"))
        return conversation


def snooze(*, conversation_id: int, until: datetime, by: User, now: datetime) -> Conversation:
    """Put the conversation out of sight until a moment or until the visitor writes."""
    with transaction.atomic():
        conversation = locked(conversation_id)
        conversation.state, conversation.snoozed_until, conversation.closed_at = ConversationState.SNOOZED, until, None
        conversation.agent_id = conversation.agent_id or by.pk
        conversation.save(update_fields=["state", "snoozed_until", "agent", "closed_at"])
        audit.record(actor=by, action="conversation.snooze", target=conversation, data={"until": until.isoformat()})
        publish(ConversationChanged(conversation.pk, now, "snooze"))
        return conversation


def wake(*, now: datetime) -> int:
    """Bring back every snoozed conversation whose time has come; returns how many."""
    due = list(Conversation.objects.filter(state=ConversationState.SNOOZED, snoozed_until__lte=now).values_list("pk", flat=True)[:PAGE])
    return sum(_awaken(each, now, lambda found: found.snoozed_until is not None and found.snoozed_until <= now) for each in due)


def wake_one(*, conversation_id: int, by: User, now: datetime) -> None:
    """Bring a snoozed conversation back before its time; any other stays as it is."""
    with transaction.atomic():
        if _awaken(conversation_id, now, lambda _: True):
            audit.record(actor=by, action="conversation.wake", target=locked(conversation_id))


def _awaken(conversation_id: int, now: datetime, is_due: Callable[[Conversation], bool]) -> bool:
    with transaction.atomic():
        conversation = locked(conversation_id)
        # Looked at again under the lock: the visitor may have written, or somebody snoozed it for longer.
        if conversation.state != ConversationState.SNOOZED or not is_due(conversation):
            return False
        conversation.state = ConversationState.ASSIGNED if conversation.agent_id else ConversationState.QUEUED
        conversation.snoozed_until = None
        conversation.save(update_fields=["state", "snoozed_until"])
        publish(ConversationChanged(conversation.pk, now, "wake"))
        return True


def close(*, conversation_id: int, by: User | None, now: datetime, cause: str = "chat") -> Conversation:
    """End the conversation and tell the visitor, who is then asked for a rating; a second call does nothing."""
    with transaction.atomic():
        conversation = locked(conversation_id)
        if conversation.state == ConversationState.CLOSED:
            return conversation
        conversation.state, conversation.closed_at = ConversationState.CLOSED, now
        conversation.waiting_since = conversation.snoozed_until = None
        # Asked once: a chat that is taken up and closed again does not ask a second time.
        asks = conversation.csat_asked_at is None and conversation.csat is None
        conversation.csat_asked_at = conversation.csat_asked_at or now
        conversation.save(update_fields=["state", "closed_at", "waiting_since", "snoozed_until", "csat_asked_at"])
        _system(conversation, "closed", now, text=phrases.say("closed", conversation.language), data={"ask": asks}, cause=cause)
        if by is not None:
            audit.record(actor=by, action="conversation.close", target=conversation)
        publish(ConversationChanged(conversation.pk, now, cause))
        return conversation


def reopen(*, conversation_id: int, by: User, now: datetime) -> Conversation:
    """Take a closed conversation up again, assigned to the person who does so."""
    with transaction.atomic():
        conversation = locked(conversation_id)
        if conversation.state != ConversationState.CLOSED:
            return conversation
        conversation.state, conversation.agent, conversation.closed_at = ConversationState.ASSIGNED, by, None
        conversation.save(update_fields=["state", "agent", "closed_at"])
        _system(conversation, "reopened", now, text=phrases.say("reopened", conversation.language))
        audit.record(actor=by, action="conversation.reopen", target=conversation)
        publish(ConversationChanged(conversation.pk, now, "reopen"))
        return conversation


def rate(*, conversation_id: int, csat: int, now: datetime, comment: str = "") -> Conversation:
    """Store the visitor's rating 1 to 5; rating again replaces it. Raises RatingBad."""
    if isinstance(csat, bool) or not isinstance(csat, int) or not 1 <= csat <= 5:
        raise RatingBad
    with transaction.atomic():
        conversation = locked(conversation_id)
        conversation.csat, conversation.csat_comment, conversation.csat_at = csat, cleaned(comment)[:500], now
        conversation.save(update_fields=["csat", "csat_comment", "csat_at"])
        publish(ConversationChanged(conversation.pk, now, "rating"))
        return conversation


def mark_read(*, conversation_id: int, seq: int, by_visitor: bool, now: datetime) -> bool:
    """Remember that a side has read up to `seq`; True if that is news. Never beyond what exists, never backwards.

    What was read was received.
    """
    side = "visitor" if by_visitor else "agent"
    behind = Conversation.objects.filter(pk=conversation_id, last_seq__gte=seq, **{f"{side}_read_seq__lt": seq})
    moved = behind.update(**{f"{side}_read_seq": seq, f"{side}_got_seq": Greatest(f"{side}_got_seq", Value(seq))})
    if moved:
        publish(ConversationChanged(conversation_id, now, "read" if by_visitor else SEEN_BY_STAFF))
    return bool(moved)


def mark_got(*, conversation_id: int, seq: int, by_visitor: bool, now: datetime) -> bool:
    """Remember that a side's page has received everything up to `seq`; True if that is news. As mark_read."""
    field = "visitor_got_seq" if by_visitor else "agent_got_seq"
    moved = Conversation.objects.filter(pk=conversation_id, last_seq__gte=seq, **{f"{field}__lt": seq}).update(**{field: seq})
    if moved:
        publish(ConversationChanged(conversation_id, now, "got" if by_visitor else SEEN_BY_STAFF))
    return bool(moved)


def move_customer(*, gone_id: int, kept_id: int) -> int:
    """Give the conversations and tickets of a customer who was joined into another to that one; returns how many."""
    moved = Conversation.objects.filter(customer_id=gone_id).update(customer_id=kept_id)
    return moved + Ticket.objects.filter(customer_id=gone_id).update(customer_id=kept_id)


def _system(
    conversation: Conversation, kind: str, now: datetime, *, text: str, data: dict[str, object] | None = None, agent: User | None = None, cause: str = "chat"
) -> Message:
    return _appended(conversation, Author.SYSTEM, text, now, "", agent, False, kind, data or {}, "", cause)
