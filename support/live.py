"""Hints to open sockets that there is something to fetch. A hint may be lost; the rows and `since` make that harmless."""

import asyncio
import logging

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

logger = logging.getLogger(__name__)

# Every member of staff with an open inbox. One team until teams exist.
INBOX = "inbox"


def chat_group(conversation_id: int) -> str:
    """Return the group of a conversation's visitor sockets."""
    return f"chat.{conversation_id}"


def hint_message(conversation_id: int, seq: int, *, author: str) -> None:
    """Tell the visitor's sockets and the inbox that message `seq` exists."""
    message = {"type": "chat.hint", "conversation": conversation_id, "seq": seq, "author": author}
    _send([chat_group(conversation_id), INBOX], message)


def hint_change(conversation_id: int) -> None:
    """Tell them that the conversation's state changed."""
    _send([chat_group(conversation_id), INBOX], {"type": "chat.change", "conversation": conversation_id})


# The event loop of this process's sockets, once there is one; set by the consumers.
_loop: asyncio.AbstractEventLoop | None = None


def serve_from(loop: asyncio.AbstractEventLoop) -> None:
    """Have hints of this process leave through its sockets' own loop, whose connection to Redis is open already."""
    global _loop
    _loop = loop


def _send(groups: list[str], message: dict[str, object]) -> None:
    if _loop is not None and _loop.is_running():
        # Nobody waits for a hint: the row is committed, and the thread has other rows to write.
        _loop.call_soon_threadsafe(_begin, groups, message)
    else:
        async_to_sync(_deliver)(groups, message)


def _begin(groups: list[str], message: dict[str, object]) -> None:
    sending = asyncio.ensure_future(_deliver(groups, message))
    # The loop keeps only a weak reference to its tasks.
    _under_way.add(sending)
    sending.add_done_callback(_under_way.discard)


_under_way: set["asyncio.Future[None]"] = set()


async def _deliver(groups: list[str], message: dict[str, object]) -> None:
    layer = get_channel_layer()
    try:
        await asyncio.gather(*(layer.group_send(group, message) for group in groups))
    except Exception:
        # Redis is away: both ends ask for what is new every few seconds, so nothing is lost but promptness.
        logger.warning("live hint not delivered", exc_info=True, extra={"groups": groups})
