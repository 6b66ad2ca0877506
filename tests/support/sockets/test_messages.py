"""A conversation over a socket: what is said comes back numbered, to every tab, and nothing is missed."""

import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from crm.core import clock
from support import conversations, visitors, wire
from support.consumers import visitor as visitor_sockets
from support.models import Conversation, Message
from support.visitors import Visitor
from tests.factories import UserFactory
from tests.support.conftest import VISITOR
from tests.support.sockets.conftest import Open, begun, post
from tests.support.sockets.websocket import hear, hear_any, say

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio, pytest.mark.usefixtures("no_prompt_reply")]


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
    socket, talk = await begun(visit)
    agent = await sync_to_async(UserFactory)(role="agent", first_name="Mei")
    asked: list[int] = []
    stands = visitor_sockets._stands

    def counted(conversation_id: int, seq: int | None) -> Any:
        # Without a number it is the state alone that is asked for: the agent's first word has changed that.
        if seq is not None:
            asked.append(seq)
        return stands(conversation_id, seq)

    monkeypatch.setattr(visitor_sockets, "_stands", counted)

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


async def test_a_lost_change_is_made_good_by_asking_and_told_once(visit: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    socket, talk = await begun(visit)
    monkeypatch.setattr("support.live._send", lambda *_, **__: None)
    await sync_to_async(conversations.hand_over)(conversation_id=talk.pk, reason="asked", now=clock.now())

    heard = []
    for _ in range(2):
        await say(socket, type="since", seq=1)
        while (frame := await hear_any(socket))["type"] != "messages":
            heard.append(frame)

    assert [(frame["type"], frame["state"]) for frame in heard] == [("state", "queued")]


async def test_what_changes_before_a_socket_listens_is_told_too(visit: Open, source: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between reading how things stand and joining the conversation's group a hint reaches nobody."""
    talk = await sync_to_async(conversations.open)(source_id=source.pk, visitor_id=VISITOR, now=clock.now())
    await sync_to_async(post)(talk.pk, "one")
    entered = visitor_sockets.VisitorConsumer._entered

    def entered_late(*given: Any) -> Any:
        found = entered(*given)
        conversations.hand_over(conversation_id=talk.pk, reason="asked", now=clock.now())
        return found

    monkeypatch.setattr(visitor_sockets.VisitorConsumer, "_entered", entered_late)
    socket = await visit()

    assert (await hear(socket, "state"))["state"] == "bot"
    assert (await hear(socket, "state"))["state"] == "queued"
    assert [item["kind"] for item in (await hear(socket, "messages"))["items"]] == ["text", "handover"]


async def test_an_answer_that_comes_before_the_first_lines_socket_listens_is_told(visit: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    socket = await visit()
    await hear(socket, "messages")
    write = visitors.write

    def write_and_be_answered(*given: Any, **more: Any) -> Any:
        posted = write(*given, **more)
        post(posted[0].message.conversation_id, "an answer", author="bot")
        return posted

    monkeypatch.setattr(visitors, "write", write_and_be_answered)
    await say(socket, type="send", client_id="a", text="one")

    assert [item["text"] for item in (await hear(socket, "messages"))["items"]] == ["one", "an answer"]


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


@pytest.mark.parametrize(("lang", "language"), [("zh-Hans", "zh-hans"), ("en", "en"), ("", "en")])
async def test_a_visitor_who_only_asks_for_a_person_is_spoken_to_in_the_pages_language(visit: Open, source: Any, lang: str, language: str) -> None:
    socket = await visit(hello=False)
    await say(socket, type="hello", token=visitors.issue(Visitor(source.pk, VISITOR)), lang=lang)
    await hear(socket, "messages")

    await say(socket, type="person")
    await hear(socket, "messages")

    assert (await Conversation.objects.aget()).language == language


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
