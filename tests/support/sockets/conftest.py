"""A shop whose visitors open sockets."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from crm.core import clock
from support import conversations, visitors
from support.models import Conversation, Message
from support.visitors import Visitor
from tests.factories import SourceFactory
from tests.support.conftest import VISITOR
from tests.support.sockets.websocket import Socket, hear, say

Open = Callable[..., Awaitable[Socket]]


@pytest.fixture
def source() -> Any:
    return SourceFactory(name="The tea shop", write_key="wk_tea", allowed_origins=["https://tea.example"])


@pytest.fixture
async def visit(source: Any) -> AsyncIterator[Open]:
    """A function that opens a visitor's socket and says hello with its token."""
    from crm.asgi import application

    opened = []

    async def open_socket(
        *, visitor_id: str = VISITOR, hello: bool = True, origin: str = "https://tea.example", after: int = 0, conversation: str = ""
    ) -> Socket:
        headers = [(b"host", b"crm.example")] + ([(b"origin", origin.encode())] if origin else [])
        socket = Socket(application, "/ws/visitor/", headers=headers)
        opened.append(socket)
        socket.is_accepted, socket.code = await socket.connect(timeout=10)
        if hello and socket.is_accepted:
            token = visitors.issue(Visitor(source.pk, visitor_id))
            await say(socket, type="hello", token=token, after=after, conversation=conversation)
        return socket

    yield open_socket
    for socket in opened:
        await socket.disconnect()


async def begun(visit: Open) -> tuple[Socket, Conversation]:
    """Return a visitor's socket that has said "one" and heard it come back, and the conversation."""
    socket = await visit()
    await say(socket, type="send", client_id="a", text="one")
    await hear(socket, "messages")
    await hear(socket, "messages")
    return socket, await Conversation.objects.aget()


def post(conversation_id: int, text: str, **more: Any) -> Message:
    return conversations.post(conversation_id=conversation_id, **{"author": "visitor", "text": text, "now": clock.now(), **more}).message
