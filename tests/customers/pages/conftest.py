"""The named world on its day, its marketer's browser, and how many questions a page asks the database."""

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from crm.core.models import User
from tests.world import NOW, World, build

HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("crm.core.clock.now", lambda: NOW)
    return build()


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def marketer(world: World) -> Client:
    return client_of(world.marketer)


def queries(client: Client, url: str, **headers: str) -> int:
    cache.clear()
    with CaptureQueriesContext(
        connection,
    ) as captured:
        response = client.get(url, **headers)
    assert response.status_code == 200
    return len(captured)
