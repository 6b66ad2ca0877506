"""Lines of many visitors stored by one statement: which go together, what keeps one out, and that none waits for another."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, transaction

from crm.core import clock
from support import conversations, quick, webhooks
from support.consumers.base import THREADS, in_thread, pool
from support.consumers.gathering import Gathering
from support.conversations import VisitorLine
from support.models import Conversation, Message, Webhook, WebhookDelivery
from tests.factories import SourceFactory

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_prompt_reply")]


@pytest.fixture(autouse=True)
def _nobody_is_told_any_more(transactional_db: None) -> Iterator[None]:
    """Wait for the threads that still tell others, before the tables are emptied under them."""
    yield
    idle = threading.Barrier(THREADS + 1)
    for _ in range(THREADS):
        pool.submit(idle.wait, 20)
    idle.wait(20)


@pytest.fixture
def talks() -> list[Conversation]:
    source = SourceFactory()
    return [conversations.open(source_id=source.pk, visitor_id=f"{number:032x}", now=clock.now()) for number in range(6)]


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The conversations of each statement, in order."""
    seen: list[list[int]] = []
    append = quick.append

    def counted(lines: Any) -> Any:
        seen.append([line.conversation_id for line in lines])
        return append(lines)

    monkeypatch.setattr(quick, "append", counted)
    return seen


def line(talk: Conversation, text: str = "hello", client_id: str = "") -> VisitorLine:
    return conversations.visitor_line(conversation_id=talk.pk, text=text, now=clock.now(), client_id=client_id or f"{talk.pk}-{text}")


def together(gathering: Gathering, lines: list[VisitorLine]) -> list[conversations.Posted | None]:
    async def all_at_once() -> list[conversations.Posted | None]:
        return await asyncio.wait_for(asyncio.gather(*map(gathering.post, lines)), 10)

    return asyncio.run(all_at_once())


def test_what_comes_while_a_statement_is_under_way_goes_with_the_next(talks: list[Conversation], statements: list[list[int]]) -> None:
    posted = together(Gathering(), [line(talk) for talk in talks])

    assert statements == [[talks[0].pk], [talk.pk for talk in talks[1:]]]
    assert [each.message.seq for each in posted if each] == [1] * 6
    assert [(each.message.conversation_id, each.message.pk) for each in posted if each] == [
        (talk.pk, Message.objects.get(conversation=talk, text="hello").pk) for talk in talks
    ]


def test_lines_of_one_conversation_keep_their_order_and_have_a_statement_each(talks: list[Conversation], statements: list[list[int]]) -> None:
    one, other = talks[:2]

    together(Gathering(), [line(one, "first"), line(one, "second"), line(other, "hello"), line(one, "third")])

    assert statements == [[one.pk], [one.pk, other.pk], [one.pk]]
    assert list(one.messages.order_by("seq").values_list("seq", "text")) == [(1, "first"), (2, "second"), (3, "third")]


def test_each_row_is_what_a_line_posted_alone_would_be(talks: list[Conversation]) -> None:
    waiting, chinese, alone = talks[:3]
    conversations.hand_over(conversation_id=waiting.pk, reason="asked", now=clock.now())

    together(Gathering(), [line(talks[5]), line(waiting, "where is it?"), line(chinese, "你好，什么时候发货？")])
    conversations.post(conversation_id=alone.pk, author="visitor", text="你好，什么时候发货？", now=clock.now(), client_id="alone")

    rows = {row.conversation_id: row for row in Message.objects.filter(author="visitor").select_related("conversation")}
    fields = ("seq", "author", "text", "kind", "data", "language", "is_note", "reply_state", "intent", "corrected_intent")
    assert [getattr(rows[chinese.pk], name) for name in fields] == [getattr(rows[alone.pk], name) for name in fields]
    assert (rows[chinese.pk].conversation.language, rows[chinese.pk].conversation.last_line) == ("zh-hans", "你好，什么时候发货？")
    # Somebody who waits for a person is not owed an answer by the assistant, and waits since their line.
    assert (rows[waiting.pk].reply_state, rows[chinese.pk].reply_state) == ("", "due")
    assert rows[waiting.pk].conversation.waiting_since is not None


def test_a_repeat_stores_nothing_and_leaves_all_to_be_posted_alone(talks: list[Conversation]) -> None:
    gathering = Gathering()
    together(gathering, [line(talks[1], client_id="known")])

    posted = together(gathering, [line(talks[0]), line(talks[1], client_id="known"), line(talks[2])])

    assert [each is not None for each in posted] == [True, False, False]
    assert [talk.messages.count() for talk in talks[:3]] == [1, 1, 0]
    talks[2].refresh_from_db()
    assert talks[2].last_seq == 0


