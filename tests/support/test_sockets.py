"""The websocket doors, spoken to through the whole ASGI application."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from crm.core import clock
from crm.core.models import Source
from support import conversations, crowds, frames, limits, visitors, wire
from support.consumers import visitor as visitor_sockets
from support.models import Conversation, Message, TokenRevocation
from support.visitors import Visitor
from tests.factories import SourceFactory, UserFactory
from tests.support.conftest import VISITOR
from tests.support.sockets import Socket

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio, pytest.mark.usefixtures("no_prompt_reply")]
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


async def say(socket: Socket, **frame: Any) -> None:
    await socket.send_to(text_data=json.dumps(frame))


async def hear(socket: Socket, kind: str) -> dict[str, Any]:
    """Return the next frame of a kind."""
    while True:
        frame = json.loads(await socket.receive_from(timeout=10))
        if frame["type"] == kind:
            return frame


async def hear_close(socket: Socket) -> int:
    while True:
        output = await socket.receive_output(timeout=10)
        if output["type"] == "websocket.close":
            return output["code"]


def post(conversation_id: int, text: str, **more: Any) -> Message:
    return conversations.post(conversation_id=conversation_id, **{"author": "visitor", "text": text, "now": clock.now(), **more}).message


async def test_a_message_comes_back_acknowledged_and_numbered(visit: Open) -> None:
    socket = await visit()
    assert (await hear(socket, "messages"))["items"] == []

    await say(socket, type="send", client_id="a", text="你好 👋")
    ack, messages = await hear(socket, "ack"), await hear(socket, "messages")

    assert ack == {"type": "ack", "client_id": "a", "seq": 1}
    assert (messages["after"], messages["upto"], [item["text"] for item in messages["items"]]) == (0, 1, ["你好 👋"])


async def test_a_resend_is_acknowledged_with_the_same_number(visit: Open) -> None:
    socket = await visit()
    for _ in range(3):
        await say(socket, type="send", client_id="a", text="hello")

    seqs = [(await hear(socket, "ack"))["seq"] for _ in range(3)]

    assert seqs == [1, 1, 1]
    assert await Message.objects.acount() == 1


async def test_a_second_tab_hears_what_the_first_says(visit: Open) -> None:
    one = await visit()
    await say(one, type="send", client_id="a", text="first")
    await hear(one, "ack")
    other = await visit()
    assert [item["text"] for item in (await hear(other, "messages"))["items"]] == ["first"]

    await say(one, type="send", client_id="b", text="second")

    assert [item["text"] for item in (await hear(other, "messages"))["items"]] == ["second"]


async def test_reconnecting_brings_exactly_what_was_missed(visit: Open, source: Any) -> None:
    socket = await visit()
    await say(socket, type="send", client_id="a", text="one")
    await hear(socket, "ack")
    talk = await Conversation.objects.aget()
    await socket.disconnect()
    agent = await sync_to_async(UserFactory)(role="agent", first_name="Mei")
    await sync_to_async(post)(talk.pk, "secret", author="agent", agent=agent, is_note=True)
    await sync_to_async(post)(talk.pk, "two", author="agent", agent=agent)

    again = await visit(after=1, conversation=str(talk.public_id))
    news = await hear(again, "messages")

    assert (news["after"], news["upto"]) == (1, 3)
    assert [(item["seq"], item["text"], item["name"]) for item in news["items"]] == [(3, "two", "Mei")]


async def test_an_agents_word_reaches_the_open_socket(visit: Open) -> None:
    socket = await visit()
    await say(socket, type="send", client_id="a", text="one")
    await hear(socket, "ack")
    await hear(socket, "messages")
    talk = await Conversation.objects.aget()
    agent = await sync_to_async(UserFactory)(role="agent", first_name="Mei")

    await sync_to_async(post)(talk.pk, "hello", author="agent", agent=agent)

    assert [item["text"] for item in (await hear(socket, "messages"))["items"]] == ["hello"]


async def test_a_line_that_follows_what_is_known_needs_no_query_and_a_gap_does(visit: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint brings the line itself; a private note in between, or a lost hint, is a gap, and the rows say what is there."""
    socket = await visit()
    await say(socket, type="send", client_id="a", text="one")
    await hear(socket, "messages")
    await hear(socket, "messages")
    talk = await Conversation.objects.aget()
    agent = await sync_to_async(UserFactory)(role="agent", first_name="Mei")
    asked: list[int] = []
    rows_after = visitor_sockets._rows_after
    monkeypatch.setattr(visitor_sockets, "_rows_after", lambda *given: asked.append(given[1]) or rows_after(*given))

    await sync_to_async(post)(talk.pk, "two", author="agent", agent=agent)
    prompt = await hear(socket, "messages")
    assert asked == []
    await sync_to_async(post)(talk.pk, "between us", author="agent", agent=agent, is_note=True)
    skipped = await hear(socket, "messages")
    with monkeypatch.context() as lost:
        lost.setattr("support.live._send", lambda *_: None)
        await sync_to_async(post)(talk.pk, "lost", author="bot")
    await sync_to_async(post)(talk.pk, "five", author="bot")
    late = await hear(socket, "messages")

    assert [item["text"] for item in prompt["items"]] == ["two"]
    assert (skipped["items"], skipped["upto"]) == ([], 3)
    assert [(item["seq"], item["text"]) for item in late["items"]] == [(4, "lost"), (5, "five")]
    assert asked == [2, 3]
    rows = await sync_to_async(conversations.since)(conversation_id=talk.pk, after_seq=0)
    assert [*prompt["items"], *late["items"]] == [json.loads(json.dumps(wire.item(row))) for row in rows if row.seq > 1]


