"""The frame of every page as a person uses it: keyboard, palette, dialogs, swaps, input methods, language and theme."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from crm.core.models import Job, User

SignIn = Callable[[BrowserContext, User], None]


@pytest.fixture
def jobs_page(page: Page, context: BrowserContext, sign_in: SignIn, admin_user: User) -> Page:
    """The jobs list of an administrator: a plain page with a filter that swaps its table."""
    for number in range(3):
        Job.objects.create(kind="import", title=f"Orders {number}", state="done")
    sign_in(context, admin_user)
    page.goto("/jobs/")
    # Module scripts run before this event, so every listener is in place.
    page.wait_for_load_state("load")
    return page


def test_skip_link_comes_first_and_leads_to_the_content(jobs_page: Page) -> None:
    jobs_page.keyboard.press("Tab")

    expect(jobs_page.get_by_role("link", name="Skip to content")).to_be_focused()
    jobs_page.keyboard.press("Enter")
    expect(jobs_page.locator("#main")).to_be_focused()


def test_palette_opens_by_key_runs_a_command_and_gives_focus_back(jobs_page: Page) -> None:
    opener = jobs_page.get_by_role("link", name="Models")
    opener.focus()

    jobs_page.keyboard.press("Control+k")
    expect(jobs_page.get_by_role("combobox", name="Go to a page or run a command")).to_be_focused()
    jobs_page.keyboard.press("Escape")
    expect(opener).to_be_focused()

    jobs_page.keyboard.press("Control+k")
    jobs_page.keyboard.type("hom")
    expect(jobs_page.locator("#palette").get_by_role("option", selected=True)).to_contain_text("Home")
    jobs_page.keyboard.press("Enter")
    jobs_page.wait_for_url("**/")


def test_key_sequences_work_except_while_typing(jobs_page: Page) -> None:
    jobs_page.keyboard.press("/")
    search = jobs_page.get_by_role("searchbox", name="Search customers")
    expect(search).to_be_focused()
    jobs_page.keyboard.type("g m?")
    expect(search).to_have_value("g m?")
    assert jobs_page.url.endswith("/jobs/")

    jobs_page.keyboard.press("Escape")
    jobs_page.keyboard.press("g")
    jobs_page.keyboard.press("l")
    jobs_page.wait_for_url("**/models/")


def test_single_key_shortcuts_can_be_switched_off(jobs_page: Page) -> None:
    jobs_page.keyboard.press("?")
    sheet = jobs_page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(sheet.get_by_text("Models")).to_be_visible()
    sheet.get_by_role("switch").uncheck()
    jobs_page.keyboard.press("Escape")

    jobs_page.keyboard.press("/")

    expect(jobs_page.get_by_role("searchbox", name="Search customers")).not_to_be_focused()


def test_focus_stays_on_the_control_whose_own_part_is_swapped(jobs_page: Page) -> None:
    jobs_page.route(
        "**/swapped/", lambda route: route.fulfill(body='<button id="again" hx-get="/swapped/" hx-target="#part">second</button><p data-announce>4 jobs</p>')
    )
    add(jobs_page, '<div id="part"><button id="again" hx-get="/swapped/" hx-target="#part">first</button></div>')

    jobs_page.locator("#again").focus()
    jobs_page.keyboard.press("Enter")

    expect(jobs_page.get_by_role("button", name="second")).to_be_focused()
    expect(jobs_page.locator("#status")).to_have_text("4 jobs")


def test_a_form_that_asks_first_is_only_sent_after_yes(jobs_page: Page) -> None:
    sent: list[str] = []
    jobs_page.route("**/danger/", lambda route: (sent.append(route.request.method), route.fulfill(body="done", content_type="text/html")))
    add(jobs_page, '<form method="post" action="/danger/" data-confirm="Delete 3 tags?" data-confirm-action="Delete"><button>Go</button></form>')

    jobs_page.get_by_role("button", name="Go").click()
    dialog = jobs_page.get_by_role("dialog", name="Delete 3 tags?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    assert sent == []

    jobs_page.get_by_role("button", name="Go").click()
    dialog.get_by_role("button", name="Delete").click()
    jobs_page.wait_for_url("**/danger/")
    assert sent == ["POST"]


def test_enter_inside_an_input_method_does_not_send(jobs_page: Page) -> None:
    add(jobs_page, '<form action="/jobs/"><textarea data-composer name="said" aria-label="Reply"></textarea></form>')
    box = jobs_page.get_by_role("textbox", name="Reply")
    box.focus()
    line = jobs_page.context.new_cdp_session(jobs_page)

    line.send("Input.imeSetComposition", {"text": "ni", "selectionStart": 2, "selectionEnd": 2})
    line.send("Input.dispatchKeyEvent", {"type": "keyDown", "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13})
    line.send("Input.dispatchKeyEvent", {"type": "keyUp", "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13})
    assert jobs_page.url.endswith("/jobs/")
    expect(box).to_have_value("ni")

    box.fill("你好")
    jobs_page.keyboard.press("Enter")
    jobs_page.wait_for_url("**/jobs/?said=%E4%BD%A0%E5%A5%BD")


def test_a_server_fault_becomes_a_toast_and_in_a_panel_a_retry(jobs_page: Page) -> None:
    answers = iter([500, 200])
    jobs_page.route("**/panel/", lambda route: route.fulfill(status=next(answers), body="<p>Offers</p>"))
    jobs_page.route("**/fault/", lambda route: route.fulfill(status=500, body="x"))
    add(
        jobs_page,
        '<section class="card panel" hx-get="/panel/" hx-trigger="load, retry" hx-target="find .panel__body"><div class="panel__body"></div></section>'
        '<a href="#" hx-get="/fault/" hx-target="#part">Ask</a><div id="part">kept</div>',
    )

    jobs_page.get_by_role("button", name="Try again").click()
    expect(jobs_page.locator(".panel__body")).to_have_text("Offers")

    jobs_page.get_by_role("link", name="Ask").click()
    expect(jobs_page.locator(".toast")).to_contain_text("Something went wrong")
    expect(jobs_page.locator("#part")).to_have_text("kept")


def test_theme_and_language_are_printed_by_the_server(jobs_page: Page) -> None:
    jobs_page.get_by_role("button", name="Theme").click()
    jobs_page.get_by_role("button", name="Dark", exact=True).click()
    expect(jobs_page.locator("html")).to_have_attribute("data-theme", "dark")

    jobs_page.get_by_role("button", name="简体中文").click()
    expect(jobs_page.locator("html")).to_have_attribute("lang", "zh-Hans")
    assert jobs_page.url.endswith("/jobs/")


def test_only_filters_that_are_set_stand_in_the_address(jobs_page: Page) -> None:
    jobs_page.locator("form.filters select").first.select_option(index=1)
    expect(jobs_page).to_have_url(re.compile(r"/jobs/\?[a-z]+=[a-z.]+$"))

    jobs_page.locator("form.filters select").first.select_option(index=0)
    expect(jobs_page).to_have_url(re.compile(r"/jobs/$"))


def test_compact_rows_are_chosen_once_for_all_tables(jobs_page: Page) -> None:
    row = jobs_page.locator("tbody tr").first
    usual = row.bounding_box()["height"]

    jobs_page.get_by_role("button", name="Account of").click()
    jobs_page.get_by_role("button", name="Compact rows").click()
    expect(jobs_page.get_by_role("button", name="Compact rows")).to_have_attribute("aria-pressed", "true")
    assert row.bounding_box()["height"] < usual

    jobs_page.reload()
    assert row.bounding_box()["height"] < usual


@pytest.mark.parametrize("width", [320, 390, 1000, 1440])
def test_nothing_sticks_out_sideways(jobs_page: Page, width: int) -> None:
    jobs_page.set_viewport_size({"width": width, "height": 700})

    assert jobs_page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_short_page_does_not_scroll(jobs_page: Page) -> None:
    jobs_page.set_viewport_size({"width": 1440, "height": 1400})

    assert jobs_page.evaluate("document.documentElement.scrollHeight") == 1400


def add(page: Page, markup: str) -> None:
    """Put a piece of page into the content, as a swap would, and let htmx see it."""
    page.evaluate(
        "markup => { const part = document.createElement('div'); part.innerHTML = markup; document.getElementById('main').append(part); window.htmx.process(part); }",
        markup,
    )
