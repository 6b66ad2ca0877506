"""The chat through two browsers: a visitor on the shop's page and an agent in the console."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from crm.core.models import AuditEntry, Source, User
from customers.models import Customer
from support import visitors
from support.models import Conversation, IntentExample
from tests.factories import SourceFactory, UserFactory
from tests.servers import RunningServer
from tests.support import stack
from tests.support.shop_page import serve

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator, Page

# The first answer includes the worker's first pass of the encoder.
ANSWER_MS = 45_000
# A page of another site, the chat's frame, its token and its socket, while another test trains on the other core.
OPENS_MS = 45_000


@pytest.fixture(scope="module")
def _chat_server(child_environment: dict[str, str]) -> Iterator[RunningServer]:
    server = stack.live_server(child_environment)
    yield server
    server.close()


@pytest.fixture
def running_server(transactional_db: None, _chat_server: RunningServer) -> RunningServer:
    """The server of this module, in place of the one whose tasks run eagerly."""
    _chat_server.start()
    return _chat_server


@pytest.fixture
def shop(running_server: RunningServer) -> Source:
    return SourceFactory(name="The tea shop", write_key="wk_tea", allowed_origins=[], brand_colour="#2f6b4f")


@pytest.fixture
def agent(running_server: RunningServer) -> User:
    return UserFactory(username="mei", first_name="Mei", role="agent")


@pytest.fixture
def visitor(browser: "Browser", running_server: RunningServer) -> Iterator["Page"]:
    """A second browser profile, on a phone, without any cookie of ours."""
    context = browser.new_context(base_url=running_server.url, viewport={"width": 380, "height": 700})
    context.set_default_timeout(15_000)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if "Content Security Policy" in message.text else None)
    yield page
    assert context.cookies() == []
    context.close()
    assert not faults, faults


def ask(page: "Page", text: str) -> "Locator":
    """Send a line as a visitor and return the assistant's next line."""
    lines = page.locator('.line[data-author="bot"]')
    known = lines.count()
    page.fill("#text", text)
    page.keyboard.press("Enter")
    answer = lines.nth(known)
    answer.wait_for(timeout=ANSWER_MS)
    return answer


def texts(page: "Page", selector: str) -> list[str]:
    return page.locator(selector).all_inner_texts()


def test_answers_cite_their_article_in_both_languages_and_nonsense_gets_a_person(visitor: "Page", shop: Source, child_environment: dict[str, str]) -> None:
    stack.teach()
    with stack.worker(child_environment):
        visitor.goto("/w/wk_tea/?lang=en")
        english = ask(visitor, "how long does delivery to Germany take?").inner_text()
        chinese = ask(visitor, "退货有什么规定").inner_text()
        refused = ask(visitor, "zxqv blorp wibble colourless green ideas").inner_text()

    assert "3-5 working days in Europe" in english
    assert "How long does delivery take?" in english
    assert "30 天内" in chinese
    assert "退货有什么规定" in chinese
    assert "colleague" in refused or "同事" in refused or "人工" in refused
    talk = Conversation.objects.get()
    assert talk.state == "queued"
    assert [(row.kind, row.data.get("article")) for row in talk.messages.filter(author="bot")] == [
        ("answer", "delivery_time"),
        ("answer", "return_policy"),
        ("handover", None),
    ]
    link = visitor.locator(".line__source a").first
    assert link.get_attribute("href") == "/help/delivery_time/?lang=en"
    visitor.goto("/help/delivery_time/?lang=en")
    assert "How long does delivery take?" in visitor.inner_text("h1")


