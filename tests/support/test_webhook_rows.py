"""A webhook's row exists exactly when the change it tells of does, whatever happens in between."""

import os
import signal
import subprocess
import sys
from typing import Any

import pytest
from django.db import transaction

from crm.core import clock
from support import conversations, tickets, webhooks
from support.models import Conversation, Message, Webhook, WebhookDelivery
from tests.factories import SourceFactory
from tests.servers import PROJECT_DIR
from tests.support.conftest import NOW, later

# Changes something and dies at the moment of its commit's first announcement.
_DIES = """
import os, signal, django
django.setup()
from crm.core import clock, events
from support import conversations, tickets
events.deliver = lambda event: os.kill(os.getpid(), signal.SIGKILL)
{change}
"""
_CHANGES = {
    "message.posted": "conversations.post(conversation_id={pk}, author='visitor', text='hello', now=clock.now())",
    "conversation.changed": "conversations.close(conversation_id={pk}, by=None, now=clock.now())",
    "ticket.opened": "tickets.open(subject='lid', conversation_id={pk}, now=clock.now())",
}


@pytest.fixture(autouse=True)
def _look_again() -> Any:
    webhooks.forget()
    yield
    webhooks.forget()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("topic", _CHANGES)
def test_a_process_killed_right_after_its_commit_leaves_the_row(topic: str, child_environment: dict[str, str]) -> None:
    talk = conversations.open(source_id=SourceFactory(name="shop", write_key="wk_rows").pk, visitor_id="a" * 32, now=clock.now())
    Webhook.objects.create(name="erp", url="https://8.8.8.8/")

    script = _DIES.format(change=_CHANGES[topic].format(pk=talk.pk))
    died = subprocess.run([sys.executable, "-c", script], cwd=PROJECT_DIR, env=os.environ | child_environment, capture_output=True, timeout=60, check=False)

    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert topic in WebhookDelivery.objects.values_list("topic", flat=True)


@pytest.mark.django_db
def test_what_is_rolled_back_is_told_to_nobody(talk: Conversation) -> None:
    Webhook.objects.create(name="erp", url="https://8.8.8.8/")

    with transaction.atomic():
        conversations.post(conversation_id=talk.pk, author="visitor", text="hello", now=NOW)
        conversations.close(conversation_id=talk.pk, by=None, now=later(1))
        tickets.open(subject="lid", conversation_id=talk.pk, now=later(2))
        assert WebhookDelivery.objects.count() == 4
        transaction.set_rollback(True)

    assert WebhookDelivery.objects.count() == 0


@pytest.mark.django_db
def test_a_row_that_cannot_be_kept_takes_the_message_back(talk: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    Webhook.objects.create(name="erp", url="https://8.8.8.8/")

    def broken(**_given: object) -> int:
        raise RuntimeError

    monkeypatch.setattr(webhooks, "enqueue", broken)
    with pytest.raises(RuntimeError):
        conversations.post(conversation_id=talk.pk, author="visitor", text="hello", now=NOW)

    assert not Message.objects.exists()
    talk.refresh_from_db()
    assert talk.last_seq == 0


@pytest.mark.django_db
def test_a_repeat_is_told_once(talk: Conversation) -> None:
    Webhook.objects.create(name="erp", url="https://8.8.8.8/")

    for _ in range(2):
        conversations.post(conversation_id=talk.pk, author="visitor", text="hello", client_id="1", now=NOW)

    assert WebhookDelivery.objects.count() == 1


@pytest.mark.django_db
def test_where_nobody_wants_to_be_told_a_line_is_still_one_statement(talk: Conversation, django_assert_num_queries: Any, no_prompt_reply: None) -> None:
    assert not webhooks.wanted()

    # The two others are the savepoint that a test's own transaction makes necessary.
    with django_assert_num_queries(3):
        conversations.post(conversation_id=talk.pk, author="visitor", text="hello", now=NOW)
