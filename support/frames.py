"""Websocket frames as values: what is not exactly one of these is a bad frame, and all bad frames look alike.

Dispatch is by this table, never by a name from the wire, so no frame can reach a method that is not meant for it.
"""

from dataclasses import dataclass

import orjson

from crm.core.errors import CrmError

# Bytes of one frame: the longest message in four-byte characters, plus its wrapping.
LARGEST = 20_000
LARGEST_SEQ = 2_000_000_000
# The one answer to every frame that is not understood; it says nothing about why.
BAD_FRAME = '{"type":"error","code":"bad_frame"}'


class BadFrame(CrmError):
    code = "bad_frame"
    message = "The frame is not understood."


@dataclass(frozen=True, slots=True)
class Hello:
    token: str
    after: int = 0
    conversation: str = ""
    lang: str = ""


@dataclass(frozen=True, slots=True)
class Send:
    client_id: str
    text: str
    choice: str = ""
    conversation: int = 0
    note: bool = False


@dataclass(frozen=True, slots=True)
class Since:
    seq: int
    conversation: int = 0


@dataclass(frozen=True, slots=True)
class Typing:
    conversation: int = 0


@dataclass(frozen=True, slots=True)
class Read:
    seq: int
    conversation: int = 0


@dataclass(frozen=True, slots=True)
class Got:
    """The page has received everything up to `seq`; nobody need have looked at it."""

    seq: int
    conversation: int = 0


@dataclass(frozen=True, slots=True)
class Person:
    """The visitor asks for a human."""


@dataclass(frozen=True, slots=True)
class Rate:
    score: int
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Email:
    """The visitor leaves an address to be answered at."""

    email: str


@dataclass(frozen=True, slots=True)
class Ping:
    pass


Frame = Hello | Send | Since | Typing | Read | Got | Person | Rate | Email | Ping

VISITOR: dict[str, type[Frame]] = {
    "hello": Hello, "send": Send, "since": Since, "typing": Typing, "read": Read, "got": Got, "person": Person, "rate": Rate,
    "email": Email, "ping": Ping,
}  # fmt: skip
AGENT: dict[str, type[Frame]] = {"send": Send, "since": Since, "typing": Typing, "read": Read, "got": Got, "ping": Ping}

# Of each kind: field -> (type, most characters or largest number, is it required). `conversation` differs by side.
LONGEST_CHOICE = 60
_TEXT_FIELDS = {"token": 2000, "client_id": 64, "text": 8000, "choice": LONGEST_CHOICE, "comment": 500, "email": 254, "lang": 35}
# What people write; a zero byte, which PostgreSQL does not store, is taken out of these and refused in the others.
WRITTEN = frozenset({"text", "comment"})
_VISITOR_FIELDS: dict[type[Frame], dict[str, bool]] = {
    Hello: {"token": True, "after": False, "conversation": False, "lang": False},
    Send: {"client_id": True, "text": True, "choice": False},
    Since: {"seq": True},
    Typing: {},
    Read: {"seq": True},
    Got: {"seq": True},
    Person: {},
    Rate: {"score": True, "comment": False},
    Email: {"email": True},
    Ping: {},
}
_AGENT_FIELDS: dict[type[Frame], dict[str, bool]] = {
    Send: {"client_id": True, "text": True, "conversation": True, "note": False},
    Since: {"seq": True, "conversation": True},
    Typing: {"conversation": True},
    Read: {"seq": True, "conversation": True},
    Got: {"seq": True, "conversation": True},
    Ping: {},
}


def visitor_frame(text: str | None) -> Frame:
    """Return the visitor's frame. Raises BadFrame for anything else, whatever it is."""
    return _parsed(text, VISITOR, _VISITOR_FIELDS, conversation_is_text=True)


def agent_frame(text: str | None) -> Frame:
    """Return the agent's frame. Raises BadFrame for anything else, whatever it is."""
    return _parsed(text, AGENT, _AGENT_FIELDS, conversation_is_text=False)


def _parsed(text: str | None, kinds: dict[str, type[Frame]], fields: dict[type[Frame], dict[str, bool]], *, conversation_is_text: bool) -> Frame:
    if text is None or len(text.encode("utf-8", "ignore")) > LARGEST:
        raise BadFrame
    try:
        # orjson refuses NaN, lone surrogates and nesting beyond 1,024, where the standard parser recurses to death.
        payload = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise BadFrame from None
    if not isinstance(payload, dict):
        raise BadFrame
    name = payload.pop("type", None)
    kind = kinds.get(name) if isinstance(name, str) else None
    if kind is None:
        raise BadFrame
    allowed = fields[kind]
    if not payload.keys() <= allowed.keys() or any(needed and name not in payload for name, needed in allowed.items()):
        raise BadFrame
    if not all(_fits(name, value, conversation_is_text=conversation_is_text) for name, value in payload.items()):
        raise BadFrame
    return kind(**payload)


def _fits(name: str, value: object, *, conversation_is_text: bool) -> bool:
    if name in _TEXT_FIELDS or (name == "conversation" and conversation_is_text):
        return isinstance(value, str) and len(value) <= _TEXT_FIELDS.get(name, 40) and (name in WRITTEN or "\x00" not in value)
    if name == "note":
        return isinstance(value, bool)
    # bool is an int in Python; a frame that says `"seq": true` is malformed.
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_SEQ
