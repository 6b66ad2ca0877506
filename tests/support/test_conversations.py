from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection

from crm.core.models import AuditEntry, Source, User
from support import conversations, wire
from support.models import Conversation, Message
from tests.factories import UserFactory
from tests.support.conftest import NOW, VISITOR, later


def say(talk: Conversation, text: str, **more: object) -> conversations.Posted:
    return conversations.post(conversation_id=talk.pk, **{"author": "visitor", "text": text, "now": NOW, **more})


def test_messages_are_numbered_from_one_without_gaps(talk: Conversation) -> None:
    numbers = [say(talk, text).message.seq for text in ("one", "two", "three")]

    talk.refresh_from_db()
    assert numbers == [1, 2, 3]
    assert (talk.last_seq, talk.last_line, talk.last_author) == (3, "three", "visitor")


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("no_prompt_reply")
def test_twenty_threads_writing_at_once_leave_no_gap_and_no_double() -> None:
    from tests.factories import SourceFactory

    talk = conversations.open(source_id=SourceFactory().pk, visitor_id=VISITOR, now=NOW)

    def write(number: int) -> None:
        try:
            for line in range(5):
                say(talk, f"{number}-{line}", client_id=f"{number}-{line}")
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as threads:
        list(threads.map(write, range(20)))

    assert list(talk.messages.order_by("seq").values_list("seq", flat=True)) == list(range(1, 101))
    assert talk.messages.values("text").distinct().count() == 100


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("no_prompt_reply")
def test_same_client_id_from_many_threads_is_one_row() -> None:
    from tests.factories import SourceFactory

    talk = conversations.open(source_id=SourceFactory().pk, visitor_id=VISITOR, now=NOW)

    def write(_: int) -> tuple[int, bool]:
        try:
            posted = say(talk, "once", client_id="same")
            return posted.message.pk, posted.is_new
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(write, range(10)))

    talk.refresh_from_db()
    assert len({pk for pk, _ in answers}) == 1
    assert sum(is_new for _, is_new in answers) == 1
    assert talk.last_seq == talk.messages.count() == 1


def test_a_repeat_changes_nothing_and_returns_the_first_row(talk: Conversation) -> None:
    first = say(talk, "hello", client_id="a")

    again = say(talk, "changed", client_id="a")

    assert (again.is_new, again.message.pk, again.message.text) == (False, first.message.pk, "hello")


