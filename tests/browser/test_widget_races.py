"""The visitor's page while its socket and its requests overtake each other."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from django.db import connection

from crm.core import clock
from crm.core.models import Source
from support import conversations
from support.models import Conversation
from tests.factories import SourceFactory
from tests.servers import RunningServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Route, WebSocketRoute

# Less than the fifteen quiet seconds after which a page asks by itself, counted from its last word: what comes within
# them was told, not found.
TOLD_MS = 9_000
SHOWN = '.line[data-author="visitor"][data-seq]'


@pytest.fixture
def shop(running_server: RunningServer) -> Source:
    return SourceFactory(name="The tea shop", write_key="wk_tea", allowed_origins=[])


@pytest.fixture
def context(browser: "Browser", running_server: RunningServer) -> Iterator["BrowserContext"]:
    """A visitor's browser."""
    context = browser.new_context(base_url=running_server.url, viewport={"width": 380, "height": 700})
    context.set_default_timeout(15_000)
    yield context
    context.close()


class HeldSocket:
    """The socket of a page, of which one side hears nothing from the other until `release`."""

    def __init__(self, page: "Page", *, deaf: str) -> None:
        self._page, self._deaf = page, deaf
        self._held: list[str | bytes] | None = []
        self._ear: Callable[[str | bytes], None] | None = None
        page.route_web_socket("**/ws/visitor/", self._connect)

    def _connect(self, of_page: "WebSocketRoute") -> None:
        of_server = of_page.connect_to_server()
        to_page, to_server = of_page.send, of_server.send
        self._ear = to_page if self._deaf == "page" else to_server
        of_server.on_message(self._kept if self._deaf == "page" else to_page)
        of_page.on_message(self._kept if self._deaf == "server" else to_server)

    def _kept(self, message: str | bytes) -> None:
        if self._held is None:
            assert self._ear is not None
            self._ear(message)
        else:
            self._held.append(message)

    def wait(self) -> None:
        """Wait until something was said that is not heard."""
        while not self._held:
            self._page.wait_for_timeout(50)

    def release(self) -> None:
        assert self._ear is not None
        assert self._held, "nothing has been said yet"
        held, self._held = self._held, None
        for message in held:
            self._ear(message)


def say(page: "Page", text: str) -> None:
    page.fill("#text", text)
    page.keyboard.press("Enter")


def agent_says(text: str) -> None:
    """Post in another thread: Playwright's event loop runs in this one, and what is posted is told to sockets by a loop of its own."""

    def post() -> None:
        conversations.post(conversation_id=Conversation.objects.get().pk, author="agent", text=text, client_id=f"agent-{text}", now=clock.now())
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(post).result()


def test_a_line_sent_before_the_socket_said_how_things_stand_stays_and_is_answered_live(page: "Page", shop: Source) -> None:
    """The answer to hello may be older than the answer to the request by which the first line went."""
    socket = HeldSocket(page, deaf="page")
    page.goto("/w/wk_tea/?lang=en")
    socket.wait()
    say(page, "first words")
    page.wait_for_selector(SHOWN)

    socket.release()

    agent_says("welcome")
    page.wait_for_selector('.line[data-author="agent"]', timeout=TOLD_MS)
    assert page.locator(SHOWN).all_inner_texts()[0].splitlines()[-1] == "first words"


def test_a_line_whose_request_ends_after_the_socket_came_up_is_answered_live(page: "Page", shop: Source) -> None:
    socket = HeldSocket(page, deaf="page")

    def slow(route: "Route") -> None:
        answer = route.fetch()
        socket.release()
        page.wait_for_function("() => document.getElementById('line').hidden")
        route.fulfill(response=answer)

    page.route("**/widget/api/send*", slow)
    page.goto("/w/wk_tea/?lang=en")
    socket.wait()
    say(page, "first words")
    page.wait_for_selector(SHOWN)

    agent_says("welcome")
    page.wait_for_selector('.line[data-author="agent"]', timeout=TOLD_MS)


def test_an_answer_that_the_socket_overtook_does_not_turn_back_how_things_stand(page: "Page", shop: Source) -> None:
    """The request's answer says that the assistant has the chat, the socket meanwhile that a person is wanted."""

    socket = HeldSocket(page, deaf="server")

    def slow(route: "Route") -> None:
        answer = route.fetch()
        socket.release()
        page.get_by_text("passing you on").wait_for()
        page.wait_for_selector("#person", state="hidden")
        told = answer.json()
        told["state"]["state"], told["items"], told["upto"] = "bot", told["items"][:1], 1
        route.fulfill(response=answer, json=told)

    page.route("**/widget/api/send*", slow)
    page.goto("/w/wk_tea/?lang=en")
    socket.wait()
    with page.expect_response("**/widget/api/send*"):
        say(page, "my parrot ate the remote control")

    page.wait_for_timeout(300)
    assert page.is_hidden("#person")
    assert page.locator("[data-seq]").count() == 2


def test_a_file_sent_first_is_answered_live(page: "Page", shop: Source) -> None:
    page.goto("/w/wk_tea/?lang=en")
    page.wait_for_selector("#line", state="hidden")

    page.set_input_files("#file", {"name": "bill.txt", "mimeType": "text/plain", "buffer": b"Bill number 7"})

    page.wait_for_selector(SHOWN)
    agent_says("thank you")
    page.wait_for_selector('.line[data-author="agent"]', timeout=TOLD_MS)


def test_a_new_conversation_begun_in_one_tab_is_the_other_tabs_too(page: "Page", context: "BrowserContext", shop: Source) -> None:
    page.goto("/w/wk_tea/?lang=en")
    say(page, "first words")
    page.wait_for_selector(SHOWN)
    other = context.new_page()
    other.goto("/w/wk_tea/?lang=en")
    other.wait_for_selector(SHOWN)
    long_ago = clock.now() - conversations.SAME_SUBJECT * 2
    Conversation.objects.update(state="closed", closed_at=long_ago, last_message_at=long_ago)

    say(page, "something else")

    other.wait_for_selector(f'{SHOWN} >> text="something else"', timeout=TOLD_MS)
    assert Conversation.objects.count() == 2
    assert other.locator('text="first words"').count() == 0


def test_what_two_tabs_could_not_send_outlives_both(context: "BrowserContext", shop: Source) -> None:
    for number in (1, 2):
        tab = context.new_page()
        tab.route("**/widget/api/**", lambda route: route.abort())
        tab.route_web_socket("**/ws/visitor/", lambda socket: socket.close())
        tab.goto("/w/wk_tea/?lang=en")
        say(tab, f"words of tab {number}")
        tab.wait_for_selector(f'.line[data-pending] >> text="words of tab {number}"')
    # Entries nobody can read, of another version or of a hand, are passed over.
    tab.evaluate("() => localStorage.setItem('outbox:widget:wk_tea:torn', '{')")
    for tab in context.pages:
        tab.close()

    later = context.new_page()
    later.goto("/w/wk_tea/?lang=en")

    for number in (1, 2):
        later.wait_for_selector(f'{SHOWN} >> text="words of tab {number}"')
    assert later.evaluate("() => Object.keys(localStorage).filter((key) => key.startsWith('outbox:'))") == []
