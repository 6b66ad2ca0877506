"""Messages and conversations as the JSON the widget and sockets speak: an explicit list of what may leave."""

from typing import TypedDict

from support.mail import addresses
from support.models import Conversation, Message
from support.models.conversation import Author


class Item(TypedDict):
    """One message for a visitor."""

    seq: int
    author: str
    name: str
    text: str
    kind: str
    data: dict[str, object]
    at: str
    client_id: str


class State(TypedDict):
    """The conversation as its visitor may know it."""

    type: str
    conversation: str
    state: str
    person: str
    read: int
    got: int
    csat: int | None
    asks: bool
    mail: str


def item(message: Message) -> Item:
    """Return the message for its visitor: no intent, no confidence, no staff account."""
    is_agent = message.author == Author.AGENT
    return {
        "seq": message.seq,
        "author": message.author,
        "name": (message.agent.first_name or message.agent.get_username()) if is_agent and message.agent else "",
        "text": message.text,
        "kind": message.kind,
        "data": {key: value for key, value in message.data.items() if key in _SHOWN},
        "at": message.sent_at.isoformat(),
        "client_id": message.client_id if message.author == Author.VISITOR else "",
    }


# Of a message's data: the source of an answer, the choices of a question, the place in the queue.
_SHOWN = frozenset({"article", "title", "version", "url", "choices", "place", "name", "file"})


def state(conversation: Conversation | None) -> State:
    """Return where the conversation stands; needs `agent` loaded. Without one, the assistant is waiting."""
    if conversation is None:
        return {"type": "state", "conversation": "", "state": "bot", "person": "", "read": 0, "got": 0, "csat": None, "asks": False, "mail": ""}
    agent = conversation.agent
    return {
        "type": "state",
        "conversation": str(conversation.public_id),
        "state": conversation.state,
        "person": (agent.first_name or agent.get_username()) if agent else "",
        "read": conversation.agent_read_seq,
        "got": conversation.agent_got_seq,
        "csat": conversation.csat,
        # Asked once: a chat that was taken up again and closed a second time does not ask again.
        "asks": conversation.csat is None and conversation.closed_at is not None and conversation.csat_asked_at == conversation.closed_at,
        "mail": _mail(conversation),
    }


def _mail(conversation: Conversation) -> str:
    """Return 'ask' where the visitor may leave an address to be answered at, 'known' where there is one, '' where nothing is mailed."""
    if not addresses.is_on():
        return ""
    return "known" if conversation.visitor_email or conversation.is_verified else "ask"
