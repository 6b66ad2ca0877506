"""Background work of the chat: drafting replies, and sweeping up those an event missed."""

import threading
from typing import Any

from celery import shared_task
from celery.signals import worker_init, worker_process_init
from django.db import connections

from crm.core import clock
from support import assignment, clusters, conversations, presence, replies, sla, triage, webhooks
from support.mail import sending


@shared_task(name="support.tasks.draft_reply", queue="live")
def draft_reply(message_id: int, **_later: object) -> str:
    """Post the reply owed to one visitor message."""
    return replies.draft(message_id=message_id, now=clock.now())


@shared_task(name="support.tasks.sweep_replies", queue="live")
def sweep_replies(**_later: object) -> int:
    """Draft replies that are overdue and wake snoozed conversations; returns how many replies were looked at."""
    now = clock.now()
    conversations.wake(now=now)
    assignment.drain(now=now)
    overdue = replies.due(now=now)
    for message_id in overdue:
        replies.draft(message_id=message_id, now=clock.now())
    return len(overdue)


@shared_task(name="support.tasks.drain_queue", queue="live")
def drain_queue(**_later: object) -> int:
    """Give waiting conversations to people with room; returns how many were given."""
    return assignment.drain(now=clock.now())


@shared_task(name="support.tasks.sweep_service", queue="default")
def sweep_service(**_later: object) -> dict[str, int]:
    """Compute the promises of what changed again, warn once and say once what was broken; forget who looked at what, end what was answered."""
    now = clock.now()
    followed = sla.catch_up(now=now)
    warned, broken = sla.watch(now=now)
    presence.sweep(now=now)
    conversations.end_answered(now=now)
    return {"followed": followed, "warned": warned, "broken": broken}


@shared_task(name="support.tasks.sweep_webhooks", queue="bulk")
def sweep_webhooks(**_later: object) -> int:
    """Send the webhook deliveries that are due; returns how many were heard."""
    return webhooks.sweep(now=clock.now())


@shared_task(name="support.tasks.mail_visitors", queue="default")
def mail_visitors(**_later: object) -> int:
    """Mail visitors who have left what staff wrote since; returns how many mails the server took."""
    return sending.sweep(now=clock.now())


@shared_task(name="support.tasks.find_question_groups", queue="learning")
def find_question_groups(**_later: object) -> int:
    """Look for groups of questions nobody could answer; returns how many are open."""
    return clusters.find(now=clock.now())


@shared_task(name="support.tasks.follow_merge", queue="default")
def follow_merge(*, gone_id: int, kept_id: int, **_later: object) -> int:
    """Move conversations and tickets of a customer who was joined into another."""
    return conversations.move_customer(gone_id=gone_id, kept_id=kept_id)


# Whether this process, or the one it was forked from, is a worker that drafts replies.
_serves_chat = False


@worker_init.connect
def warm_in_threads(sender: Any = None, **_signal: object) -> None:
    """Load the intent model before the first message, in a worker whose tasks run in its own process."""
    global _serves_chat
    app = getattr(sender, "app", None)
    _serves_chat = app is not None and "live" in app.amqp.queues.consume_from
    if _serves_chat and not _is_forking(sender):
        triage.warm()


@worker_process_init.connect
def warm_in_child(**_signal: object) -> None:
    """The same in each child of a forking worker, whose torch threads do not survive a fork.

    Beside its start: a pool kills a child that does not report within four seconds, and loading may take longer.
    """
    if _serves_chat:
        threading.Thread(target=_warm, name="warm-intents", daemon=True).start()


def _warm() -> None:
    try:
        triage.warm()
    finally:
        connections.close_all()


def _is_forking(worker: Any) -> bool:
    return "prefork" in str(getattr(worker, "pool_cls", "prefork"))