async def test_a_lost_hint_is_made_good_by_asking(visit: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    socket = await visit()
    await say(socket, type="send", client_id="a", text="one")
    await hear(socket, "ack")
    await hear(socket, "messages")
    talk = await Conversation.objects.aget()
    monkeypatch.setattr("support.live._send", lambda *_: None)
    await sync_to_async(post)(talk.pk, "two", author="bot")

    await say(socket, type="since", seq=1)

    assert [item["text"] for item in (await hear(socket, "messages"))["items"]] == ["two"]


BAD_FRAMES = [
    "", "{", "[]", "null", "5", '"hello"', '{"type":null}', '{"type":"__init__"}', '{"type":"chat.hint"}', '{"type":"chat_hint"}', '{"type":"close"}',
    '{"type":"send"}', '{"type":"send","client_id":"a","text":5}', '{"type":"send","client_id":"a","text":"x","author":"agent"}',
    '{"type":"send","client_id":"a","text":"x","note":true}', '{"type":"send","client_id":"a","text":"x","conversation":7}',
    '{"type":"since","seq":-1}', '{"type":"since","seq":true}', '{"type":"since","seq":1e300}', '{"type":"since","seq":99999999999999999999}',
    '{"type":"read","seq":"1"}', '{"type":["send"]}', '{"type":"send","client_id":"a","text":"\\ud800"}', "[" * 5000, '{"a":' * 5000,
    '{"type":"send","client_id":"a","text":"' + "x" * 20_001 + '"}', '{"type":"hello"}', '{"type":"rate","score":NaN}',
]  # fmt: skip


async def test_bad_frames_get_one_constant_answer_and_the_socket_lives(visit: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FRAME_BURST", 1000)
    socket = await visit()
    await hear(socket, "messages")

    for text in BAD_FRAMES:
        await socket.send_to(text_data=text)
        assert await socket.receive_from() == frames.BAD_FRAME, text
    await socket.send_to(bytes_data=b"\x00\xff")
    assert await socket.receive_from() == frames.BAD_FRAME
    await say(socket, type="ping")

    assert await socket.receive_from() == '{"type":"pong"}'
    assert not await Message.objects.aexists()


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


async def test_a_flood_is_cut_off_and_the_neighbour_is_not(visit: Open) -> None:
    flooder, neighbour = await visit(), await visit(visitor_id="f" * 32)
    await hear(neighbour, "messages")

    for _ in range(limits.FRAME_BURST + 5):
        await say(flooder, type="ping")

    assert await hear_close(flooder) == 4429
    await say(neighbour, type="ping")
    assert await neighbour.receive_from(timeout=10) == '{"type":"pong"}'


async def test_a_refused_text_names_its_message_and_stores_nothing(visit: Open) -> None:
    socket = await visit()
    await hear(socket, "messages")

    await say(socket, type="send", client_id="long", text="x" * 4001)

    assert await hear(socket, "error") == {"type": "error", "code": "text_too_long", "client_id": "long"}
    assert not await Conversation.objects.aexists()


async def test_asking_for_a_person_hands_over_at_once(visit: Open) -> None:
    socket = await visit()
    await hear(socket, "messages")

    await say(socket, type="person")
    news = await hear(socket, "messages")

    assert [item["kind"] for item in news["items"]] == ["handover"]
    assert (await Conversation.objects.aget()).state == "queued"


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


async def test_one_address_may_not_open_sockets_without_end(visit: Open, settings: Any) -> None:
    settings.CRM_CHAT_ADDRESS_SOCKETS = 3
    opened = [await visit(hello=False) for _ in range(4)]

    assert [socket.is_accepted for socket in opened] == [True, True, True, False]
    await opened[0].disconnect()
    assert (await visit(hello=False)).is_accepted


@pytest.mark.parametrize("bucket", ["address_sends", "widget_sends"])
async def test_a_crowd_of_one_address_or_widget_is_slowed_down_without_being_cut_off(visit: Open, monkeypatch: pytest.MonkeyPatch, bucket: str) -> None:
    narrow = limits.Buckets(per_second=0.2)
    monkeypatch.setattr(crowds, bucket, narrow)
    crowd = [await visit(visitor_id=f"{number:032x}") for number in range(4)]

    answers = []
    for socket, kind in zip(crowd, ["ack", "ack", "ack", "error"], strict=True):
        await say(socket, type="send", client_id="a", text="hello")
        answers.append((await hear(socket, kind)).get("code"))

    assert answers == [None, None, None, "too_fast"]
    assert await Message.objects.acount() == 3


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


@pytest.mark.parametrize(("lang", "language"), [("zh-Hans", "zh-hans"), ("en", "en"), ("", "en")])
async def test_a_visitor_who_only_asks_for_a_person_is_spoken_to_in_the_pages_language(visit: Open, source: Any, lang: str, language: str) -> None:
    socket = await visit(hello=False)
    await say(socket, type="hello", token=visitors.issue(Visitor(source.pk, VISITOR)), lang=lang)
    await hear(socket, "messages")

    await say(socket, type="person")
    await hear(socket, "messages")

    assert (await Conversation.objects.aget()).language == language


async def test_a_silent_socket_hears_nothing_once_its_token_is_over(visit: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    socket = await visit()
    await say(socket, type="send", client_id="a", text="one")
    await hear(socket, "messages")
    await hear(socket, "messages")
    talk = await Conversation.objects.aget()

    with monkeypatch.context() as later:
        later.setattr("support.consumers.visitor.time.monotonic", lambda: 10.0**9)
        await sync_to_async(post)(talk.pk, "secret", author="bot", cause="bot")

        output = await socket.receive_output(timeout=10)

    assert (output["type"], output["code"]) == ("websocket.close", 4402)


async def test_asking_for_a_person_again_and_again_is_counted_like_writing(visit: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowds, "address_sends", limits.Buckets(per_second=0.2))
    socket = await visit()
    await hear(socket, "messages")

    for _ in range(4):
        await say(socket, type="person")

    assert (await hear(socket, "error"))["code"] == "too_fast"


async def test_a_page_in_the_background_has_received_but_not_read(visit: Open) -> None:
    socket = await visit()
    await say(socket, type="send", client_id="a", text="hello")
    await hear(socket, "ack")
    talk = await Conversation.objects.aget()

    await sync_to_async(conversations.mark_got)(conversation_id=talk.pk, seq=1, by_visitor=False, now=clock.now())
    delivered = await hear(socket, "state")
    await sync_to_async(conversations.mark_read)(conversation_id=talk.pk, seq=1, by_visitor=False, now=clock.now())
    read = await hear(socket, "state")
    await say(socket, type="got", seq=1)
    await say(socket, type="ping")
    await hear(socket, "pong")
    await talk.arefresh_from_db()

    assert (delivered["got"], delivered["read"]) == (1, 0)
    assert (read["got"], read["read"]) == (1, 1)
    assert (talk.visitor_got_seq, talk.visitor_read_seq) == (1, 0)


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
