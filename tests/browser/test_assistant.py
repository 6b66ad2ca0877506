"""The chat where websockets are blocked, what survives a reload, files, and labelling by single keys."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crm.core import clock
from crm.core.models import Source, User
from support import conversations
from support.models import Attachment, Conversation, IntentExample, Message
from tests.browser.conftest import axe_findings
from tests.factories import SourceFactory, UserFactory
from tests.servers import RunningServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

# The smallest PNG a browser draws: one transparent pixel.
PIXEL = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082")


@pytest.fixture
def shop(running_server: RunningServer) -> Source:
    return SourceFactory(name="The tea shop", write_key="wk_tea", allowed_origins=[])


@pytest.fixture
def agent(running_server: RunningServer) -> User:
    return UserFactory(username="mei", first_name="Mei", role="agent")


@pytest.fixture
def visitor(browser: "Browser", running_server: RunningServer) -> Iterator["Page"]:
    context = browser.new_context(base_url=running_server.url, viewport={"width": 380, "height": 700})
    context.set_default_timeout(20_000)
    page = context.new_page()
    yield page
    assert context.cookies() == []
    context.close()


def write(page: "Page", text: str) -> None:
    page.fill("#text", text)
    page.keyboard.press("Enter")


def test_where_websockets_are_blocked_the_chat_polls(visitor: "Page", shop: Source, agent: User) -> None:
    visitor.add_init_script(
        "window.WebSocket = class { constructor() { this.readyState = 3; setTimeout(() => this.onclose?.({code: 1006}), 10); } close() {} send() {} }"
    )
    visitor.goto("/w/wk_tea/?lang=en")
    for number in range(1, 4):
        write(visitor, f"线路 {number}")
    visitor.wait_for_function("() => document.querySelectorAll('.line[data-author=visitor][data-seq]').length === 3")

    talk = Conversation.objects.get()
    conversations.post(conversation_id=talk.pk, author="agent", agent=agent, text="I can read you.", now=clock.now())
    visitor.locator('.line[data-author="agent"]', has_text="I can read you.").wait_for()

    stored = list(talk.messages.filter(author="visitor").order_by("seq").values_list("text", flat=True))
    assert stored == ["线路 1", "线路 2", "线路 3"]


def test_a_draft_survives_a_reload_and_goes_with_the_message(visitor: "Page", shop: Source) -> None:
    visitor.goto("/w/wk_tea/?lang=en")
    visitor.fill("#text", "half a sent")
    visitor.reload()
    assert visitor.input_value("#text") == "half a sent"

    write(visitor, "half a sentence")
    visitor.locator('.line[data-author="visitor"][data-seq]').wait_for()
    visitor.reload()

    assert visitor.input_value("#text") == ""


def test_a_second_tab_joins_the_chat_that_the_first_begins(visitor: "Page", shop: Source) -> None:
    visitor.goto("/w/wk_tea/?lang=en")
    other = visitor.context.new_page()
    other.goto("/w/wk_tea/?lang=en")
    other.locator("#line").wait_for(state="hidden")

    write(visitor, "from the first tab")
    other.locator('.line[data-author="visitor"][data-seq]', has_text="from the first tab").wait_for()
    write(other, "from the second")
    visitor.locator('.line[data-author="visitor"][data-seq]', has_text="from the second").wait_for()

    assert Conversation.objects.count() == 1


def test_a_form_that_appears_leaves_the_last_line_in_sight_and_a_text_that_is_cut_says_so(visitor: "Page", shop: Source) -> None:
    """Without a model every question goes to a person, and the visitor is asked for an address."""
    visitor.set_viewport_size({"width": 380, "height": 460})
    visitor.goto("/w/wk_tea/?lang=en")
    write(visitor, "my parrot ate the remote control and " * 12)

    visitor.locator('.line[data-author="bot"]', has_text="passing you on").wait_for()
    visitor.locator("#mail").wait_for()
    assert visitor.evaluate("() => { const log = document.getElementById('log'); return log.scrollHeight - log.scrollTop - log.clientHeight; }") < 80

    visitor.locator("#text").focus()
    visitor.keyboard.insert_text("长" * 5000)
    visitor.get_by_text("what goes beyond was left out").wait_for()
    visitor.keyboard.press("Enter")
    visitor.get_by_text("what goes beyond was left out").wait_for(state="hidden")


def test_a_picture_is_attached_and_a_page_in_disguise_is_not(visitor: "Page", shop: Source, tmp_path: Path) -> None:
    picture, disguise = tmp_path / "<b>壶.png", tmp_path / "photo.png"
    picture.write_bytes(PIXEL)
    disguise.write_text("<html><script>document.title='hacked'</script></html>", encoding="utf-8")
    visitor.goto("/w/wk_tea/?lang=en")

    visitor.set_input_files("#file", str(picture))
    shown = visitor.locator('.line[data-author="visitor"][data-seq] img')
    shown.wait_for()
    visitor.set_input_files("#file", str(disguise))
    visitor.locator('.line[data-state="failed"]', has_text="only pictures, PDF and plain text").wait_for()

    assert visitor.evaluate("image => image.decode().then(() => image.naturalWidth)", shown.element_handle()) == 1
    assert Attachment.objects.get().name == "b壶.png"
    assert "hacked" not in visitor.title()
    assert Message.objects.filter(kind="file").count() == 1


def test_labelling_by_single_keys(page: "Page", context: "BrowserContext", shop: Source, agent: User, sign_in: Callable[..., None]) -> None:
    sign_in(context, agent)
    talk = conversations.open(source_id=shop.pk, visitor_id="0" * 32, now=clock.now())
    for number, text in enumerate(("first <i>unclear</i> line", "第二句不清楚", "third unclear line")):
        row = conversations.post(conversation_id=talk.pk, author="visitor", text=text, now=clock.now(), cause="demo").message
        Message.objects.filter(pk=row.pk).update(
            intent="delivery_time", confidence=0.5 + number / 100, in_scope=True, intent_version=1,
            understood={"choices": [["delivery_time", 0.5], ["delivery_cost", 0.4]]},
        )  # fmt: skip

    page.goto("/assistant/label/")
    assert axe_findings(page) == []
    page.keyboard.press("2")
    page.locator("#asked", has_text="第二句不清楚").wait_for()
    page.keyboard.press("s")
    page.locator("#asked", has_text="third unclear line").wait_for()
    page.keyboard.press("0")
    page.get_by_text("Nothing to label").wait_for()

    assert list(IntentExample.objects.order_by("pk").values_list("text", "label")) == [
        ("first <i>unclear</i> line", "delivery_cost"),
        ("third unclear line", "out_of_scope"),
    ]


@pytest.mark.parametrize("path", ["/assistant/", "/assistant/learning/", "/knowledge/", "/knowledge/new/"])
def test_the_assistants_pages_are_accessible(
    page: "Page", context: "BrowserContext", running_server: RunningServer, sign_in: Callable[..., None], path: str
) -> None:
    sign_in(context, UserFactory(username="boss", role="admin"))

    page.goto(path)

    assert axe_findings(page) == []
