"""The staff's socket: for whom the role table lets in, from our own pages."""

from typing import Any

import pytest
from asgiref.sync import sync_to_async

from crm.core import clock
from support import conversations
from tests.factories import UserFactory
from tests.support.conftest import VISITOR
from tests.support.sockets.conftest import post
from tests.support.sockets.websocket import Socket, hear

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio, pytest.mark.usefixtures("no_prompt_reply")]


async def test_staff_socket_refuses_visitors_and_foreign_pages(source: Any) -> None:
    from crm.asgi import application

    for headers in ([], [(b"origin", b"http://testserver")], [(b"origin", b"https://evil.example")]):
        socket = Socket(application, "/ws/inbox/", headers=headers)
        accepted, _ = await socket.connect(timeout=10)
        assert not accepted


@pytest.mark.parametrize(("role", "accepted"), [("agent", True), ("admin", True), ("marketer", False), ("analyst", False), ("", False)])
async def test_staff_socket_follows_the_role_table(source: Any, role: str, accepted: bool) -> None:
    from crm.asgi import application

    user = await sync_to_async(UserFactory)(role=role)
    cookie = await sync_to_async(session_of)(user)
    socket = Socket(application, "/ws/inbox/", headers=[(b"origin", b"http://testserver"), (b"cookie", cookie.encode())])

    answer, _ = await socket.connect(timeout=10)

    assert answer is accepted
    if accepted:
        talk = await sync_to_async(conversations.open)(source_id=source.pk, visitor_id=VISITOR, now=clock.now())
        await sync_to_async(post)(talk.pk, "hello")
        assert await hear(socket, "hint") == {"type": "hint", "conversation": talk.pk, "seq": 1, "author": "visitor"}
        await socket.disconnect()


def session_of(user: Any) -> str:
    from django.conf import settings
    from django.test import Client

    client = Client()
    client.force_login(user)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"
