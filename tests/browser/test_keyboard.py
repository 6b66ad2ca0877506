"""The daily work without a mouse, and with an input method between the keys and the page."""

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from crm.core import clock
from crm.core.models import User
from customers.models import Segment
from support import conversations
from support.models import Conversation, Message
from tests import world
from tests.world import World

SignIn = Callable[[BrowserContext, User], None]
VISITOR = "0123456789abcdef0123456789abcdef"
# Where the focus is: what it is on, whether it can be seen, and whether it has a ring.
FOCUS = """() => {
  const here = document.activeElement, box = here.getBoundingClientRect();
  const top = document.elementFromPoint(box.x + box.width / 2, box.y + Math.min(box.height / 2, 12));
  const style = getComputedStyle(here);
  return {
    tag: here.tagName, words: (here.getAttribute('aria-label') || here.textContent || here.name || '').trim().slice(0, 60),
    seen: here.contains(top) || top?.contains(here) && getComputedStyle(top).position !== 'sticky' || top?.tagName === 'LABEL',
    ring: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== 'none',
  };
}"""


HELD_MS = 15_000


@pytest.fixture
def shop(page: Page, context: BrowserContext, sign_in: SignIn) -> World:
    """The named world; the browser is the owner's."""
    shop = world.build()
    sign_in(context, shop.owner)
    return shop


@pytest.fixture
def talk(shop: World) -> Conversation:
    """A visitor who waits for a person."""
    talk = conversations.open(source_id=shop.source.pk, visitor_id=VISITOR, now=clock.now())
    conversations.post(conversation_id=talk.pk, author="visitor", text="Is the pot made of iron?", now=clock.now(), client_id="first")
    conversations.hand_over(conversation_id=talk.pk, reason="asked", now=clock.now())
    talk.refresh_from_db()
    return talk


def tab_to(page: Page, wanted: Locator, *, most: int = 80) -> None:
    """Press Tab until the element has focus, as a person would; fails when it is never reached."""
    for _press in range(most):
        if wanted.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab never reached {wanted}")


@pytest.mark.parametrize("path", ["/customers/", "/segments/new/"])
def test_every_stop_of_the_tab_key_is_seen_and_ringed(page: Page, shop: World, path: str) -> None:
    page.goto(path)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()

    stops = []
    for _press in range(45):
        page.keyboard.press("Tab")
        stop = page.evaluate(FOCUS)
        if stop["tag"] == "BODY":
            break
        stops.append(stop)

    assert len(stops) > 15
    assert [stop for stop in stops if not stop["seen"] or not stop["ring"]] == []


def test_a_command_of_the_palette_leads_to_a_segment_saved_without_a_mouse(page: Page, shop: World) -> None:
    page.goto("/segments/")
    page.keyboard.press("Control+k")
    page.keyboard.type("new seg")
    page.keyboard.press("Enter")
    page.wait_for_url("**/segments/new/**")

    tab_to(page, page.get_by_label("Name", exact=True))
    page.keyboard.type("Good customers")
    field = page.get_by_label("Field").first
    tab_to(page, field)
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.keyboard.type("Total spent")
    # The part with the field was swapped; focus must still be there for Tab to go on from.
    expect(page.get_by_label("Field").first).to_be_focused()
    # Typed once the part that follows the field has settled, as a person who looks at it would.
    page.wait_for_load_state("networkidle")
    value = page.get_by_label("Value").first
    tab_to(page, value)
    page.keyboard.press("Control+a")
    page.keyboard.type("480")
    expect(value).to_have_value("480")
    expect(page.locator("#live .kpi__value").first).to_have_text("2", timeout=20_000)
    tab_to(page, page.get_by_role("button", name="Save segment"))
    page.keyboard.press("Enter")
    # Not by address: /segments/new/ looks like a segment's.
    expect(page.get_by_role("heading", level=1)).to_have_text("Good customers", timeout=20_000)

    saved = Segment.objects.get(name="Good customers")
    assert [(rule["field"], str(rule["value"])) for rule in saved.rule["rules"]] == [("spent_amount", "480")]
    expect(page.get_by_role("heading", level=1)).to_have_text("Good customers")


def test_a_reply_is_sent_without_a_mouse(page: Page, shop: World, talk: Conversation) -> None:
    page.goto("/inbox/?tab=unassigned")
    # j goes to the first conversation; r, once it is open, to the reply.
    page.keyboard.press("j")
    expect(page.locator(".thread").first).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/inbox/{talk.pk}/**")
    page.keyboard.press("r")
    page.keyboard.type("Yes, cast iron.")
    page.keyboard.press("Enter")

    expect(page.locator('.message[data-author="agent"][data-seq]')).to_contain_text("Yes, cast iron.", timeout=HELD_MS)
    expect(page.get_by_role("textbox", name="Message")).to_be_focused()
    assert list(Message.objects.filter(author="agent").values_list("text", "agent")) == [("Yes, cast iron.", shop.owner.pk)]


def compose(page: Page, syllables: str, words: str) -> None:
    """Type with an input method: compose the syllables, press Enter in the candidate window, take the words."""
    line = page.context.new_cdp_session(page)
    line.send("Input.imeSetComposition", {"text": syllables, "selectionStart": len(syllables), "selectionEnd": len(syllables)})
    key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
    line.send("Input.dispatchKeyEvent", {"type": "keyDown", **key})
    line.send("Input.dispatchKeyEvent", {"type": "keyUp", **key})
    line.send("Input.insertText", {"text": words})


def test_the_enter_of_an_input_method_sends_no_reply_and_the_next_one_does(page: Page, shop: World, talk: Conversation) -> None:
    page.goto(f"/inbox/{talk.pk}/")
    page.keyboard.press("r")
    box = page.get_by_role("textbox", name="Message")

    compose(page, "ni hao", "你好")
    expect(box).to_have_value("你好")
    expect(page.locator('.message[data-author="agent"]')).to_have_count(0)

    page.keyboard.press("Enter")
    expect(page.locator('.message[data-author="agent"][data-seq]')).to_contain_text("你好", timeout=HELD_MS)
    assert Message.objects.filter(author="agent").count() == 1


def test_the_enter_of_an_input_method_sends_nothing_from_the_widget_and_the_next_one_does(page: Page, shop: World) -> None:
    page.goto("/w/wk_tea/?lang=zh-CN")
    page.locator("#text").focus()

    compose(page, "ni hao", "你好")
    expect(page.locator("#text")).to_have_value("你好")
    assert not Conversation.objects.exists()

    page.keyboard.press("Enter")
    expect(page.locator('.line[data-author="visitor"][data-seq]')).to_contain_text("你好")
    assert Message.objects.filter(author="visitor").count() == 1
