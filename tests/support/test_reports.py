"""The page's figures and the export say the same, whoever adds them up."""

import csv
import io
from datetime import timedelta
from statistics import median

import pytest
from django.test import Client

from crm.core.models import Source, User
from support import conversations, reports
from support.models import BusinessCalendar, Conversation
from tests.factories import UserFactory
from tests.support.conftest import NOW, later

PERIOD = {"from": "2026-06-01", "to": "2026-06-30"}


@pytest.fixture
def month(shop: Source, agent: User) -> int:
    """Forty chats: some answered by the assistant alone, some by a person, some still open, some rated. 12:00 in Shanghai."""
    BusinessCalendar.objects.create(
        name="main", zone="Asia/Shanghai", spans={str(day): [["09:00", "12:30"], ["14:00", "18:00"]] for day in range(5)}, is_main=True
    )
    for number in range(40):
        begin = NOW - timedelta(days=number % 12, minutes=number)
        talk = conversations.open(source_id=shop.pk, visitor_id=f"{number:032x}", visitor_name="=1+1", now=begin)
        Conversation.objects.filter(pk=talk.pk).update(intent=["", "refund_status", "delivery_time"][number % 3])
        conversations.post(conversation_id=talk.pk, author="visitor", text="hello", now=begin)
        if number % 4 == 0:
            conversations.post(conversation_id=talk.pk, author="bot", kind="answer", text="two days", now=begin + timedelta(seconds=2))
        else:
            conversations.hand_over(conversation_id=talk.pk, reason="asked", now=begin + timedelta(seconds=5))
            conversations.post(conversation_id=talk.pk, author="agent", agent=agent, text="hi", now=begin + timedelta(seconds=65 + 600 * number))
            conversations.post(
                conversation_id=talk.pk, author="agent", agent=agent, is_note=True, text="note", now=begin + timedelta(seconds=66 + 600 * number)
            )
        if number % 5:
            conversations.close(conversation_id=talk.pk, by=agent, now=begin + timedelta(seconds=900 * (number + 1)))
        if number % 3 == 0:
            conversations.rate(conversation_id=talk.pk, csat=1 + number % 5, now=NOW)
    return 40


