"""What operators type into the tables behind the desk stops nobody's work."""

import pytest
from django.test import Client

from crm.core.models import Source, User
from support import assignment, canned
from support.models import BusinessCalendar, CannedReply, Conversation, DeskState, Macro, Webhook
from tests.factories import UserFactory
from tests.support.conftest import later


@pytest.fixture
def admin(client: Client, db: None) -> Client:
    client.force_login(UserFactory(role="admin", is_staff=True, is_superuser=True))
    return client


def test_a_list_that_is_emptied_is_an_empty_list(admin: Client, agent: User) -> None:
    desk = DeskState.objects.create(user=agent, languages=["en"], is_available=True, seen_at=later(0))
    calendar = BusinessCalendar.objects.create(name="office", spans={"0": [["09:00", "17:00"]]}, holidays=["2026-10-01"])
    hook = Webhook.objects.create(name="erp", url="https://erp.example/", topics=["ticket.opened"])

    answers = [
        admin.post(f"/admin/support/deskstate/{desk.pk}/change/", {"user": agent.pk, "is_available": "on", "languages": "", "skills": ""}),
        admin.post(
            f"/admin/support/businesscalendar/{calendar.pk}/change/", {"name": "office", "zone": "UTC", "spans": '{"0": [["09:00", "17:00"]]}', "holidays": ""}
        ),
        admin.post(f"/admin/support/webhook/{hook.pk}/change/", {"name": "erp", "url": "https://erp.example/", "topics": "", "is_active": "on"}),
    ]

    assert [answer.status_code for answer in answers] == [302, 302, 302]
    for row in (desk, calendar, hook):
        row.refresh_from_db()
    assert (desk.languages, desk.skills, calendar.holidays, hook.topics) == ([], [], [], [])
    assert assignment.drain(now=later(1)) == 0


@pytest.mark.parametrize("languages", ["5", '"en"', '["zh"]', '{"en": 1}', "[1]"])
def test_languages_nobody_writes_in_are_refused(admin: Client, agent: User, languages: str) -> None:
    desk = DeskState.objects.create(user=agent, is_available=True, seen_at=later(0))

    admin.post(f"/admin/support/deskstate/{desk.pk}/change/", {"user": agent.pk, "is_available": "on", "languages": languages, "skills": "[]"})

    desk.refresh_from_db()
    assert desk.languages == []
    assert assignment.drain(now=later(1)) == 0


@pytest.mark.parametrize("texts", ['"Hello"', '["Hello"]', '{"en": 5}', '{"en": ""}', '{"fr": "Bonjour"}'])
def test_a_saved_reply_without_texts_is_refused(admin: Client, talk: Conversation, agent: User, texts: str) -> None:
    admin.post("/admin/support/cannedreply/add/", {"shortcut": "hi", "title": "Hi", "texts": texts, "team": ""})

    assert not CannedReply.objects.exists()
    assert canned.find(query="", conversation=talk, viewer=agent) == []


@pytest.mark.parametrize("actions", ['{"do": "close"}', '[{"do": "priority", "to": "high"}]', '["close"]'])
def test_a_macro_that_cannot_run_is_refused(admin: Client, agent: User, shop: Source, actions: str) -> None:
    admin.post("/admin/support/macro/add/", {"name": "bye", "actions": actions, "team": ""})

    assert not Macro.objects.exists()
    assert admin.get("/inbox/saved/").status_code == 200
