"""What follows a committed change: sockets are hinted, an owed answer is enqueued. One line each. Webhooks' rows are written with it."""

from django.db.models.signals import pre_delete

from crm.core.events import listen, listen_within
from crm.core.models import Source
from customers.events import CustomersMerged
from support import live, outbound, webhooks
from support.conversations import SEEN_BY_STAFF
from support.events import ConversationChanged, MessagePosted, ServiceTargetReached, TicketChanged


def connect() -> None:
    """Subscribe; called once from the app's ready()."""
    listen(MessagePosted, hint_message)
    listen(MessagePosted, enqueue_reply)
    listen(ConversationChanged, hint_change)
    listen(ConversationChanged, enqueue_drain)
    listen(CustomersMerged, follow_merge)
    # Rows of their own in the same transaction: no crash can keep a change and lose what partners are told of it.
    listen_within(MessagePosted, outbound.on_message)
    listen_within(ConversationChanged, outbound.on_conversation)
    listen_within(TicketChanged, outbound.on_ticket)
    listen_within(ServiceTargetReached, outbound.on_target)
    pre_delete.connect(webhooks.shop_goes, sender=Source)


def hint_message(event: MessagePosted) -> None:
    if event.cause != "demo":
        live.hint_message(event.conversation_id, event.seq, author=event.author, item=event.item)


def hint_change(event: ConversationChanged) -> None:
    if event.cause != "demo":
        live.hint_change(event.conversation_id, to_inbox=event.cause != SEEN_BY_STAFF)


def enqueue_reply(event: MessagePosted) -> None:
    if event.reply_due:
        from support.tasks import draft_reply

        draft_reply.delay(event.message_id)


# Changes after which somebody may have room, or somebody may wait.
_MAKES_ROOM = frozenset({"bot", "chat", "close", "assign", "team", "wake", "snooze"})


def enqueue_drain(event: ConversationChanged) -> None:
    if event.cause in _MAKES_ROOM:
        from support.tasks import drain_queue

        drain_queue.delay()


def follow_merge(event: CustomersMerged) -> None:
    from support.tasks import follow_merge as task

    task.delay(gone_id=event.gone_id, kept_id=event.kept_id)
