"""Waiting chats go to people with room, oldest first."""

from datetime import timedelta

import pytest
from django.test import Client

from crm.core.models import Source, User
from support import assignment, calendars, conversations, queueing, tickets
from support.models import BusinessCalendar, Conversation, DeskState, Team, Ticket
from tests.factories import UserFactory
from tests.support.conftest import NOW, later


def at_desk(name: str, *, capacity: int = 2, languages: list[str] | None = None, skills: list[str] | None = None, seen: float = 0) -> User:
    user: User = UserFactory(username=name, role="agent", chat_capacity=capacity)
    DeskState.objects.create(user=user, is_available=True, languages=languages or [], skills=skills or [], seen_at=later(seen))
    return user


def waiting(shop: Source, seconds: float, **values: object) -> Conversation:
    talk = conversations.open(source_id=shop.pk, visitor_id=f"{int(seconds * 10):032x}", now=later(seconds))
    conversations.hand_over(conversation_id=talk.pk, reason="asked", now=later(seconds))
    Conversation.objects.filter(pk=talk.pk).update(**values)
    return talk


def agents(*talks: Conversation) -> list[str]:
    names = dict(Conversation.objects.values_list("pk", "agent__username"))
    return [names[talk.pk] or "" for talk in talks]


def test_two_people_with_room_for_two_take_the_four_oldest_of_six(shop: Source) -> None:
    at_desk("a", capacity=2)
    at_desk("b", capacity=2)
    talks = [waiting(shop, seconds) for seconds in (6, 5, 4, 3, 2, 1)]

    given = assignment.drain(now=later(10))

    assert given == 4
    assert agents(*talks[:2]) == ["", ""]
    assert sorted(agents(*talks[2:])) == ["a", "a", "b", "b"]


def test_closing_one_gives_the_oldest_that_waits(shop: Source) -> None:
    user = at_desk("a", capacity=1)
    first, second, third = (waiting(shop, seconds) for seconds in (1, 2, 3))
    assignment.drain(now=later(10))

    conversations.close(conversation_id=first.pk, by=user, now=later(11))
    assignment.drain(now=later(11))

    assert agents(second, third) == ["a", ""]


def test_language_skill_and_team_are_respected_and_nobody_suits_holds_up_nobody(shop: Source) -> None:
    team = Team.objects.create(name="returns")
    at_desk("english", languages=["en"])
    chinese = at_desk("chinese", languages=["zh-hans"], skills=["refund_status"])
    team.members.add(chinese)
    oldest = waiting(shop, 1, language="fr")
    refund = waiting(shop, 2, language="zh-hans", intent="refund_status", team=team)
    invoice = waiting(shop, 3, language="zh-hans", intent="invoice_request")
    english = waiting(shop, 4, language="en")

    assert assignment.drain(now=later(10)) == 2

    assert agents(oldest, refund, invoice, english) == ["", "chinese", "", "english"]


@pytest.mark.parametrize("change", [{"is_available": False}, {"seen_at": NOW - timedelta(minutes=5)}])
def test_nobody_who_is_away_is_given_anything(shop: Source, change: dict[str, object]) -> None:
    at_desk("a")
    DeskState.objects.update(**change)
    talk = waiting(shop, 1)

    assert assignment.drain(now=later(10)) == 0
    assert agents(talk) == [""]


def test_an_urgent_one_comes_before_all(shop: Source) -> None:
    at_desk("a", capacity=1)
    old, urgent = waiting(shop, 1), waiting(shop, 5, priority=4)

    assignment.drain(now=later(10))

    assert agents(old, urgent) == ["", "a"]


def test_a_hundred_that_nobody_here_suits_do_not_starve_the_next_one(shop: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assignment, "AT_ONCE", 3)
    at_desk("english", languages=["en"])
    foreign = [waiting(shop, seconds, language="fr") for seconds in (1, 2, 3)]
    english = waiting(shop, 4)

    assert assignment.drain(now=later(10)) == 1
    assert agents(*foreign, english) == ["", "", "", "english"]