def exported(client: Client) -> list[dict[str, str]]:
    answer = client.get("/support/reports/export/", PERIOD)
    text = b"".join(answer.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    return list(csv.DictReader(io.StringIO(text)))


def test_the_page_equals_the_export_recomputed(client: Client, month: int) -> None:
    client.force_login(UserFactory(role="admin"))

    shown = client.get("/support/reports/", PERIOD).context["page"]
    lines = exported(client)

    def numbers(name: str, of: list[dict[str, str]]) -> list[int]:
        return [int(line[name]) for line in of if line[name]]

    def middle(name: str, of: list[dict[str, str]]) -> float | None:
        found = numbers(name, of)
        return median(found) if found else None

    def recomputed(of: list[dict[str, str]]) -> dict[str, object]:
        closed = [line for line in of if line["state"] == "closed"]
        scores = numbers("csat", of)
        contained = sum(numbers("contained", of))
        return {
            "conversations": len(of),
            "handed_over": sum(1 for line in of if line["handed_over_at"]),
            "closed": len(closed),
            "contained": contained,
            "containment_rate": contained / len(closed) if closed else None,
            "first_response_median": middle("first_response_seconds", of),
            "first_response_business_median": middle("first_response_business_seconds", of),
            "resolution_median": middle("resolution_seconds", of),
            "resolution_business_median": middle("resolution_business_seconds", of),
            "rated": len(scores),
            "asked": sum(numbers("csat_asked", of)),
            "content": sum(score >= 4 for score in scores),
            "csat_rate": sum(score >= 4 for score in scores) / len(scores) if scores else None,
            "csat_mean": sum(scores) / len(scores) if scores else None,
        }

    assert len(lines) == month
    assert {name: getattr(shown.figures, name) for name in recomputed(lines)} == recomputed(lines)
    names = {line.name: line.figures for line in shown.intents}
    refunds = [line for line in lines if line["intent"] == "refund_status"]
    assert {name: getattr(names["Where is my refund"], name) for name in recomputed(refunds)} == recomputed(refunds)
    assert sum(figures.conversations for figures in names.values()) == month
    # Within working hours less time passes than on the wall, and neither figure is empty here.
    assert 0 < shown.figures.resolution_business_median < shown.figures.resolution_median


def test_an_exported_name_is_never_a_formula(client: Client, shop: Source, agent: User) -> None:
    Source.objects.update(name="=HYPERLINK(1)")
    conversations.open(source_id=shop.pk, visitor_id="f" * 32, now=NOW)
    client.force_login(UserFactory(role="admin"))

    assert exported(client)[0]["source"] == "'=HYPERLINK(1)"


def test_contained_means_that_no_person_was_needed(shop: Source, agent: User) -> None:
    def one(*, answer: bool, person: bool, closed: bool) -> bool:
        talk = conversations.open(source_id=shop.pk, visitor_id="a" * 32, now=NOW)
        if answer:
            conversations.post(conversation_id=talk.pk, author="bot", kind="answer", text="x", now=NOW)
        if person:
            conversations.hand_over(conversation_id=talk.pk, reason="asked", now=NOW)
        if closed:
            conversations.close(conversation_id=talk.pk, by=None, now=later(9))
        [row] = [row for row in reports.rows(viewer=UserFactory(role="admin"), begin=NOW, end=later(1)) if row.conversation == str(talk.public_id)]
        return row.contained

    assert one(answer=True, person=False, closed=True)
    assert not one(answer=True, person=True, closed=True)
    assert not one(answer=False, person=False, closed=True)
    assert not one(answer=True, person=False, closed=False)


def test_the_rating_is_asked_for_once(talk: Conversation, agent: User) -> None:
    from support import wire

    conversations.post(conversation_id=talk.pk, author="visitor", text="hello", now=NOW)
    first = wire.state(conversations.close(conversation_id=talk.pk, by=agent, now=later(1)))
    conversations.reopen(conversation_id=talk.pk, by=agent, now=later(2))
    second = wire.state(conversations.close(conversation_id=talk.pk, by=agent, now=later(3)))

    assert (first["asks"], second["asks"]) == (True, False)
    assert [message.data["ask"] for message in talk.messages.filter(kind="closed")] == [True, False]


@pytest.mark.parametrize(("role", "status"), [("admin", 200), ("agent", 200), ("analyst", 200), ("marketer", 403)])
def test_who_may_read_the_figures(client: Client, db: None, role: str, status: int) -> None:
    client.force_login(UserFactory(role=role))

    assert client.get("/support/reports/?from=nonsense&to=9999-99-99").status_code == status


def test_what_the_assistant_answered_ends_after_a_quiet_day_and_counts_as_solved(shop: Source) -> None:
    def chat(letter: str, *, answered: bool, asked_at: float = 0) -> Conversation:
        talk = conversations.open(source_id=shop.pk, visitor_id=letter * 32, now=NOW)
        conversations.post(conversation_id=talk.pk, author="visitor", text="how long?", now=later(asked_at), cause="demo")
        if answered:
            conversations.post(conversation_id=talk.pk, author="bot", kind="answer", text="two days", now=later(asked_at))
        return talk

    quiet, unanswered, recent = chat("a", answered=True), chat("b", answered=False), chat("c", answered=True, asked_at=3600)

    ended = [conversations.end_answered(now=NOW + timedelta(days=1, minutes=1)) for _ in range(2)]

    states = dict(Conversation.objects.values_list("pk", "state"))
    assert (ended, states[quiet.pk], states[unanswered.pk], states[recent.pk]) == ([1, 0], "closed", "bot", "bot")
    found = reports.figures(reports.rows(viewer=UserFactory(role="admin"), begin=NOW, end=later(1)))
    assert (found.contained, found.containment_rate, found.asked) == (1, 1.0, 1)