def test_a_server_killed_in_mid_conversation_loses_and_doubles_nothing(
    page: "Page", context: "BrowserContext", visitor: "Page", shop: Source, agent: User, running_server: RunningServer, sign_in: Callable[..., None]
) -> None:
    sign_in(context, agent)
    visitor.goto("/w/wk_tea/?lang=en")
    visitor.click("#person")
    visitor.locator('.line[data-author="bot"]').nth(1).wait_for()
    talk = Conversation.objects.get()
    page.goto(f"/inbox/{talk.pk}/")

    def visitor_says(text: str) -> None:
        visitor.fill("#text", text)
        visitor.keyboard.press("Enter")

    def agent_says(text: str) -> None:
        page.fill("#composer textarea", text)
        page.press("#composer textarea", "Enter")

    for number in range(1, 4):
        visitor_says(f"visitor {number}")
        agent_says(f"客服 {number}")
    running_server.kill()
    for number in range(4, 7):
        visitor_says(f"visitor {number}")
        agent_says(f"客服 {number}")
    assert visitor.locator('.line[data-state="waiting"], .line[data-state="sending"]').count() >= 3
    running_server.start()
    for number in range(7, 9):
        visitor_says(f"visitor {number}")
        agent_says(f"客服 {number}")

    settled = "() => !document.querySelector('[data-pending]') && [...document.querySelectorAll('[data-seq]')].filter(row => /visitor|客服/.test(row.innerText)).length >= 16"
    for each in (visitor, page):
        each.wait_for_function(settled, timeout=60_000)
    stored = list(talk.messages.order_by("seq").values_list("seq", "author", "text"))
    assert [seq for seq, _, _ in stored] == list(range(1, len(stored) + 1))
    for author, word in (("visitor", "visitor"), ("agent", "客服")):
        assert [text for _, by, text in stored if by == author] == [f"{word} {number}" for number in range(1, 9)]
    said = [text for _, by, text in stored if by in {"visitor", "agent"}]
    assert texts(visitor, ".line[data-seq]:is([data-author=visitor], [data-author=agent]) .line__body") == said
    assert texts(page, ".message[data-seq]:is([data-author=visitor], [data-author=agent]) .message__body") == said


def test_hostile_words_stay_words_on_both_sides(
    page: "Page", context: "BrowserContext", visitor: "Page", shop: Source, agent: User, sign_in: Callable[..., None]
) -> None:
    hostile = "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>"
    sign_in(context, agent)
    visitor.goto("/w/wk_tea/?lang=en")
    visitor.fill("#text", hostile)
    visitor.keyboard.press("Enter")
    visitor.locator('.line[data-author="visitor"][data-seq]').wait_for()
    Conversation.objects.update(visitor_name=hostile[:100])
    talk = Conversation.objects.get()
    page.goto(f"/inbox/{talk.pk}/")
    page.fill("#composer textarea", hostile)
    page.press("#composer textarea", "Enter")
    page.locator('.message[data-author="agent"][data-seq]').wait_for()
    visitor.locator('.line[data-author="agent"]').wait_for()

    for each in (visitor, page):
        assert "hacked" not in each.title().replace(hostile[:100], "")
        assert each.locator("img[src=x], .line script, .message script").count() == 0
    assert visitor.locator('.line[data-author="agent"] .line__body').inner_text() == hostile
    assert page.locator('.message[data-author="visitor"] .message__body').inner_text() == hostile


def test_enter_that_picks_a_word_in_an_input_method_sends_nothing(visitor: "Page", shop: Source) -> None:
    visitor.goto("/w/wk_tea/?lang=zh-CN")
    visitor.fill("#text", "ni hao")

    for options in ("{isComposing: true}", "{keyCode: 229}"):
        visitor.evaluate(
            f"document.getElementById('text').dispatchEvent(new KeyboardEvent('keydown', {{key: 'Enter', bubbles: true, cancelable: true, ...{options}}}))"
        )

    assert visitor.input_value("#text") == "ni hao"
    assert not Conversation.objects.exists()


