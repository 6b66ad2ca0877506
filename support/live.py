"""Hints to open sockets that there is something to fetch. A hint may be lost; the rows and `since` make that harmless."""

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


def _send(groups: list[str], message: dict[str, object]) -> None:
    async def deliver() -> None:
        layer = get_channel_layer()
        for group in groups:
            await layer.group_send(group, message)

    try:
        async_to_sync(deliver)()
    except Exception:
        # Redis is away: both ends ask for what is new every few seconds, so nothing is lost but promptness.
        logger.warning("live hint not delivered", exc_info=True, extra={"groups": groups})
