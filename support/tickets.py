"""Tickets: the work a chat leaves behind."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_noop

from crm.core import audit
from crm.core.errors import Conflict, CrmError, NotFound
from crm.core.models import User
from support.models import Conversation, Ticket
from support.models.ticket import TicketPriority, TicketState


class TicketMissing(NotFound):
    code = "ticket_missing"
    message = gettext_noop("There is no such ticket.")


class SubjectEmpty(CrmError):
    code = "subject_empty"
    status = 422
    message = gettext_noop("A ticket needs a subject.")


class ChoiceBad(CrmError):
    code = "choice_bad"
    status = 422
    message = gettext_noop("That is not one of the choices.")


class TicketChanged(Conflict):
    code = "ticket_changed"
    message = gettext_noop("The ticket was changed by someone else in the meantime.")


def open(
    *,
    subject: str,
    now: datetime,
    body: str = "",
    priority: int = TicketPriority.NORMAL,
    conversation_id: int | None = None,
    customer_id: int | None = None,
    order_ids: Sequence[int] = (),
    assignee: User | None = None,
    by: User | None = None,
    by_label: str = "",
    is_demo: bool = False,
) -> Ticket:
    """Return a new open ticket; one opened from a conversation takes its customer. Raises SubjectEmpty or ChoiceBad."""
    subject = subject.strip()
    if not subject:
        raise SubjectEmpty
    if priority not in TicketPriority.values:
        raise ChoiceBad
    with transaction.atomic():
        if conversation_id is not None and customer_id is None:
            customer_id = Conversation.objects.values_list("customer_id", flat=True).get(pk=conversation_id)
        ticket = Ticket.objects.create(
            subject=subject[:200],
            body=body.strip()[:20_000],
            priority=priority,
            conversation_id=conversation_id,
            customer_id=customer_id,
            assignee=assignee,
            opened_at=now,
            is_demo=is_demo,
        )
        ticket.orders.set(order_ids)
        audit.record(actor=by, actor_label=by_label, action="ticket.open", target=ticket)
        return ticket


def change(
    *,
    ticket_id: int,
    now: datetime,
    state: str | None = None,
    priority: int | None = None,
    assignee: User | None = None,
    subject: str | None = None,
    seen_version: int | None = None,
    by: User | None = None,
    by_label: str = "",
) -> Ticket:
    """Change what is given and return the ticket; None leaves a value as it is.

    seen_version: refuse with TicketChanged when the ticket has moved on since. Raises TicketMissing, ChoiceBad,
    SubjectEmpty.
    """
    if (state is not None and state not in TicketState.values) or (priority is not None and priority not in TicketPriority.values):
        raise ChoiceBad
    with transaction.atomic():
        ticket = Ticket.objects.select_for_update(of=("self",)).filter(pk=ticket_id).first()
        if ticket is None:
            raise TicketMissing
        if seen_version is not None and ticket.version != seen_version:
            raise TicketChanged(version=ticket.version)
        before = {"state": ticket.state, "priority": ticket.priority, "assignee": ticket.assignee_id}
        if state is not None and state != ticket.state:
            ticket.state, ticket.solved_at = state, now if state == TicketState.SOLVED else None
        if priority is not None:
            ticket.priority = priority
        if assignee is not None:
            ticket.assignee = assignee
        if subject is not None:
            if not subject.strip():
                raise SubjectEmpty
            ticket.subject = subject.strip()[:200]
        ticket.version += 1
        ticket.save()
        after = {"state": ticket.state, "priority": ticket.priority, "assignee": ticket.assignee_id}
        changed: dict[str, object] = {name: [before[name], after[name]] for name in after if before[name] != after[name]}
        audit.record(actor=by, actor_label=by_label, action="ticket.change", target=ticket, data=changed)
        return ticket