@pytest.mark.parametrize("verb", ["take", "close"])
def test_what_somebody_takes_or_closes_meanwhile_stays_so(shop: Source, agent: User, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    at_desk("a")
    talk = waiting(shop, 1)
    seen = list(Conversation.objects.all())
    if verb == "take":
        conversations.take(conversation_id=talk.pk, agent=agent, now=later(2))
    else:
        conversations.close(conversation_id=talk.pk, by=agent, now=later(2))
    # What the queue looked like a moment before.
    monkeypatch.setattr(assignment, "_waiting", lambda: iter(seen))

    assert assignment.drain(now=later(3)) == 0

    talk.refresh_from_db()
    assert (talk.state, talk.agent) == (("assigned", agent) if verb == "take" else ("closed", None))


def test_the_visitor_hears_place_and_expected_wait(shop: Source, agent: User) -> None:
    for number in range(5):
        talk = waiting(shop, number)
        conversations.post(conversation_id=talk.pk, author="agent", agent=agent, text="hi", now=later(number + 180))
    first, second = waiting(shop, 500), waiting(shop, 501)

    told = [talk.messages.get(kind="handover") for talk in (first, second)]

    # Each of the five waited alone and three minutes.
    assert told[0].data["minutes"] == 3
    assert "You are next. It usually takes about" in told[0].text
    assert "number 2 in the queue" in told[1].text
    assert told[1].data["minutes"] == 2 * told[0].data["minutes"]


def test_too_little_experience_promises_nothing(shop: Source) -> None:
    assert queueing.expected_minutes(place=1, now=NOW) is None


def test_outside_the_hours_a_ticket_is_kept_and_the_visitor_hears_when(shop: Source) -> None:
    BusinessCalendar.objects.create(name="main", zone="Asia/Shanghai", spans={"0": [["14:00", "18:00"]]}, is_main=True)
    talk = conversations.open(source_id=shop.pk, visitor_id="c" * 32, language="zh-hans", now=NOW)
    conversations.post(conversation_id=talk.pk, author="visitor", text="壶盖裂了", now=NOW)

    # A Monday at noon in Shanghai.
    conversations.hand_over(conversation_id=talk.pk, reason="asked", now=NOW)

    ticket = Ticket.objects.get()
    said = talk.messages.get(kind="handover")
    assert (ticket.subject, ticket.conversation_id) == ("壶盖裂了", talk.pk)
    assert "6月15日 14:00" in said.text
    assert said.data["ticket"] == ticket.pk
    assert not calendars.of(BusinessCalendar.objects.get()).is_open(NOW)


def test_the_ticket_is_named_after_the_visitors_words_and_there_is_one(shop: Source, agent: User) -> None:
    BusinessCalendar.objects.create(name="main", zone="Asia/Shanghai", spans={"0": [["14:00", "18:00"]]}, is_main=True)
    talk, silent = (conversations.open(source_id=shop.pk, visitor_id=letter * 32, now=NOW) for letter in "ab")
    conversations.post(conversation_id=talk.pk, author="visitor", text="The lid is cracked", now=NOW)
    conversations.post(conversation_id=talk.pk, author="bot", text="Returns are free for 30 days.", now=NOW)

    conversations.hand_over(conversation_id=talk.pk, reason="asked", now=NOW)
    conversations.close(conversation_id=talk.pk, by=agent, now=NOW)
    conversations.hand_over(conversation_id=talk.pk, reason="asked", now=NOW)
    conversations.hand_over(conversation_id=silent.pk, reason="asked", now=NOW)

    assert sorted(Ticket.objects.values_list("subject", flat=True)) == ["A visitor asked for a person", "The lid is cracked"]


@pytest.mark.parametrize(
    ("hour", "english", "chinese"),
    [
        (15, "People are here until 18:00.", "人工客服在线至 18:00。"),
        (12, "People are back on Monday 15 June, 14:00; the assistant is here.", "人工客服 6月15日 14:00 上线，智能助手随时在线。"),
        (18, "People are back on Monday 22 June, 14:00; the assistant is here.", "人工客服 6月22日 14:00 上线，智能助手随时在线。"),
    ],
)
def test_the_chat_says_when_people_are_there(client: Client, shop: Source, hour: int, english: str, chinese: str) -> None:
    assert queueing.hours_words(now=NOW, language="en") == ""
    BusinessCalendar.objects.create(name="main", zone="Asia/Shanghai", spans={"0": [["14:00", "18:00"]]}, is_main=True)
    now = NOW + timedelta(hours=hour - 12)

    said = [queueing.hours_words(now=now, language=language) for language in ("en", "zh-hans")]

    assert said == [english, chinese]
    assert 'class="chat__state">人工客服' in client.get("/w/wk_tea/?lang=zh").content.decode()


@pytest.mark.parametrize(
    ("language", "said"),
    [("en", "You are number 3 in the queue. It usually takes about 5 min."), ("zh-hans", "您目前排在第 3 位。预计等待约 5 分钟。")],
)
def test_place_and_wait_are_sentences_of_their_language(language: str, said: str) -> None:
    assert queueing.words(queueing.Outlook(place=3, minutes=5, opens_at=None), language) == said


@pytest.mark.parametrize(
    ("spans", "said"),
    [
        ({str(day): [["00:00", "24:00"]] for day in range(7)}, ""),
        ({"0": [["08:00", "24:00"]], "1": [["00:00", "02:00"]]}, "People are here until 02:00."),
        ({"0": [["08:00", "24:00"]], "1": [["00:00", "24:00"]]}, "People are here until Wednesday 17 June, 00:00."),
    ],
)
def test_midnight_is_no_end_where_people_stay(db: None, spans: object, said: str) -> None:
    BusinessCalendar.objects.create(name="main", zone="Asia/Shanghai", spans=spans, is_main=True)

    assert queueing.hours_words(now=NOW, language="en") == said


def test_outside_the_hours_the_ticket_that_was_merged_goes_on(shop: Source, agent: User) -> None:
    BusinessCalendar.objects.create(name="main", zone="Asia/Shanghai", spans={"0": [["14:00", "18:00"]]}, is_main=True)
    talk = conversations.open(source_id=shop.pk, visitor_id="c" * 32, now=NOW)
    conversations.hand_over(conversation_id=talk.pk, reason="asked", now=NOW)
    kept = tickets.open(subject="The same, by telephone", now=NOW)
    tickets.merge(ticket_id=Ticket.objects.get(conversation=talk).pk, into_id=kept.pk, by=agent, now=NOW)
    conversations.close(conversation_id=talk.pk, by=agent, now=NOW)

    conversations.hand_over(conversation_id=talk.pk, reason="asked", now=later(60))

    assert Ticket.objects.count() == 2
    assert talk.messages.filter(kind="handover").latest("seq").data["ticket"] == kept.pk


@pytest.mark.parametrize("is_removed", [False, True])
def test_chats_of_somebody_whose_account_is_closed_or_gone_wait_in_the_queue_again(shop: Source, agent: User, is_removed: bool) -> None:
    talk = waiting(shop, 1)
    conversations.take(conversation_id=talk.pk, agent=agent, now=later(2))
    conversations.post(conversation_id=talk.pk, author="visitor", text="hello?", now=later(3))
    User.objects.update(is_active=False)
    if is_removed:
        # What the database leaves of it.
        Conversation.objects.update(agent=None)

    alone = assignment.drain(now=later(4))
    state = Conversation.objects.get().state
    at_desk("a")

    assert (alone, state) == (0, "queued")
    assert assignment.drain(now=later(5)) == 1
    assert agents(talk) == ["a"]
