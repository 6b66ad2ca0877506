"""Somebody's own account: the name others see, and the password."""

import pytest
from django.test import Client

from crm.core.models import AuditEntry
from crm.core.models.people import Role
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
OLD, NEW = "a-long-secret-1", "another-secret-2"


@pytest.fixture
def agent():
    user = UserFactory(role=Role.AGENT, first_name="Ling", last_name="", email="ling@shop.example")
    user.set_password(OLD)
    user.save()
    return user


@pytest.fixture
def client(agent):
    browser = Client()
    assert browser.login(username=agent.username, password=OLD)
    return browser


def test_an_agent_changes_the_name_visitors_see(client, agent):
    answer = client.post("/account/", {"first_name": "Lin", "last_name": "Wu", "email": "ling@shop.example", "role": "admin", "is_superuser": "on"})

    agent.refresh_from_db()
    assert answer["Location"] == "/account/"
    assert str(agent) == "Lin Wu"
    assert (agent.role, agent.is_superuser) == (Role.AGENT, False)
    assert AuditEntry.objects.get(action="user.change").data == {"fields": ["first_name", "last_name"]}


def test_an_address_that_is_none_is_told_and_nothing_changes(client, agent):
    answer = client.post("/account/", {"first_name": "Lin", "email": "not an address"})

    agent.refresh_from_db()
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.content.decode()
    assert agent.first_name == "Ling"


def test_a_new_password_keeps_this_browser_and_puts_out_the_others(client, agent):
    elsewhere = Client()
    assert elsewhere.login(username=agent.username, password=OLD)

    answer = client.post("/account/password/", {"old_password": OLD, "new_password1": NEW, "new_password2": NEW})

    agent.refresh_from_db()
    assert answer["Location"] == "/account/"
    assert agent.check_password(NEW)
    assert client.get("/account/").status_code == 200
    assert elsewhere.get("/account/")["Location"].startswith("/login/")
    assert AuditEntry.objects.get(action="user.password").data == {}


@pytest.mark.parametrize(("old", "first", "second"), [("wrong", NEW, NEW), (OLD, NEW, "different-3"), (OLD, "short", "short"), ("", "", "")])
def test_a_refused_password_says_why_and_stays(client, agent, old, first, second):
    answer = client.post("/account/password/", {"old_password": old, "new_password1": first, "new_password2": second})

    agent.refresh_from_db()
    assert answer.status_code == 422
    assert "field__error" in answer.content.decode()
    assert agent.check_password(OLD)
    assert client.get("/account/password/")["Location"] == "/account/"
