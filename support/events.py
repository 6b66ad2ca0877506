"""What support tells the rest of the house: ids, time and cause."""

from dataclasses import dataclass
from datetime import datetime

from support.wire import Item


@dataclass(frozen=True, slots=True)
class MessagePosted:
    """A message row is committed. reply_due: the assistant owes an answer. cause: 'chat', 'bot', 'demo', 'api', 'mail'.

    item: the message as its visitor may see it, so that open sockets need not ask for it; None for a private note.
    """

    conversation_id: int
    message_id: int
    seq: int
    author: str
    is_note: bool
    reply_due: bool
    at: datetime
    cause: str
    item: Item | None = None


@dataclass(frozen=True, slots=True)
class ConversationChanged:
    """Something but a message changed: state, agent, rating, what was read. The row says what."""

    conversation_id: int
    at: datetime
    cause: str


@dataclass(frozen=True, slots=True)
class IntentCorrected:
    """An agent said what a message really asked; the next training reads it."""

    message_id: int
    label: str
    at: datetime
    cause: str


@dataclass(frozen=True, slots=True)
class TicketChanged:
    """A ticket was opened or changed. cause: open, change, comment, merge or unmerge."""

    ticket_id: int
    at: datetime
    cause: str


@dataclass(frozen=True, slots=True)
class ServiceTargetReached:
    """A promise is about to be broken ('warning') or was ('breach'); told once each."""

    target_id: int
    at: datetime
    cause: str
