"""Fixtures every test folder may use; the servers behind them are started by `crm.embedded.pytest_plugin`."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client

from tests.servers import RunningServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

    from crm.core.models import User

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the fixtures they ask for, so that `-m "not browser"` is a quick run; put slow files first.

    Files go to the workers whole and in order (Makefile), so a long one at the end would run alone.
    """
    for item in items:
        wanted = getattr(item, "fixturenames", ())
        if {"page", "browser"} & set(wanted):
            item.add_marker(pytest.mark.browser)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    # The stable sort keeps the random order within each half.
    items.sort(key=lambda item: (item.path not in slow, "flows" not in item.path.parts))


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    """Begin every test in the source language: a page asked for in Chinese leaves its language to the thread."""
    from django.utils import translation

    with translation.override("en"):
        yield


@pytest.fixture(autouse=True)
def _empty_cache(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leave no cached answer or counter for the next test; only for tests that use the database at all."""
    yield
    if {"db", "transactional_db"} & set(request.fixturenames):
        from django.core.cache import cache

        cache.clear()


@pytest.fixture(scope="session")
def _server(django_db_setup: None) -> Iterator[RunningServer]:
    """One real server per worker on the test database, started by the first test that needs it."""
    server = RunningServer(environment=test_environment())
    yield server
    server.close()


@pytest.fixture
def running_server(transactional_db: None, _server: RunningServer) -> RunningServer:
    """A real uvicorn on the test database, with `url`, `kill()`, `stop()` and `start()`; rows must be committed."""
    _server.start()
    return _server


def test_environment() -> dict[str, str]:
    """Return the environment of a child process that shall use this test's database, Redis and data folder."""
    name = quote(str(connection.settings_dict["NAME"]))
    parts = urlsplit(os.environ["DATABASE_URL"])
    # Not urlunsplit: it drops the empty host of a socket URL.
    query = f"?{parts.query}" if parts.query else ""
    return os.environ | {
        "DATABASE_URL": f"{parts.scheme}://{parts.netloc}/{name}{query}",
        "DJANGO_SETTINGS_MODULE": "crm.settings.testing",
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "default",
    }


test_environment.__test__ = False  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def child_environment(django_db_setup: None) -> dict[str, str]:
    """The environment for a child process (a worker, a command, an SDK) on this test run's own database and Redis."""
    return test_environment()


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Chromium without a window. Skipped where it is not installed, failed there when CI is set."""
    if CHROMIUM is None:
        reason = "chromium is not installed; .ci/run installs it (apt-get install chromium fonts-noto-cjk)"
        if os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    # Playwright's own event loop runs in this thread, which makes Django's ORM believe it was called from async code.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    # Per module, not per session: while it is open no asyncio test can run in this process.
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield chromium
        chromium.close()
    os.environ.pop("DJANGO_ALLOW_ASYNC_UNSAFE", None)


@pytest.fixture
def context(browser: "Browser", running_server: RunningServer) -> Iterator["BrowserContext"]:
    """A fresh browser profile whose relative addresses lead to the running server."""
    context = browser.new_context(base_url=running_server.url, viewport={"width": 1280, "height": 800}, locale="en-GB")
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def page(context: "BrowserContext", running_server: RunningServer) -> Iterator["Page"]:
    """An empty tab. The test fails if the page broke the content policy, threw, or asked another host for anything."""
    page = context.new_page()
    faults: list[str] = []
    own = (running_server.url, running_server.url.replace("http://", "ws://"), "data:", "blob:", "about:")
    page.on("pageerror", lambda error: faults.append(f"script error: {error}"))
    page.on("console", lambda message: faults.append(message.text) if "Content Security Policy" in message.text else None)
    page.on("request", lambda asked: None if asked.url.startswith(own) else faults.append(f"foreign request: {asked.url}"))
    yield page
    assert not faults, faults


@pytest.fixture
def sign_in(running_server: RunningServer) -> Callable[["BrowserContext", "User"], None]:
    """A function that gives a browser profile the session of a user, without filling in the form."""

    def give_session(context: "BrowserContext", user: "User") -> None:
        client = Client()
        client.force_login(user)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME]
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie.value, "url": running_server.url}])

    return give_session


@pytest.fixture
def admin_user(db: None) -> "User":
    """An administrator, as pytest-django's fixture of the same name, with our user model's fields."""
    return get_user_model().objects.create_superuser(username="admin", email="admin@perennial.example", password="a long password")


def pytest_report_header() -> str:
    return f"perennial: python {sys.version.split()[0]}, chromium {CHROMIUM or 'absent'}, data {os.environ['PERENNIAL_DATA_DIR']}"
