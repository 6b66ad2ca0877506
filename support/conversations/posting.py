"""Appending a message under the conversation's lock, which numbers it, and reading what is above a number."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.db import IntegrityError, connection, transaction

from crm.core.events import publish
from crm.core.models import User
from support import quick, webhooks, wire
from support.conversations.rules import LONGEST_CLIENT_ID, PAGE, ClientIdBad, ConversationOver, checked, is_over, locked
from support.events import ConversationChanged, MessagePosted
from support.language import language_of
from support.models import Conversation, Message
from support.models.conversation import Author, ConversationState, ReplyState


@dataclass(frozen=True, slots=True)
class Posted:
    """The message row; is_new is False when the same client id had brought it before."""

    message: Message
    is_new: bool


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
    if len(client_id) > LONGEST_CLIENT_ID or "\x00" in client_id:
        raise ClientIdBad
    try:
        if author == Author.VISITOR and kind == "text":
            line = visitor_line(conversation_id=conversation_id, text=text, now=now, client_id=client_id, data=data, language=language, cause=cause)
            if posted := _appended_quickly([line], cause).get(conversation_id):
                return posted
        with transaction.atomic():
            conversation = locked(conversation_id)
            if author == Author.VISITOR and is_over(conversation, now):
                raise ConversationOver
            message = appended(conversation, author, text, now, client_id, agent, is_note, kind, data or {}, language, cause)
    except IntegrityError:
        # The unique client id refused a repeat; asking first would cost every first send a query.
        known_row = Message.objects.filter(conversation_id=conversation_id, author=author, client_id=client_id).first() if client_id else None
        if known_row is None:
            raise
        return Posted(known_row, is_new=False)
    return Posted(message, is_new=True)


def post_together(lines: Sequence[quick.VisitorLine], *, committed: Callable[[dict[int, Posted]], None]) -> None:
    """Append visitors' lines, one a conversation, their texts `checked`, by one statement.

    committed: called with those stored, by conversation, once they are and before anybody else is told. A line that is
    missing was not stored and is to be posted by itself: its conversation is closed, snoozed or in somebody's hands
    just now. Raises IntegrityError, and stores nothing, where a client id is known.
    """
    _appended_quickly(lines, "chat", committed)


def visitor_line(
    *, conversation_id: int, text: str, now: datetime, client_id: str, data: dict[str, object] | None = None, language: str = "", cause: str = "chat"
) -> quick.VisitorLine:
    """Return what `post_together` stores. text: as `checked` returns it."""
    shown = language or language_of(text, fallback="") or None
    return quick.VisitorLine(conversation_id, text, client_id, data or {}, shown, cause != "demo", now)


def _appended_quickly(lines: Sequence[quick.VisitorLine], cause: str, committed: Callable[[dict[int, Posted]], None] | None = None) -> dict[int, Posted]:
    # One statement is its own transaction, unless webhooks' rows belong to it. Inside a caller's, a savepoint keeps a
    # refused repeat from ending theirs.
    with transaction.atomic() if connection.in_atomic_block or webhooks.wanted() else nullcontext():
        found = {number: Posted(message, is_new=True) for number, message in quick.append(lines).items()}
        if committed is not None:
            transaction.on_commit(partial(committed, found))
        for posted in found.values():
            publish(_told(posted.message, cause))
    return found


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


def appended(
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
    # A file's name, IMG_1.jpg, says nothing about the language somebody speaks.
    shows_language = is_visitor and kind != "file"
    language = language or (language_of(text, fallback=conversation.language) if shows_language else conversation.language)
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
    # A partner's program that answers has no account: it takes nothing over, or nobody would see the chat as theirs, and
    # what is closed or snoozed stays so, with its moment.
    if agent is not None:
        if conversation.state != ConversationState.ASSIGNED or conversation.agent_id is None:
            conversation.state, conversation.agent = ConversationState.ASSIGNED, agent
        conversation.closed_at = conversation.snoozed_until = None
    conversation.waiting_since = None
    answered, asked = conversation.first_response_at, conversation.handed_over_at
    # A line before the hand-over does not answer it.
    if answered is None or (asked is not None and answered < asked):
        conversation.first_response_at = now


def since(*, conversation_id: int, after_seq: int, with_notes: bool = False, limit: int = PAGE) -> list[Message]:
    """Return the messages numbered above `after_seq`, oldest first, at most `limit`. Runs one query.

    with_notes: only for staff. A visitor's list skips notes, so a client follows the highest number it was told
    about and not the numbers of the rows it sees.
    """
    found = Message.objects.filter(conversation_id=conversation_id, seq__gt=after_seq)
    if not with_notes:
        found = found.filter(is_note=False)
    return list(found.select_related("agent").order_by("seq")[:limit])


def system(
    conversation: Conversation, kind: str, now: datetime, *, text: str, data: dict[str, object] | None = None, agent: User | None = None, cause: str = "chat"
) -> Message:
    """Append what the house itself says; the row must be locked."""
    return appended(conversation, Author.SYSTEM, text, now, "", agent, False, kind, data or {}, "", cause)
