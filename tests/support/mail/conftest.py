"""A conversation whose visitor has left, and mails that answer what was mailed."""

from email.message import EmailMessage
from typing import Any

import pytest

from support import conversations
from support.mail import addresses
from support.models import Conversation
from tests.support.conftest import NOW

SENDER = "lin@mail.example"


@pytest.fixture(autouse=True)
def _answers_come_to_us(settings: Any) -> None:
    settings.CRM_INBOUND_MAIL_ADDRESS = "reply@shop.example"
    settings.DEFAULT_FROM_EMAIL = "Tea shop <hello@shop.example>"


@pytest.fixture
def left(talk: Conversation) -> Conversation:
    """The conversation of a visitor who gave an address, asked for a person and closed the page."""
    conversations.post(conversation_id=talk.pk, author="visitor", text="Which tea is best?", now=NOW, client_id="1", cause="demo")
    conversations.leave_address(conversation_id=talk.pk, email=SENDER, now=NOW)
    conversations.hand_over(conversation_id=talk.pk, reason="asked", now=NOW)
    return Conversation.objects.get(pk=talk.pk)


def answer(
    conversation: Conversation, text: str = "The green one.", *, message_id: str = "<a1@mail.example>", sender: str = SENDER, **headers: str
) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"], mail["Message-ID"] = sender, addresses.reply_address(conversation), "Re: tea", message_id
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    mail.set_content(text)
    return mail
