"""The browser fixtures: a real page from a real server, and a fault when the page misbehaves."""

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page

from crm.core.models import User
from tests.servers import RunningServer


def test_the_log_in_page_opens_in_a_browser(page: Page) -> None:
    page.goto("/login/")

    page.get_by_role("textbox").first.wait_for()
    assert page.locator("html").get_attribute("lang") == "en"


def test_a_signed_in_profile_is_let_in(context: BrowserContext, page: Page, sign_in: Callable[[BrowserContext, User], None], admin_user: User) -> None:
    sign_in(context, admin_user)

    page.goto("/readyz")
    page.goto("/login/")

    assert "/login/" not in page.url, "somebody logged in is sent home"


def test_a_killed_server_comes_back_at_the_same_address(running_server: RunningServer, page: Page) -> None:
    page.goto("/login/")
    running_server.kill()
    running_server.start()

    response = page.goto("/healthz")

    assert response is not None
    assert response.status == 200


@pytest.mark.django_db
async def test_asyncio_tests_still_run_beside_browser_tests() -> None:
    assert True
