"""Promises about time: computed from rows, told once."""

from datetime import timedelta

import pytest
from django.test import Client

from crm.core.events import listen
from crm.core.models import AuditEntry, User
from support import calendars, conversations, sla, ticket_pages, tickets
from support.events import ServiceTargetReached
from support.models import Conversation, ServicePolicy, ServiceTarget
from support.models.service import Aim
from tests.factories import UserFactory
from tests.support.sla.conftest import T0, at

HOUR = timedelta(hours=1)


def work(*spans: tuple[float, float | None], answered: float | None = None, ended: float | None = None) -> sla.Work:
    return sla.Work(
        T0,
        None if answered is None else at(answered),
        None if ended is None else at(ended),
        tuple((at(begin), None if end is None else at(end)) for begin, end in spans),
    )


class TestStanding:
    """Pure arithmetic on what happened."""

    def test_the_first_answer_is_due_its_limit_after_the_start(self) -> None:
        found = sla.standing(aim=Aim.FIRST_RESPONSE, work=work((0, None)), limit=HOUR, hours=calendars.ALWAYS)

        assert (found.due_at, found.met_at, found.breached_at) == (at(60), None, None)

    @pytest.mark.parametrize(("answered", "breached"), [(59, None), (60, None), (61, 60)])
    def test_an_answer_in_time_keeps_the_promise(self, answered: float, breached: float | None) -> None:
        found = sla.standing(aim=Aim.FIRST_RESPONSE, work=work((0, answered), answered=answered), limit=HOUR, hours=calendars.ALWAYS)

        assert (found.met_at, found.breached_at) == (at(answered), None if breached is None else at(breached))

    def test_the_clock_of_a_solution_stands_still_while_the_customer_has_the_word(self) -> None:
        waiting = sla.standing(aim=Aim.RESOLUTION, work=work((0, 20)), limit=HOUR, hours=calendars.ALWAYS)
        back = sla.standing(aim=Aim.RESOLUTION, work=work((0, 20), (500, None)), limit=HOUR, hours=calendars.ALWAYS)
        done = sla.standing(aim=Aim.RESOLUTION, work=work((0, 20), (500, 530), ended=900), limit=HOUR, hours=calendars.ALWAYS)

        assert (waiting.due_at, waiting.spent) == (None, timedelta(minutes=20))
        assert back.due_at == at(540)
        assert (done.met_at, done.breached_at, done.spent) == (at(900), None, timedelta(minutes=50))

    def test_a_solution_that_took_too_long_was_broken_when_its_time_ran_out(self) -> None:
        found = sla.standing(aim=Aim.RESOLUTION, work=work((0, 20), (500, 600), ended=600), limit=HOUR, hours=calendars.ALWAYS)

        assert found.breached_at == at(540)


def test_warning_and_breach_are_told_once_each(waiting: Conversation, django_capture_on_commit_callbacks: object) -> None:
    told: list[str] = []
    listen(ServiceTargetReached, lambda event: told.append(event.cause))
    sla.follow(now=at(1))

    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        quiet = sla.watch(now=at(44))
        first = [sla.watch(now=at(minutes)) for minutes in (46, 47, 61, 62)]

    assert quiet == (0, 0)
    assert first == [(1, 0), (0, 0), (0, 1), (0, 0)]
    assert told == ["warning", "breach"]
    assert sorted(AuditEntry.objects.filter(action__startswith="service.").values_list("action", flat=True)) == ["service.breach", "service.warning"]


def test_an_answer_stops_the_clock_and_a_question_starts_it_again(waiting: Conversation, agent: User) -> None:
    sla.follow(now=at(1))
    conversations.post(conversation_id=waiting.pk, author="agent", agent=agent, text="hi", now=at(30))
    sla.follow(now=at(31))
    answered = {target.aim: target for target in ServiceTarget.objects.all()}
    conversations.post(conversation_id=waiting.pk, author="visitor", text="and?", now=at(300))
    sla.follow(now=at(301))
    again = ServiceTarget.objects.get(aim=Aim.RESOLUTION)

    assert answered["response"].met_at == at(30)
    assert answered["solution"].due_at is None
    assert again.due_at == at(300 + 90)
    assert sla.watch(now=at(340)) == (0, 0)


def test_a_file_is_a_turn_like_a_line(waiting: Conversation, agent: User) -> None:
    sla.follow(now=at(1))
    conversations.post(conversation_id=waiting.pk, author="agent", agent=agent, text="label.pdf", kind="file", now=at(30))
    sla.follow(now=at(31))
    answered = ServiceTarget.objects.get(aim=Aim.FIRST_RESPONSE).met_at
    conversations.post(conversation_id=waiting.pk, author="visitor", text="photo.jpg", kind="file", now=at(300))
    sla.follow(now=at(301))

    assert answered == at(30)
    assert ServiceTarget.objects.get(aim=Aim.RESOLUTION).due_at == at(300 + 90)