@pytest.mark.parametrize(
    ("text", "error"),
    [("", conversations.TextEmpty), (" \n\t", conversations.TextEmpty), ("\x00", conversations.TextEmpty), ("x" * 4001, conversations.TextTooLong)],
)
def test_text_that_cannot_be_stored_is_refused(talk: Conversation, text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        say(talk, text)

    assert not Message.objects.exists()


def test_text_loses_only_what_cannot_be_stored(talk: Conversation) -> None:
    assert say(talk, "a\x00b\ud800 😀").message.text == "ab 😀"


@pytest.mark.parametrize(("state", "cause", "owed"), [("bot", "chat", "due"), ("queued", "chat", ""), ("assigned", "chat", ""), ("bot", "demo", "")])
def test_the_assistant_owes_an_answer_only_while_it_has_the_conversation(talk: Conversation, state: str, cause: str, owed: str) -> None:
    Conversation.objects.update(state=state)

    assert say(talk, "hello", cause=cause).message.reply_state == owed


def test_first_answer_of_a_person_takes_the_conversation_and_ends_the_wait(talk: Conversation, agent: User) -> None:
    conversations.hand_over(conversation_id=talk.pk, reason="asked", now=NOW)
    say(talk, "hello?", now=later(10))

    say(talk, "Here I am.", author="agent", agent=agent, now=later(60))
    say(talk, "And more.", author="agent", agent=agent, now=later(70))

    talk.refresh_from_db()
    assert (talk.state, talk.agent, talk.waiting_since, talk.first_response_at) == ("assigned", agent, None, later(60))


def test_waiting_counts_from_the_first_unanswered_message(talk: Conversation, agent: User) -> None:
    say(talk, "Here I am.", author="agent", agent=agent)

    say(talk, "one", now=later(5))
    say(talk, "two", now=later(9))

    talk.refresh_from_db()
    assert talk.waiting_since == later(5)


def test_a_note_is_numbered_but_hidden_from_the_visitor(talk: Conversation, agent: User) -> None:
    say(talk, "hello")
    say(talk, "difficult customer", author="agent", agent=agent, is_note=True)
    say(talk, "anyone?")

    visible = [row.seq for row in conversations.since(conversation_id=talk.pk, after_seq=0)]
    all_rows = [row.seq for row in conversations.since(conversation_id=talk.pk, after_seq=0, with_notes=True)]
    talk.refresh_from_db()
    assert (visible, all_rows) == ([1, 3], [1, 2, 3])
    assert (talk.state, talk.last_line) == ("bot", "anyone?")


def test_handing_over_announces_the_place_in_the_queue_once(talk: Conversation, shop: Source) -> None:
    other = conversations.open(source_id=shop.pk, visitor_id="f" * 32, now=NOW, language="zh-CN")
    conversations.hand_over(conversation_id=talk.pk, reason="asked", now=NOW)
    conversations.hand_over(conversation_id=other.pk, reason="asked", now=later(1))
    conversations.hand_over(conversation_id=other.pk, reason="asked", now=later(2))

    message = other.messages.get()
    other.refresh_from_db()
    assert (other.state, other.handover_reason, message.kind, message.data) == ("queued", "asked", "handover", {"reason": "asked", "place": 2})
    assert "第 2 位" in message.text


def test_two_agents_cannot_take_the_same_conversation(talk: Conversation, agent: User) -> None:
    conversations.take(conversation_id=talk.pk, agent=agent, now=NOW)

    with pytest.raises(conversations.AlreadyTaken):
        conversations.take(conversation_id=talk.pk, agent=UserFactory(role="agent"), now=NOW)

    talk.refresh_from_db()
    assert talk.agent == agent
    assert AuditEntry.objects.filter(action="conversation.assign").count() == 1


def test_closing_asks_nobody_twice_and_a_word_within_a_day_starts_the_assistant_again(talk: Conversation, agent: User) -> None:
    say(talk, "Bye.", author="agent", agent=agent)
    conversations.close(conversation_id=talk.pk, by=agent, now=NOW)
    conversations.close(conversation_id=talk.pk, by=agent, now=NOW)

    say(talk, "one more thing", now=NOW + timedelta(hours=2))

    talk.refresh_from_db()
    assert talk.messages.filter(kind="closed").count() == 1
    assert (talk.state, talk.agent, talk.closed_at) == ("bot", None, None)


def test_a_word_days_after_closing_begins_a_new_conversation(talk: Conversation, agent: User) -> None:
    conversations.close(conversation_id=talk.pk, by=agent, now=NOW)
    much_later = NOW + timedelta(days=3)

    with pytest.raises(conversations.ConversationOver):
        say(talk, "hello again", now=much_later)
    fresh = conversations.for_visitor(source_id=talk.source_id, visitor_id=VISITOR, customer_id=None, language="en", now=much_later)

    assert fresh.pk != talk.pk
    assert talk.messages.count() == 1


def test_snoozed_conversation_comes_back_with_the_visitor_or_the_hour(talk: Conversation, agent: User) -> None:
    conversations.snooze(conversation_id=talk.pk, until=later(100), by=agent, now=NOW)
    assert conversations.wake(now=later(50)) == 0
    assert conversations.wake(now=later(100)) == 1
    conversations.snooze(conversation_id=talk.pk, until=later(900), by=agent, now=NOW)

    say(talk, "still there?", now=later(200))

    talk.refresh_from_db()
    assert (talk.state, talk.snoozed_until, talk.waiting_since) == ("assigned", None, later(200))


def test_a_programs_line_leaves_what_is_snoozed_or_closed_as_it_stands(talk: Conversation, agent: User) -> None:
    conversations.snooze(conversation_id=talk.pk, until=later(100), by=agent, now=NOW)
    say(talk, "Your parcel left.", author="agent")
    assert conversations.wake(now=later(100)) == 1

    conversations.close(conversation_id=talk.pk, by=agent, now=later(200))
    say(talk, "Your parcel arrived.", author="agent")
    talk.refresh_from_db()
    assert (talk.state, talk.closed_at) == ("closed", later(200))


@pytest.mark.parametrize("bad", [0, 6, True, 2.5, "5", None])
def test_rating_outside_one_to_five_is_refused(talk: Conversation, bad: object) -> None:
    with pytest.raises(conversations.RatingBad):
        conversations.rate(conversation_id=talk.pk, csat=bad, now=NOW)

    talk.refresh_from_db()
    assert talk.csat is None


def test_read_marks_move_only_forward_and_never_past_the_end(talk: Conversation) -> None:
    say(talk, "one")
    say(talk, "two")

    moved = [conversations.mark_read(conversation_id=talk.pk, seq=seq, by_visitor=False, now=NOW) for seq in (1, 9, 2, 1)]

    talk.refresh_from_db()
    assert (moved, talk.agent_read_seq) == ([True, False, True, False], 2)


@pytest.mark.parametrize(
    "email", ["", "lin", "lin@", "lin@localhost", "a b@mail.example", "lin@mail.example\nBcc: x@y.example", "林@mail.example", "a" * 250 + "@mail.example"]
)
def test_an_address_nobody_can_write_to_is_refused(talk: Conversation, email: str) -> None:
    with pytest.raises(conversations.EmailBad):
        conversations.leave_address(conversation_id=talk.pk, email=email, now=NOW)
    talk.refresh_from_db()
    assert talk.visitor_email == ""


def test_a_closed_chat_that_asks_for_a_person_waits_anew_and_is_not_asked_for_a_rating(talk: Conversation, agent: User) -> None:
    conversations.post(conversation_id=talk.pk, author="agent", agent=agent, text="done", now=NOW)
    conversations.close(conversation_id=talk.pk, by=agent, now=NOW)

    conversations.hand_over(conversation_id=talk.pk, reason="asked", now=NOW)

    talk.refresh_from_db()
    assert (talk.state, talk.agent, talk.closed_at, talk.waiting_since) == ("queued", None, None, NOW)
    assert wire.state(talk)["asks"] is False


def test_a_partners_line_wakes_and_opens_nothing_and_leaves_the_moment(talk: Conversation, agent: User) -> None:
    conversations.snooze(conversation_id=talk.pk, until=later(100), by=agent, now=NOW)
    say(talk, "Your parcel is on its way.", author="agent", now=later(10))
    woken = conversations.wake(now=later(100))
    conversations.close(conversation_id=talk.pk, by=agent, now=later(200))

    say(talk, "It has arrived.", author="agent", now=later(300))

    talk.refresh_from_db()
    assert (woken, talk.state, talk.closed_at) == (1, "closed", later(200))


def test_a_line_before_the_hand_over_is_not_its_first_answer(talk: Conversation, agent: User) -> None:
    say(talk, "Welcome!", author="agent")
    conversations.hand_over(conversation_id=talk.pk, reason="asked", now=later(10))

    say(talk, "Here I am.", author="agent", agent=agent, now=later(60))

    talk.refresh_from_db()
    assert talk.first_response_at == later(60)
