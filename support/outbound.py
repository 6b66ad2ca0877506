"""Which events of the house become webhook deliveries. Each listener asks first whether anybody wants to be told.

They are called inside the transaction of the change (crm.core.events.listen_within), under the lock of the conversation
or ticket: deliveries about one of them have its order, and exist exactly when the change does.
"""

from support import webhooks
from support.events import ConversationChanged, MessagePosted, ServiceTargetReached, TicketChanged
from support.models import Conversation, Message, ServiceTarget, Ticket

# Changes partners would not know what to do with.
_SILENT = {"demo", "read", "got", "typing", "email"}


def on_message(event: MessagePosted) -> None:
    """Tell of a message, private notes excepted."""
    if event.is_note or event.cause in _SILENT or not webhooks.wanted():
        return
    message = Message.objects.select_related("conversation").get(pk=event.message_id)
    webhooks.enqueue(topic="message.posted", data=webhooks.message_data(message), source_id=message.conversation.source_id, at=event.at)


def on_conversation(event: ConversationChanged) -> None:
    if event.cause in _SILENT or event.cause.startswith("seen") or not webhooks.wanted():
        return
    talk = Conversation.objects.select_related("customer").get(pk=event.conversation_id)
    webhooks.enqueue(topic="conversation.changed", data=webhooks.conversation_data(talk), source_id=talk.source_id, at=event.at)


def on_ticket(event: TicketChanged) -> None:
    if not webhooks.wanted():
        return
    ticket = Ticket.objects.select_related("customer", "conversation").get(pk=event.ticket_id)
    topic = "ticket.opened" if event.cause == "open" else "ticket.changed"
    webhooks.enqueue(topic=topic, data=webhooks.ticket_data(ticket), source_id=source_of(ticket), at=event.at)


def on_target(event: ServiceTargetReached) -> None:
    if not webhooks.wanted():
        return
    target = ServiceTarget.objects.select_related("conversation", "ticket__conversation", "ticket__customer").get(pk=event.target_id)
    source_id = target.conversation.source_id if target.conversation else source_of(target.ticket) if target.ticket else None
    webhooks.enqueue(topic=f"service.{event.cause}", data=webhooks.target_data(target), source_id=source_id, at=event.at)


def source_of(ticket: Ticket) -> int | None:
    """Return the shop a ticket belongs to: its conversation's, else its customer's."""
    if ticket.conversation is not None:
        return ticket.conversation.source_id
    return ticket.customer.source_id if ticket.customer is not None else None