def test_the_console_works_by_keyboard_and_a_correction_is_kept(
    page: "Page", context: "BrowserContext", visitor: "Page", shop: Source, agent: User, sign_in: Callable[..., None]
) -> None:
    sign_in(context, agent)
    visitor.goto("/w/wk_tea/?lang=en")
    visitor.fill("#text", "is the lid of the pot made of iron")
    visitor.keyboard.press("Enter")
    visitor.locator('.line[data-author="visitor"][data-seq]').wait_for()
    visitor.click("#person")
    visitor.locator('.line[data-author="bot"]').nth(1).wait_for()
    talk = Conversation.objects.get()
    page.goto("/inbox/?tab=unassigned")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/inbox/{talk.pk}/**")
    page.keyboard.press("a")
    page.locator("#about dd", has_text="With a person").wait_for()
    page.keyboard.press("n")
    page.keyboard.type("asks about material")
    page.keyboard.press("Enter")
    page.locator('.message[data-author="note"][data-seq]').wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("r")
    page.keyboard.type("Yes, cast iron.")
    page.keyboard.press("Enter")
    visitor.locator('.line[data-author="agent"]', has_text="Yes, cast iron.").wait_for()

    label = page.locator("[data-label-form]").first
    page.locator(".message__label summary").first.click()
    label.locator("select").select_option("product_question")
    label.locator("button").click()
    page.locator(".message__label summary", has_text="A question about a product").wait_for()
    page.keyboard.press("Escape")
    page.locator("#thread-heading").focus()
    page.keyboard.press("e")
    page.locator("#about dd", has_text="Closed").wait_for()
    visitor.locator("#rating").wait_for()
    visitor.check('[name="score"][value="5"]')
    visitor.click("#rating button")
    visitor.locator("#rating").wait_for(state="hidden")

    example = IntentExample.objects.get()
    assert (example.label, example.origin) == ("product_question", "correction")
    assert "asks about material" not in visitor.inner_text("#log")
    visitor.wait_for_function("() => true")
    talk.refresh_from_db()
    assert (talk.state, talk.csat) == ("closed", 5)
    assert set(AuditEntry.objects.values_list("action", flat=True)) >= {"conversation.assign", "conversation.close", "message.label"}


def test_the_loader_opens_the_chat_on_a_page_of_another_origin_and_only_there(browser: "Browser", running_server: RunningServer, shop: Source) -> None:
    with serve(running_server.url, key="wk_tea") as origin:
        context = browser.new_context()
        strange = open_chat(context, origin)
        strange.wait_for_timeout(2000)
        assert not any("/w/wk_tea/" in frame.url and frame.query_selector("#text") for frame in strange.frames)
        Source.objects.update(allowed_origins=[origin])

        known = open_chat(context, origin)
        # window.frames does not count a frame inside a shadow root.
        frame = next(iter(known.frames[1:]), None) or known.wait_for_event("frameattached")
        frame.wait_for_selector("#text", timeout=OPENS_MS)
        language = frame.evaluate("document.documentElement.lang")
        frame.fill("#text", "你好")
        frame.press("#text", "Enter")
        frame.wait_for_selector('.line[data-author="visitor"][data-seq]', timeout=OPENS_MS)
        frame.press("#text", "Escape")
        known.wait_for_function("() => document.activeElement === document.body.lastElementChild")
        context.close()

    assert language == "zh-Hans"
    assert Conversation.objects.get().messages.first().text == "你好"


@pytest.mark.parametrize(("forgery", "is_believed"), [({}, True), ({"signature": "0" * 64}, False), ({"user_id": "u2"}, False), ({"timestamp": 1}, False)])
def test_only_what_the_shop_has_signed_makes_a_visitor_a_customer(
    browser: "Browser", running_server: RunningServer, shop: Source, forgery: dict[str, object], is_believed: bool
) -> None:
    """Also where the page tells it while a first token, without it, is on its way."""
    Source.objects.update(identity_secret="pepper")
    now = int(time.time())
    signature = visitors.signature("pepper", user_id="u1", email="lin@mail.example", timestamp=now)
    identity = {"user_id": "u1", "email": "lin@mail.example", "timestamp": now, "signature": signature} | forgery

    with serve(running_server.url, key="wk_tea", identity=identity) as origin:
        Source.objects.update(allowed_origins=[origin])
        context = browser.new_context()
        context.route("**/widget/api/token*", lambda route: (time.sleep(0.4), route.continue_()))
        page = open_chat(context, origin)
        frame = next(iter(page.frames[1:]), None) or page.wait_for_event("frameattached")
        frame.wait_for_selector("#text", timeout=OPENS_MS)
        page.wait_for_timeout(2500)
        frame.fill("#text", "你好")
        frame.press("#text", "Enter")
        frame.wait_for_selector('.line[data-author="visitor"][data-seq]', timeout=OPENS_MS)
        context.close()

    assert Conversation.objects.get().is_verified is is_believed
    assert Customer.objects.exists() is is_believed


def open_chat(context: "BrowserContext", origin: str) -> "Page":
    """Open the shop's page and press the chat button, which lies in a closed shadow root: by keyboard."""
    page = context.new_page()
    page.goto(origin)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    return page
