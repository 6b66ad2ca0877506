"""Language and theme follow the viewer."""

import pytest
from django.test import Client

from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


def test_a_choice_is_kept_on_the_account_and_in_a_cookie(client):
    user = UserFactory()
    client.force_login(user)

    answer = client.post("/preferences/", {"language": "zh-hans", "theme": "dark", "next": "/jobs/"})

    user.refresh_from_db()
    assert answer["Location"] == "/jobs/"
    assert (user.locale, user.theme) == ("zh-hans", "dark")
    page = client.get("/jobs/").content.decode()
    assert '<html lang="zh-Hans" data-theme="dark">' in page


def test_a_visitor_keeps_the_choice_in_a_cookie(client):
    client.post("/preferences/", {"language": "zh-hans", "theme": "light"})

    assert '<html lang="zh-Hans"' in client.get("/login/").content.decode()


def log_in(client, user):
    return client.post("/login/", {"username": user.username, "password": "a-long-secret-1"})


def test_logging_in_elsewhere_brings_the_language_of_the_account(client):
    user = UserFactory(locale="zh-hans")
    user.set_password("a-long-secret-1")
    user.save()

    log_in(client, user)

    assert '<html lang="zh-Hans"' in client.get("/", headers={"accept-language": "en"}).content.decode()


def test_a_language_chosen_on_the_login_page_is_newer_than_the_account_s(client):
    user = UserFactory(locale="zh-hans")
    user.set_password("a-long-secret-1")
    user.save()
    client.post("/preferences/", {"language": "en", "next": "/login/"})

    log_in(client, user)

    user.refresh_from_db()
    assert '<html lang="en"' in client.get("/").content.decode()
    assert user.locale == "en"


@pytest.mark.parametrize("values", [{"language": "xx"}, {"theme": "pink"}, {}, {"language": "../../etc", "theme": "<b>"}])
def test_unknown_values_change_nothing(client, values):
    user = UserFactory()
    client.force_login(user)

    answer = client.post("/preferences/", values)

    user.refresh_from_db()
    assert answer.status_code == 302
    assert (user.locale, user.theme) == ("", "auto")
    assert "theme" not in answer.cookies


@pytest.mark.parametrize("target", ["https://elsewhere.example/", "//elsewhere.example", "javascript:alert(1)", ""])
def test_the_way_back_stays_here(client, target):
    assert client.post("/preferences/", {"theme": "dark", "next": target})["Location"] == "/"


def test_it_cannot_be_set_by_a_link(client):
    assert client.get("/preferences/?theme=dark").status_code == 405


def test_it_needs_the_token(db):
    assert Client(enforce_csrf_checks=True).post("/preferences/", {"theme": "dark"}).status_code == 403