def test_following_again_changes_nothing(waiting: Conversation) -> None:
    assert sla.follow(now=at(1)) == 1
    assert sla.follow(now=at(2)) == 0


def test_a_change_of_hours_or_limits_reaches_the_promises_that_run(client: Client, waiting: Conversation, policy: ServicePolicy) -> None:
    sla.follow(now=at(1))
    client.force_login(UserFactory(role="admin", is_staff=True, is_superuser=True))
    form = {"name": "chat", "calendar": policy.calendar_id, "team": "", "priority_from": 1, "warn_minutes": 15, "place": 10, "is_active": "on"}

    answer = client.post(f"/admin/support/servicepolicy/{policy.pk}/change/", form | {"first_response_minutes": 30, "resolution_minutes": ""})
    sla.follow(now=at(2))

    assert answer.status_code == 302
    assert list(ServiceTarget.objects.values_list("aim", "due_at")) == [("response", at(30))]


def test_a_policy_that_is_no_longer_in_force_warns_of_nothing(waiting: Conversation, policy: ServicePolicy) -> None:
    sla.follow(now=at(1))
    ServicePolicy.objects.update(is_active=False)

    assert sla.watch(now=at(500)) == (0, 0)


def test_the_first_policy_that_fits_is_taken(policy: ServicePolicy, talk: Conversation) -> None:
    urgent = ServicePolicy.objects.create(name="urgent", calendar=policy.calendar, first_response_minutes=5, priority_from=4, place=1)

    chosen = [sla.policy_for(team_id=None, priority=priority, policies=sla.in_force()) for priority in (2, 4)]

    assert chosen == [policy, urgent]


def test_a_ticket_waits_for_the_customer_without_its_clock_running(policy: ServicePolicy) -> None:
    agent = UserFactory(role="agent")
    ticket = tickets.open(subject="lid", now=T0)
    sla.follow(now=at(1))
    tickets.change(ticket_id=ticket.pk, state="pending", by=agent, now=at(40))
    sla.follow(now=at(41))
    paused = ServiceTarget.objects.get(ticket=ticket, aim=Aim.RESOLUTION).due_at
    tickets.change(ticket_id=ticket.pk, state="open", by=agent, now=at(1000))
    sla.follow(now=at(1001))
    running = ServiceTarget.objects.get(ticket=ticket, aim=Aim.RESOLUTION).due_at
    tickets.change(ticket_id=ticket.pk, state="solved", by=agent, now=at(1010))
    sla.follow(now=at(1011))

    assert paused is None
    assert running == at(1080)
    assert ServiceTarget.objects.get(ticket=ticket, aim=Aim.RESOLUTION).met_at == at(1010)


def test_the_list_of_tickets_says_what_is_due_and_what_is_late(policy: ServicePolicy) -> None:
    agent = UserFactory(role="agent")
    for name, minute in (("late", 0), ("soon", 100), ("early", 120)):
        tickets.open(subject=name, now=at(minute))
    waits = tickets.open(subject="waits", now=T0)
    tickets.change(ticket_id=waits.pk, state="pending", by=agent, now=T0)
    for minute in (1, 101, 121):
        sla.follow(now=at(minute))
    sla.watch(now=at(146))

    page = ticket_pages.tickets_page(viewer=agent, now=at(150))

    assert [(row.ticket.subject, row.due_at, row.tone) for row in page.rows] == [
        ("late", at(60), "danger"),
        ("soon", at(160), "warning"),
        ("early", at(180), ""),
    ]
    assert [row.due_at for row in ticket_pages.tickets_page(viewer=agent, now=at(150), state="pending").rows] == [None]


def test_a_closed_chat_that_was_followed_late_still_says_that_it_was_broken(policy: ServicePolicy, talk: Conversation, agent: User) -> None:
    conversations.hand_over(conversation_id=talk.pk, reason="asked", now=T0)
    sla.follow(now=at(1))
    conversations.post(conversation_id=talk.pk, author="agent", agent=agent, text="sorry", now=at(90))
    conversations.close(conversation_id=talk.pk, by=agent, now=at(91))

    sla.follow(now=at(92))

    target = ServiceTarget.objects.get(aim=Aim.FIRST_RESPONSE)
    assert (target.breached_at, target.met_at) == (at(60), at(90))
