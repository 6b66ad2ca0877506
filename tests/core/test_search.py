"""The search box: permissions, lost sources, odd texts."""

import pytest
from django.db import DatabaseError, connection

from crm.core import search
from crm.core.models.people import Role
from crm.core.registries import SearchHit, SearchSource
from tests import world
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def sources(monkeypatch):
    """Three sources: one for all, one for administrators, one that is broken."""
    asked: list[tuple[str, str, int]] = []

    def found(name):
        def find(text, limit):
            asked.append((name, text, limit))
            return [SearchHit(kind=name.title(), title=f"{name} {text}", detail="<b>", url=f"/{name}/")]

        return find

    def broken(text, limit):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1/0")
        raise DatabaseError

    table = {
        "people": SearchSource("people", "customers.view", found("people")),
        "broken": SearchSource("broken", "customers.view", broken),
        "secrets": SearchSource("secrets", "audit.view", found("secrets")),
    }
    monkeypatch.setattr(search, "search_sources", table)
    return asked


def test_only_sources_of_the_viewer_are_asked(sources):
    page = search.find(query="tea", permissions=frozenset({"customers.view"}), limit=5)

    assert [name for name, _text, _limit in sources] == ["people"]
    assert [group.kind for group in page.groups] == ["People"]


def test_a_failing_source_does_not_silence_the_others(sources):
    page = search.find(query="tea", permissions=frozenset({"customers.view", "audit.view"}), limit=5)

    assert page.failed == ("broken",)
    assert page.total == 2


@pytest.mark.parametrize(("text", "asked"), [("", 0), ("a", 0), ("  a  ", 0), ("茶", 1), ("ab", 1), ("a\x00b", 1), ("x" * 5000, 1)])
def test_short_and_odd_texts(sources, text, asked):
    search.find(query=text, permissions=frozenset({"customers.view"}), limit=5)

    assert len(sources) == asked
    assert all(len(query) <= search.LONGEST and "\x00" not in query for _name, query, _limit in sources)


def test_the_page_escapes_and_the_part_is_short(client, sources):
    client.force_login(UserFactory(role=Role.ADMIN))

    page = client.get("/search/", {"q": "<script>"}).content.decode()
    part = client.get("/search/", {"q": "tea"}, headers={"HX-Request": "true"}).content.decode()

    assert "<script>" not in page.split("<main")[1].replace("&lt;script&gt;", "")
    assert "A part of the search did not answer" in page
    assert "<html" not in part
    assert {limit for _name, text, limit in sources if text == "tea"} == {5}


def test_real_customers_are_found(client):
    people = world.build()
    client.force_login(people.owner)

    assert "Lin Loyal" in client.get("/search/", {"q": "loyal"}).content.decode()
    assert "王旧友" in client.get("/search/", {"q": "王"}).content.decode()


def test_nothing_found_says_what_to_try(client):
    client.force_login(UserFactory(role=Role.ADMIN))

    assert "Try a name" in client.get("/search/", {"q": "zzzzqqqq"}).content.decode()


def test_a_support_agent_finds_no_segments(client, monkeypatch, sources):
    client.force_login(UserFactory(role=Role.AGENT))

    client.get("/search/", {"q": "tea"})

    assert [name for name, _text, _limit in sources] == ["people"]
