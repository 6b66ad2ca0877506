"""Who may keep a visitor's socket: pages of the shop, with a token that holds, and nobody else's."""

from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from crm.core import clock
from crm.core.models import Source
from support import frames, visitors
from support.models import Conversation, Message, TokenRevocation
from support.visitors import Visitor
from tests.support.conftest import VISITOR
from tests.support.sockets.conftest import Open, begun, post
from tests.support.sockets.websocket import hear, hear_close, say

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio, pytest.mark.usefixtures("no_prompt_reply")]


@pytest.mark.parametrize("frame", [{"type": "send", "client_id": "a", "text": "x"}, {"type": "since", "seq": 0}, {"type": "ping"}, {"type": "person"}])
async def test_nothing_is_done_for_a_socket_that_has_not_said_who_it_is(visit: Open, frame: dict[str, Any]) -> None:
    socket = await visit(hello=False)

    await say(socket, **frame)

    assert await socket.receive_from(timeout=10) == frames.BAD_FRAME
    assert not await Conversation.objects.aexists()


@pytest.mark.parametrize("origin", ["", "null", "file://"])
async def test_a_socket_without_a_web_origin_is_refused(visit: Open, origin: str) -> None:
    socket = await visit(origin=origin)

    assert not socket.is_accepted


async def test_a_foreign_page_is_cut_off_at_hello(visit: Open) -> None:
    socket = await visit(origin="https://evil.example")

    assert await hear_close(socket) == 4403


async def test_a_forged_token_is_cut_off(visit: Open) -> None:
    socket = await visit(hello=False)

    await say(socket, type="hello", token="forged")

    assert await hear_close(socket) == 4401


async def test_a_socket_cannot_change_into_somebody_else(visit: Open, source: Any) -> None:
    socket = await visit()
    await hear(socket, "messages")

    await say(socket, type="hello", token=visitors.issue(Visitor(source.pk, "f" * 32)))

    assert await hear_close(socket) == 4401


async def test_silence_is_cut_off(visit: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("support.consumers.visitor.HELLO_WITHIN", 0.1)

    socket = await visit(hello=False)

    assert await hear_close(socket) == 4408


async def test_a_revoked_token_and_a_widget_switched_off_cut_open_sockets(visit: Open, source: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("support.consumers.visitor.RECHECK_EVERY", 0)
    one, other = await visit(), await visit(visitor_id="f" * 32)
    await hear(one, "messages")
    await hear(other, "messages")

    await sync_to_async(visitors.revoke)(source=source, by=None, now=clock.now() + timedelta(seconds=1))
    await say(one, type="send", client_id="a", text="hello")
    assert await hear_close(one) == 4401

    await TokenRevocation.objects.all().adelete()
    await say(other, type="ping")
    assert await other.receive_from(timeout=10) == '{"type":"pong"}'
    await Source.objects.aupdate(is_active=False)
    await say(other, type="ping")
    assert await hear_close(other) == 4401
    assert not await Message.objects.aexists()


async def test_a_silent_socket_hears_nothing_once_its_token_is_over(visit: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    socket, talk = await begun(visit)

    with monkeypatch.context() as later:
        later.setattr("support.consumers.visitor.time.monotonic", lambda: 10.0**9)
        await sync_to_async(post)(talk.pk, "secret", author="bot", cause="bot")

        output = await socket.receive_output(timeout=10)

    assert (output["type"], output["code"]) == ("websocket.close", 4402)


async def test_a_tab_that_outlives_its_token_says_hello_again_and_misses_nothing(visit: Open, source: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    socket = await visit()
    await say(socket, type="send", client_id="a", text="yesterday")
    await hear(socket, "ack")
    talk = await Conversation.objects.aget()
    monkeypatch.setattr(visitors, "TOKEN_SECONDS", 0)
    again = await visit(hello=False)
    await say(again, type="hello", token=visitors.issue(Visitor(source.pk, VISITOR)))
    assert await hear_close(again) == 4401
    monkeypatch.setattr(visitors, "TOKEN_SECONDS", 3600)

    # What a day does to an open socket: its token's hour is over.
    with monkeypatch.context() as later:
        later.setattr("support.consumers.visitor.time.monotonic", lambda: 10.0**9)
        await say(socket, type="send", client_id="b", text="today, with yesterday's token")
        assert await hear_close(socket) == 4402
    await sync_to_async(post)(talk.pk, "while you were away", author="bot", cause="demo")
    renewed = await visit(after=1, conversation=str(talk.public_id))
    news = await hear(renewed, "messages")
    await say(renewed, type="send", client_id="b", text="today, with yesterday's token")
    ack = await hear(renewed, "ack")

    assert [item["text"] for item in news["items"]] == ["while you were away"]
    assert ack["seq"] == 3
