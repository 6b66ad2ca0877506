"""In development a caught mail can be answered from its page, through the real door."""

import mailbox as maildir
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from crm.core import clock
from crm.core.models.people import Role
from support import conversations
from support.mail import sending
from support.models import Message
from tests.factories import SourceFactory, UserFactory
from tests.support.mail.conftest import SENDER
from tests.support.mail.smtp import mailbox, receiver

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_whole_way_there_and_back(client: Client, settings: Any, tmp_path: Path) -> None:
    shop = SourceFactory(name="The tea shop", write_key="wk_mail")
    talk = conversations.open(source_id=shop.pk, visitor_id="a" * 32, visitor_email=SENDER, now=clock.now())
    agent = UserFactory(username="mei", first_name="Mei", role=Role.ADMIN)
    conversations.post(conversation_id=talk.pk, author="agent", agent=agent, text="Which one?", now=clock.now() - sending.UNREAD_AFTER)
    settings.CRM_OUTBOX_DIR = tmp_path / "outbox"
    with mailbox() as (box, port):
        settings.CRM_SMTP_HOST, settings.CRM_SMTP_PORT = "127.0.0.1", port
        assert sending.sweep(now=clock.now()) == 1
    key = maildir.Maildir(settings.CRM_OUTBOX_DIR, create=True).add(box.mails[0].as_bytes())
    client.force_login(agent)

    with receiver() as port:
        settings.CRM_INBOUND_MAIL_PORT = port
        assert "Answer as the recipient" in client.get(reverse("core:outbox-mail", args=[key])).text
        answered = client.post(reverse("core:outbox-reply", args=[key]), {"text": "The green one."}, follow=True)

    assert "Answer sent." in answered.text
    line = Message.objects.get(conversation=talk, author="visitor")
    assert (line.text, line.data["mail"]["is_known"]) == ("The green one.", True)
    shown = client.get(reverse("support:conversation", args=[talk.pk])).text
    assert "by e-mail" in shown
    assert "from another address" not in shown

    settings.CRM_INBOUND_MAIL_PORT = 0
    assert client.post(reverse("core:outbox-reply", args=[key]), {"text": "x"}).status_code == 404
