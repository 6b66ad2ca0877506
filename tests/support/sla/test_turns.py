"""Promises that go on after an end, change their terms, or have none any more."""

import pytest

from crm.core import clock
from crm.core.models import User
from support import conversations, sla, tags, tasks, tickets
from support.models import BusinessCalendar, Conversation, ServicePolicy, ServiceTarget, Ticket
from support.models.service import Aim
from tests.support.sla.conftest import T0, at

DAY = 24 * 60


def look(minutes: float) -> tuple[int, int]:
    sla.follow(now=at(minutes))
    return sla.watch(now=at(minutes))


def solution(thing: Conversation | Ticket) -> ServiceTarget:
    return thing.targets.get(aim=Aim.RESOLUTION) if isinstance(thing, Conversation) else ServiceTarget.objects.get(ticket=thing, aim=Aim.RESOLUTION)


class TestTickets:
    @pytest.fixture
    def ticket(self, policy: ServicePolicy) -> Ticket:
        found = tickets.open(subject="lid", now=T0)
        look(1)
        return found

    def test_one_that_was_solved_goes_on_with_the_time_that_was_left(self, ticket: Ticket) -> None:
        tickets.change(ticket_id=ticket.pk, state="solved", now=at(30))
        look(31)

        tickets.change(ticket_id=ticket.pk, state="open", now=at(7 * DAY))

        assert look(7 * DAY + 1) == (0, 0)
        assert solution(ticket).due_at == at(7 * DAY + 90)

    def test_a_solved_one_that_is_merged_later_was_solved_in_time(self, ticket: Ticket, agent: User) -> None:
        tickets.change(ticket_id=ticket.pk, state="solved", now=at(30))
        look(31)
        tickets.merge(ticket_id=ticket.pk, into_id=tickets.open(subject="pot", now=at(7 * DAY)).pk, by=agent, now=at(7 * DAY))

        look(7 * DAY + 1)

        assert (solution(ticket).met_at, solution(ticket).breached_at) == (at(30), None)

    def test_the_clock_stands_still_while_it_is_merged(self, ticket: Ticket, agent: User) -> None:
        tickets.merge(ticket_id=ticket.pk, into_id=tickets.open(subject="pot", now=at(30)).pk, by=agent, now=at(30))
        look(31)
        ServiceTarget.objects.exclude(ticket=ticket).delete()

        tickets.unmerge(ticket_id=ticket.pk, by=agent, now=at(7 * DAY))

        sla.follow(now=at(7 * DAY + 1))
        assert (solution(ticket).due_at, solution(ticket).breached_at) == (at(7 * DAY + 90), None)

    def test_one_that_was_opened_to_wait_for_the_customer_waits(self, policy: ServicePolicy) -> None:
        ticket = tickets.open(subject="lid", state="pending", now=T0)
        sla.follow(now=at(1))

        waits = solution(ticket).due_at
        tickets.change(ticket_id=ticket.pk, state="open", now=at(DAY))
        sla.follow(now=at(DAY))

        assert (waits, solution(ticket).due_at) == (None, at(DAY + 120))


class TestConversations:
    @pytest.fixture
    def closed(self, waiting: Conversation, agent: User) -> Conversation:
        """Answered, thanked for and closed within ten minutes."""
        conversations.post(conversation_id=waiting.pk, author="agent", agent=agent, text="two days", now=at(5))
        conversations.post(conversation_id=waiting.pk, author="visitor", text="thanks, bye", now=at(9))
        look(9)
        conversations.close(conversation_id=waiting.pk, by=agent, now=at(10))
        look(10)
        return waiting

    def test_a_question_to_the_assistant_after_the_end_breaks_nothing(self, closed: Conversation) -> None:
        conversations.post(conversation_id=closed.pk, author="visitor", text="do you gift wrap?", now=at(600))

        assert look(900) == (0, 0)
        assert (solution(closed).met_at, solution(closed).breached_at) == (at(10), None)

    def test_who_asks_for_a_person_again_starts_the_clock_then(self, closed: Conversation) -> None:
        conversations.post(conversation_id=closed.pk, author="visitor", text="it broke", now=at(600))
        conversations.hand_over(conversation_id=closed.pk, reason="asked", now=at(601))

        assert look(602) == (0, 0)
        # Six of the 120 minutes were used: five until the answer, one from the thanks to the end.
        assert (solution(closed).met_at, solution(closed).due_at) == (None, at(601 + 114))

    def test_an_end_that_is_taken_back_goes_on_from_there(self, closed: Conversation, agent: User) -> None:
        conversations.reopen(conversation_id=closed.pk, by=agent, now=at(500))

        assert look(501) == (0, 0)
        assert solution(closed).due_at == at(500 + 114)

    def test_a_mail_after_the_end_starts_the_clock(self, closed: Conversation) -> None:
        conversations.await_person(conversation_id=closed.pk, reason="mail", now=at(600))
        conversations.post(conversation_id=closed.pk, author="visitor", kind="mail", text="it broke", now=at(600))

        look(601)

        assert solution(closed).due_at == at(600 + 114)

    def test_put_into_the_queue_without_a_word_it_waits_too(self, closed: Conversation, agent: User) -> None:
        conversations.post(conversation_id=closed.pk, author="visitor", text="it broke", now=at(600))
        conversations.assign(conversation_id=closed.pk, agent=None, by=agent, now=at(602))

        look(603)

        assert solution(closed).due_at == at(602 + 114)