def test_a_conversation_in_somebodys_hands_holds_up_nobody_else(talks: list[Conversation]) -> None:
    held, free, first = talks[:3]
    with transaction.atomic():
        conversations.locked(held.pk)

        posted = together(Gathering(), [line(first), line(held), line(free)])

    assert [each is not None for each in posted] == [True, False, True]


@pytest.mark.parametrize("state", ["closed", "snoozed", "missing"])
def test_what_does_not_fit_is_left_to_the_long_way(state: str, talks: list[Conversation]) -> None:
    odd, first, other = talks[:3]
    entry = line(odd)
    match state:
        case "closed":
            conversations.close(conversation_id=odd.pk, by=None, now=clock.now())
        case "snoozed":
            Conversation.objects.filter(pk=odd.pk).update(state="snoozed")
        case "missing":
            odd.delete()

    posted = together(Gathering(), [line(first), entry, line(other)])

    assert [each is not None for each in posted] == [True, False, True]
    assert not Message.objects.filter(conversation_id=entry.conversation_id, author="visitor").exists()


def test_without_a_database_everybody_is_told_after_one_attempt(talks: list[Conversation], monkeypatch: pytest.MonkeyPatch) -> None:
    def away(lines: Any) -> Any:
        attempts.append(len(lines))
        raise OperationalError("the database is restarting")

    attempts: list[int] = []
    monkeypatch.setattr(quick, "append", away)

    async def all_at_once() -> list[Any]:
        gathering = Gathering()
        return await asyncio.gather(*(gathering.post(line(talk)) for talk in talks), return_exceptions=True)

    assert [type(each) for each in asyncio.run(all_at_once())] == [OperationalError] * 6
    # Twice each: the first may only have met a connection that had died.
    assert attempts == [1, 1, 5, 5]


def test_nobody_waits_until_the_others_have_been_told(talks: list[Conversation], slow_listener: threading.Event) -> None:
    async def while_telling() -> list[conversations.Posted | None]:
        gathering = Gathering()
        first = asyncio.ensure_future(gathering.post(line(talks[0])))
        answers = [await asyncio.wait_for(first, 10), await asyncio.wait_for(gathering.post(line(talks[1])), 10)]
        slow_listener.set()
        return answers

    assert all(asyncio.run(while_telling()))


@pytest.fixture
def slow_listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A listener that takes until the event is set, as an enqueued answer does while the broker is away."""
    from crm.core import events
    from support.events import MessagePosted

    done = threading.Event()
    monkeypatch.setitem(events._listeners, MessagePosted, [lambda _event: done.wait(20)])
    yield done
    done.set()


def test_a_webhooks_row_is_written_with_each_line_or_not_at_all(talks: list[Conversation], monkeypatch: pytest.MonkeyPatch, forget: None) -> None:
    Webhook.objects.create(name="erp", url="https://8.8.8.8/")

    together(Gathering(), [line(talk) for talk in talks])

    assert WebhookDelivery.objects.filter(topic="message.posted").count() == 6

    monkeypatch.setattr(webhooks, "enqueue", _refuses)
    assert together(Gathering(), [line(talks[0], "again"), line(talks[2], "again")]) == [None, None]
    assert not Message.objects.filter(text="again").exists()


@pytest.fixture
def forget() -> Iterator[None]:
    webhooks.forget()
    yield
    webhooks.forget()


def _refuses(**_delivery: object) -> int:
    raise DatabaseError("no room for deliveries")


def test_two_processes_and_an_agent_leave_no_gap_and_no_double(talks: list[Conversation]) -> None:
    # Two gatherings are two web processes: their statements name the same conversations, in whatever order.
    async def visitor(gathering: Gathering, talk: Conversation, name: str) -> None:
        for number in range(15):
            entry = line(talk, f"{name} {number}")
            if await gathering.post(entry) is None:
                await in_thread(conversations.post, conversation_id=talk.pk, author="visitor", text=entry.text, client_id=entry.client_id, now=entry.at)

    async def agent(talk: Conversation) -> None:
        for number in range(15):
            await in_thread(conversations.post, conversation_id=talk.pk, author="agent", text=f"answer {number}", now=clock.now())

    async def everybody() -> None:
        gatherings = [Gathering(), Gathering()]
        people = [visitor(gathering, talk, f"tab {number}") for number, gathering in enumerate(gatherings) for talk in talks]
        await asyncio.gather(*people, *map(agent, talks))

    asyncio.run(everybody())

    for talk in talks:
        assert list(talk.messages.filter(author__in=["visitor", "agent"]).order_by("seq").values_list("seq", flat=True)) == list(range(1, 46))
        assert talk.messages.values("author", "text").distinct().count() == 45
