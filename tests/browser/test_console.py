"""The console through browsers: everything by keyboard, two people in one conversation, drafts, saved replies, a budget."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import expect

from crm.core import clock
from crm.core.models import Source, User
from support import conversations
from support.models import CannedReply, Conversation, Draft, Macro, Mention, Message
from tests.browser.conftest import axe_findings, watched
from tests.factories import SourceFactory, UserFactory
from tests.servers import RunningServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHATS = 10
ASKED = ("where is my parcel", "壶盖裂了，怎么办", "can I pay by card", "退货有什么规定", "is it in stock")


@pytest.fixture
def shop(running_server: RunningServer) -> Source:
    return SourceFactory(name="The tea shop", write_key="wk_tea")


@pytest.fixture
def agent(running_server: RunningServer) -> User:
    return UserFactory(username="mei", first_name="Mei", role="agent")


def waiting(shop: Source, count: int) -> list[Conversation]:
    """Return conversations that wait for a person, the first one longest."""
    found = []
    for number in range(count):
        talk = conversations.open(source_id=shop.pk, visitor_id=f"{number:032x}", visitor_name=f"Visitor {number}", now=clock.now())
        conversations.post(conversation_id=talk.pk, author="visitor", text=f"{ASKED[number % len(ASKED)]} {number}", now=clock.now())
        found.append(conversations.hand_over(conversation_id=talk.pk, reason="asked", now=clock.now()))
    return found


@pytest.fixture
def colleague(browser: "Browser", running_server: RunningServer, sign_in: Callable[..., None]) -> Iterator[tuple["Page", User]]:
    """Somebody else of the staff in a browser of their own."""
    user = UserFactory(username="lin", first_name="Lin", role="agent")
    context = browser.new_context(base_url=running_server.url, viewport={"width": 1280, "height": 800}, locale="en-GB")
    context.set_default_timeout(10_000)
    sign_in(context, user)
    yield context.new_page(), user
    context.close()


def test_ten_chats_are_cleared_by_keyboard_alone(page: "Page", context: "BrowserContext", shop: Source, agent: User, sign_in: Callable[..., None]) -> None:
    talks = waiting(shop, CHATS)
    CannedReply.objects.create(shortcut="parcel", title="Parcel", texts={"en": "It is on its way, {customer}.", "zh-hans": "已经在路上了。"})
    sign_in(context, agent)
    page.goto("/inbox/?tab=unassigned")

    for number, talk in enumerate(talks):
        page.keyboard.press("j")
        expect(page.locator(f'[data-row="{talk.pk}"]')).to_be_focused()
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/inbox/{talk.pk}/**")
        page.keyboard.press("a")
        expect(page.locator("#about dd", has_text="With a person")).to_be_visible()
        page.keyboard.press("r")
        if number % 2:
            page.keyboard.type("/par")
            expect(page.locator("#offers [aria-selected=true]")).to_contain_text("/parcel")
            page.keyboard.press("Enter")
            expect(page.locator("#offers")).to_be_hidden()
        else:
            page.keyboard.type(f"Answer {number}")
        page.keyboard.press("Enter")
        expect(page.locator("[data-pending]")).to_be_visible()
        page.keyboard.press("Escape")
        # Closing sends what is still held back for second thoughts, before it closes.
        page.keyboard.press("e")
        expect(page.locator("#about dd", has_text="Closed")).to_be_visible()
        page.goto("/inbox/?tab=unassigned")

    expect(page.locator("#list .empty")).to_be_visible()
    for number, talk in enumerate(talks):
        talk.refresh_from_db()
        rows = list(talk.messages.order_by("seq").values_list("author", "kind", "text"))
        replies = [text for author, _, text in rows if author == "agent"]
        assert (talk.state, talk.agent) == ("closed", agent)
        assert len(replies) == 1, rows
        assert replies[0] == f"Answer {number}" or (number % 2 and replies[0] in {f"It is on its way, Visitor {number}.", "已经在路上了。"})
        assert rows[-1][1] == "closed"


def test_two_people_see_each_other_and_the_slower_one_is_asked(
    page: "Page", context: "BrowserContext", shop: Source, agent: User, sign_in: Callable[..., None], colleague: tuple["Page", User]
) -> None:
    [talk] = waiting(shop, 1)
    sign_in(context, agent)
    other, _lin = colleague
    page.goto(f"/inbox/{talk.pk}/")
    other.goto(f"/inbox/{talk.pk}/")

    expect(page.locator("#present")).to_contain_text("Lin is looking at this", timeout=4000)
    other.fill("#composer textarea", "I am on it")
    other.locator("#composer textarea").press("End")
    other.keyboard.type("!")
    expect(page.locator("#present")).to_contain_text("Lin is writing an answer", timeout=4000)
    expect(other.locator("#present")).to_contain_text("Mei is looking at this", timeout=16_000)

    # Both have the same lines before them; Lin is quicker, Mei's was written before she could read it.
    page.fill("#composer textarea", "Hello, how can I help?")
    page.press("#composer textarea", "Enter")
    other.press("#composer textarea", "Enter")
    other.keyboard.press("Escape")
    other.evaluate("dispatchEvent(new Event('pagehide'))")
    expect(page.locator('.message[data-author="agent"][data-seq]')).to_contain_text("I am on it!")
    page.evaluate("dispatchEvent(new Event('pagehide'))")
    expect(page.locator("[data-overtaken]")).to_contain_text("Lin has answered in the meantime")

    assert list(talk.messages.filter(author="agent").values_list("text", "agent__username")) == [("I am on it!", "lin")]
    page.get_by_role("button", name="Send anyway").click()
    expect(page.locator('.message[data-author="agent"][data-seq]')).to_have_count(2)
    assert list(talk.messages.filter(author="agent").values_list("agent__username", flat=True)) == ["lin", "mei"]

    other.goto("/inbox/")
    expect(page.locator("#present")).to_be_hidden(timeout=6000)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(other.locator(f'[data-faces="{talk.pk}"] .avatar')).to_have_attribute("title", "Mei")


def test_where_websockets_are_blocked_the_console_still_sees_who_takes_a_chat(
    page: "Page", context: "BrowserContext", shop: Source, agent: User, sign_in: Callable[..., None]
) -> None:
    [talk] = waiting(shop, 1)
    sign_in(context, agent)
    page.route_web_socket("**/ws/inbox/", lambda socket: socket.close())
    page.goto(f"/inbox/{talk.pk}/")
    expect(page.locator("#about dd", has_text="Waiting")).to_be_visible()

    Conversation.objects.filter(pk=talk.pk).update(state="assigned", agent=UserFactory(username="lin", first_name="Lin", role="agent"))

    expect(page.locator("#about dd", has_text="Lin").first).to_be_visible(timeout=15_000)


@pytest.mark.parametrize("is_back", [False, True], ids=["logged out", "logged in again elsewhere"])
def test_a_reply_written_when_the_session_is_over_is_kept_and_sent_after_the_login(
    page: "Page", context: "BrowserContext", shop: Source, agent: User, sign_in: Callable[..., None], is_back: bool
) -> None:
    [talk] = waiting(shop, 1)
    agent.set_password("a long password")
    agent.save()
    sign_in(context, agent)
    page.goto(f"/inbox/{talk.pk}/")
    # What the page says by itself would lead to the login before the reply is written. Not by a route: with one, a request
    # that outlives its page and is redirected never ends.
    page.wait_for_load_state("networkidle")
    page.evaluate(
        "() => { const real = fetch; window.fetch = (url, more) => /(present|draft|about).$/.test(url) ? Promise.reject(Error()) : real(url, more); }"
    )
    other = context.new_page()

    def log_in(tab: "Page") -> None:
        tab.fill("[name=username]", "mei")
        tab.fill("[name=password]", "a long password")
        tab.press("[name=password]", "Enter")

    Session.objects.all().delete()
    if is_back:
        other.goto("/inbox/")
        log_in(other)
        other.wait_for_url("**/inbox/")
    page.fill("#composer textarea", "Written too late")
    page.press("#composer textarea", "Enter")
    page.evaluate("dispatchEvent(new Event('pagehide'))")
    if not is_back:
        page.wait_for_url("**/login/**")
        log_in(page)

    expect(page.locator('.message[data-author="agent"][data-seq]')).to_contain_text("Written too late")
    assert list(talk.messages.filter(author="agent").values_list("text", flat=True)) == ["Written too late"]


def test_a_draft_survives_the_browser_and_a_reply_can_be_taken_back(
    page: "Page", context: "BrowserContext", browser: "Browser", running_server: RunningServer, shop: Source, agent: User, sign_in: Callable[..., None]
) -> None:
    [talk] = waiting(shop, 1)
    sign_in(context, agent)
    page.goto(f"/inbox/{talk.pk}/")
    page.fill("#composer textarea", "half a thought")
    expect(page.locator("#draft-state")).to_have_text("Draft kept")

    second = browser.new_context(base_url=running_server.url)
    sign_in(second, agent)
    elsewhere = second.new_page()
    elsewhere.goto(f"/inbox/{talk.pk}/")
    assert elsewhere.input_value("#composer textarea") == "half a thought"
    second.close()

    page.press("#composer textarea", "Enter")
    expect(page.locator("[data-pending=held]")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("u")
    expect(page.locator("[data-pending]")).to_have_count(0)
    assert page.input_value("#composer textarea") == "half a thought"
    assert not Message.objects.filter(author="agent").exists()
    page.press("#composer textarea", "Enter")
    page.wait_for_selector('.message[data-author="agent"][data-seq]', timeout=9000)
    assert not Draft.objects.exists()


def test_enter_of_an_input_method_neither_sends_nor_picks(
    page: "Page", context: "BrowserContext", shop: Source, agent: User, sign_in: Callable[..., None]
) -> None:
    [talk] = waiting(shop, 1)
    sign_in(context, agent)
    page.goto(f"/inbox/{talk.pk}/")
    page.focus("#composer textarea")
    line = context.new_cdp_session(page)

    line.send("Input.imeSetComposition", {"text": "ni hao", "selectionStart": 6, "selectionEnd": 6})
    page.keyboard.press("Enter")
    line.send("Input.insertText", {"text": "你好"})
    before = page.locator("[data-pending]").count()
    page.keyboard.press("Enter")

    assert before == 0
    expect(page.locator("[data-pending]")).to_contain_text("你好")
    # Left held back, it would be sent while the page closes and the next test begins.
    page.locator("[data-pending] button").click()
    expect(page.locator("[data-pending]")).to_have_count(0)


def test_notes_call_colleagues_macros_run_and_search_finds_chinese(
    page: "Page", context: "BrowserContext", shop: Source, agent: User, sign_in: Callable[..., None], colleague: tuple["Page", User]
) -> None:
    talks = waiting(shop, 4)
    Macro.objects.create(name="Mine and urgent", actions=[{"do": "assign", "to": "me"}, {"do": "priority", "to": 4}, {"do": "tag", "name": "vip"}])
    sign_in(context, agent)
    other, lin = colleague
    page.goto("/inbox/?q=裂了")
    expect(page.locator(".thread")).to_have_count(1)
    page.locator(".thread").press("Enter")
    page.wait_for_url(f"**/inbox/{talks[1].pk}/**")
    page.keyboard.press("n")
    page.keyboard.type("please look @l")
    expect(page.locator("#offers [aria-selected=true]")).to_contain_text("@lin")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator('.message[data-author="note"][data-seq]').wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("m")
    expect(page.locator("#macro-menu button").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#about dd", has_text="With a person")).to_be_visible()

    other.goto("/inbox/?tab=mentions")
    expect(other.locator(".thread")).to_have_count(1)
    expect(other.locator(".thread")).to_contain_text("Urgent")
    expect(other.locator(".thread")).to_contain_text("#vip")
    assert Mention.objects.get().user == lin
    page.keyboard.press("s")
    expect(page.locator("#snooze-menu button").first).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/inbox/")
    talk = Conversation.objects.get(pk=talks[1].pk)
    assert (talk.state, talk.agent, talk.priority) == ("snoozed", agent, 4)


def test_the_keys_are_listed_and_can_be_switched_off(page: "Page", context: "BrowserContext", shop: Source, agent: User, sign_in: Callable[..., None]) -> None:
    [talk] = waiting(shop, 1)
    sign_in(context, agent)
    page.goto(f"/inbox/{talk.pk}/")
    page.locator("#tag").wait_for()
    page.keyboard.press("?")
    listed = set(page.locator("#shortcuts .keys kbd").all_inner_texts())
    page.locator("[data-shortcuts-on]").press("Space")
    page.keyboard.press("Escape")
    page.keyboard.press("e")
    page.keyboard.press("a")
    page.wait_for_timeout(300)

    assert {"j", "k", "Enter", "r", "n", "a", "e", "s", "m", "t", "u", "[", "]", "?"} <= listed
    talk.refresh_from_db()
    assert (talk.state, talk.agent) == ("queued", None)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_the_console_fits_its_budget_and_its_window(
    browser: "Browser", running_server: RunningServer, shop: Source, agent: User, sign_in: Callable[..., None], width: int, scheme: str
) -> None:
    talk = waiting(shop, 12)[3]
    context = browser.new_context(base_url=running_server.url, viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    sign_in(context, agent)
    with watched(context, (running_server.url, running_server.url.replace("http", "ws"))) as (page, visit):
        page.goto(f"/inbox/{talk.pk}/")
        page.locator("#about dd").first.wait_for(state="attached")
        page.wait_for_timeout(500)
        findings = axe_findings(page)
        overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        clipped = page.evaluate(
            "[...document.querySelectorAll('.panes__list .tabs a')].filter(tab => tab.offsetParent && (tab.getBoundingClientRect().right > tab.closest('.panes__list').getBoundingClientRect().right || tab.scrollWidth > tab.clientWidth + 1)).map(tab => tab.textContent)"
        )
    context.close()

    assert findings == []
    assert visit.faults == []
    assert overflow <= 0
    assert clipped == []
    assert len(visit.at_load) <= 8, visit.at_load
    assert visit.wire_bytes <= 60_000
