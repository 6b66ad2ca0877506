"""A visitor leaves an address in the widget, answers by mail, and staff sees in the console what came and went by mail."""

from collections.abc import Callable
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from crm.core import clock
from crm.core.models import Source, User
from support import conversations
from support.mail import addresses, receiving
from support.models import Conversation, ConversationMail
from tests.browser.conftest import axe_findings
from tests.factories import SourceFactory, UserFactory
from tests.servers import RunningServer

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

HOSTILE = '<img src=x onerror="document.title=1">'


@pytest.fixture
def shop(running_server: RunningServer) -> Source:
    return SourceFactory(name="The tea shop", write_key="wk_tea", allowed_origins=[])


@pytest.fixture
def agent(running_server: RunningServer) -> User:
    return UserFactory(username="mei", first_name="Mei", role="agent")


def test_an_address_is_asked_for_once_somebody_waits_and_kept(page: "Page", shop: Source) -> None:
    page.goto("/w/wk_tea/?lang=en")
    expect(page.locator("#mail")).to_be_hidden()
    page.click("#person")
    page.fill("#email", "lin@localhost")
    page.click("#mail button")
    expect(page.locator("#mail [role=status]")).to_contain_text("not an e-mail address")
    assert axe_findings(page) == []

    page.fill("#email", "Lin@Mail.example")
    page.click("#mail button")

    expect(page.locator("#mail")).to_be_hidden()
    assert Conversation.objects.get().visitor_email == "lin@mail.example"
    page.reload()
    expect(page.locator(".line[data-seq]").first).to_be_visible()
    expect(page.locator("#mail")).to_be_hidden()


def test_the_console_says_what_came_and_went_by_mail(
    page: "Page", context: "BrowserContext", shop: Source, agent: User, sign_in: Callable[..., None], settings: Any
) -> None:
    now = clock.now()
    talk = conversations.open(source_id=shop.pk, visitor_id="a" * 32, visitor_email="lin@mail.example", now=now)
    line = conversations.post(conversation_id=talk.pk, author="agent", agent=agent, text="Which one?", now=now).message
    ConversationMail.objects.create(
        conversation=talk, message_id="<1@shop.example>", to="lin@mail.example", from_seq=line.seq, upto_seq=line.seq, state="sent", next_at=now, created_at=now
    )
    mail = EmailMessage()
    mail["From"], mail["Message-ID"], mail["Subject"] = f'"{HOSTILE}" <mallory@evil.example>', "<2@evil.example>", HOSTILE
    mail.set_content(f"The green one {HOSTILE}\n\nOn Monday, Mei wrote:\n> Which one?\n")
    mail.add_attachment(b"MZ\x90\x00", maintype="application", subtype="octet-stream", filename=f"{HOSTILE}.exe")
    receiving.receive(mail.as_bytes(), to=[addresses.reply_address(talk)], now=now)
    sign_in(context, agent)

    page.goto(f"/inbox/{talk.pk}/")

    expect(page.locator('[data-author="agent"] .message__meta')).to_contain_text("sent by e-mail")
    came = page.locator('.message[data-author="visitor"]').last
    expect(came).to_contain_text(f"The green one {HOSTILE}")
    expect(came.locator(".message__meta")).to_contain_text("from another address: mallory@evil.example")
    expect(came).to_contain_text("Files not taken:")
    came.locator("summary", has_text="Whole e-mail").click()
    expect(came.locator("pre")).to_contain_text("> Which one?")
    assert page.locator("#messages img").count() == 0
    assert axe_findings(page) == []