class TestTerms:
    def test_new_terms_reach_the_solution_of_a_chat_that_has_had_its_first_answer(self, waiting: Conversation, policy: ServicePolicy, agent: User) -> None:
        conversations.post(conversation_id=waiting.pk, author="agent", agent=agent, text="hi", now=at(45))
        conversations.post(conversation_id=waiting.pk, author="visitor", text="and?", now=at(46))
        look(47)
        ServicePolicy.objects.update(first_response_minutes=30, resolution_minutes=600)
        sla.follow_again()

        look(48)

        assert solution(waiting).due_at == at(46 + 555)
        # The first answer was in time under what was promised when it was given.
        assert waiting.targets.get(aim=Aim.FIRST_RESPONSE).breached_at is None

    def test_what_no_policy_promises_any_more_is_not_broken(self, waiting: Conversation, policy: ServicePolicy, agent: User) -> None:
        ServicePolicy.objects.update(priority_from=4)
        tags.prioritise(conversation_id=waiting.pk, priority=4, by=agent, now=T0)
        look(1)
        tags.prioritise(conversation_id=waiting.pk, priority=2, by=agent, now=at(2))

        assert look(500) == (0, 0)
        assert sla.follow(now=at(501)) == 0
        assert not ServiceTarget.objects.exists()

    def test_what_no_policy_promises_keeps_nobody_from_their_turn(
        self, waiting: Conversation, policy: ServicePolicy, agent: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sla, "AT_ONCE", 1)
        ServicePolicy.objects.update(priority_from=4)
        Conversation.objects.update(priority=4)
        newer = conversations.open(source_id=waiting.source_id, visitor_id="f" * 32, now=at(1))
        conversations.hand_over(conversation_id=newer.pk, reason="asked", now=at(1))

        sla.follow(now=at(2))

        assert waiting.targets.count() == 2

    def test_hours_that_never_come_stop_no_other_promise(self, waiting: Conversation, policy: ServicePolicy) -> None:
        closed = BusinessCalendar.objects.create(name="closed for the season", zone="UTC", spans={"0": []})
        ServicePolicy.objects.create(name="urgent", calendar=closed, first_response_minutes=5, resolution_minutes=5, priority_from=4, place=1)
        tickets.open(subject="lid", priority=4, now=at(1))

        assert look(61) == (0, 1)


def test_what_was_answered_in_time_is_not_broken_because_much_else_changed(waiting: Conversation, agent: User, monkeypatch: pytest.MonkeyPatch) -> None:
    other = conversations.open(source_id=waiting.source_id, visitor_id="f" * 32, now=at(1))
    conversations.hand_over(conversation_id=other.pk, reason="asked", now=at(1))
    look(2)
    # The worker is away from here on.
    for talk in (waiting, other):
        conversations.post(conversation_id=talk.pk, author="agent", agent=agent, text="hi", now=at(30))
    monkeypatch.setattr(sla, "AT_ONCE", 1)
    monkeypatch.setattr(clock, "now", lambda: at(300))

    told = tasks.sweep_service()

    assert (told["followed"], told["broken"]) == (2, 0)
