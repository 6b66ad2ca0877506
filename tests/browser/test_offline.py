"""The interface in a browser that runs no scripts: every filter, form and switch is a plain one underneath."""

from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from playwright.sync_api import Browser, BrowserContext, Page, expect

from crm.core.models import User
from tests import world
from tests.factories import CustomerFactory
from tests.servers import RunningServer
from tests.world import World

ROWS_A_PAGE = 50


@pytest.fixture
def shop(running_server: RunningServer) -> World:
    """The named world and sixty more people in Norway."""
    shop = world.build()
    CustomerFactory.create_batch(60, country="NO", source=shop.source)
    return shop


@pytest.fixture
def context(browser: Browser, running_server: RunningServer) -> Iterator[BrowserContext]:
    """A browser without scripts, in place of the usual one."""
    context = browser.new_context(base_url=running_server.url, java_script_enabled=False, locale="en-GB")
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def staff_page(page: Page, context: BrowserContext, shop: World, sign_in: Callable[[BrowserContext, User], None]) -> Page:
    sign_in(context, shop.owner)
    return page


def test_logging_in_leads_to_the_page_that_was_asked_for(page: Page, context: BrowserContext, shop: World) -> None:
    page.goto("/customers/?q=Loyal")
    page.get_by_label("Username").fill("owner")
    page.get_by_label("Password").fill("not this one")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_be_visible()

    page.get_by_label("Password").fill(world.PASSWORD)
    page.get_by_role("button", name="Log in").click()

    page.wait_for_url("**/customers/?q=Loyal")
    expect(page.locator("tbody tr")).to_have_count(1)
    assert any(cookie["name"] == settings.SESSION_COOKIE_NAME for cookie in context.cookies())


def test_customers_can_be_filtered_sorted_and_turned_over(staff_page: Page, shop: World) -> None:
    staff_page.goto("/customers/")
    expect(staff_page.locator("tbody tr")).to_have_count(ROWS_A_PAGE)
    staff_page.get_by_role("link", name="Next").click()
    expect(staff_page.locator("tbody tr")).to_have_count(13)

    staff_page.get_by_label("Spent at least").fill("400")
    staff_page.get_by_role("button", name="Apply").click()
    expect(staff_page.locator("tbody tr")).to_have_count(2)
    assert "min_spend=400" in staff_page.url
    staff_page.get_by_role("link", name="Name", exact=True).click()
    expect(staff_page.locator("tbody th").first).to_contain_text("Lin Loyal")


def test_a_segment_can_be_built_and_saved(staff_page: Page, shop: World) -> None:
    staff_page.goto("/segments/new/")
    staff_page.get_by_label("Name", exact=True).fill("Norway")
    staff_page.get_by_role("button", name="Condition", exact=True).click()
    rows = staff_page.locator(".rules__row")
    expect(rows).to_have_count(2)
    staff_page.get_by_role("button", name="Remove this condition").first.click()
    expect(rows).to_have_count(1)
    expect(staff_page.get_by_label("Name", exact=True)).to_have_value("Norway")
    staff_page.get_by_label("Field").select_option("spent_amount")
    staff_page.get_by_role("button", name="Preview", exact=True).last.click()
    staff_page.get_by_label("Value").fill("400")
    staff_page.get_by_role("button", name="Save segment").click()

    expect(staff_page.get_by_role("heading", level=1)).to_have_text("Norway")


def test_language_and_theme_are_plain_buttons(staff_page: Page, shop: World) -> None:
    staff_page.goto("/customers/?country=NO")
    staff_page.get_by_role("button", name="简体中文").click()

    expect(staff_page.locator("html")).to_have_attribute("lang", "zh-Hans")
    assert staff_page.url.endswith("/customers/?country=NO")
    expect(staff_page.get_by_role("heading", level=1)).to_have_text("客户")
    shop.owner.refresh_from_db()
    assert shop.owner.locale == "zh-hans"
