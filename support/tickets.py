"""Tickets: the work a chat leaves behind. Every change is one line of the ticket's history; merging can be undone."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_noop

from crm.core import audit
from crm.core.errors import Conflict, CrmError, NotFound
from crm.core.events import publish
from crm.core.models import User
from customers.models import Order
from support.events import TicketChanged as TicketChangedEvent
from support.models import Conversation, TeamSource, Ticket, TicketEntry
from support.models.ticket import CHOSEN, EntryKind, TicketPriority, TicketState

LONGEST_BODY = 20_000
# A ticket merged into one that is merged itself and so on; more is a mistake in the data.
DEEPEST = 20


class TicketMissing(NotFound):
    code = "ticket_missing"
    message = gettext_noop("There is no such ticket.")


class SubjectEmpty(CrmError):
    code = "subject_empty"
    status = 422
    message = gettext_noop("A ticket needs a subject.")


class CommentEmpty(CrmError):
    code = "comment_empty"
    status = 422
    message = gettext_noop("A comment needs at least one visible character.")


class ChoiceBad(CrmError):
    code = "choice_bad"
    status = 422
    message = gettext_noop("That is not one of the choices.")


class TicketChanged(Conflict):
    code = "ticket_changed"
    message = gettext_noop("The ticket was changed by someone else in the meantime.")


class MergeBad(CrmError):
    code = "merge_bad"
    status = 422
    message = gettext_noop("These two tickets cannot be merged: they are the same, or one already goes on in the other.")


def open(
    *,
    subject: str,
    now: datetime,
    body: str = "",
    priority: int = TicketPriority.NORMAL,
    state: str = TicketState.OPEN,
    conversation_id: int | None = None,
    customer_id: int | None = None,
    order_ids: Sequence[int] = (),
    assignee: User | None = None,
    team_id: int | None = None,
    by: User | None = None,
    by_label: str = "",
    is_demo: bool = False,
) -> Ticket:
    """Return a new ticket; one opened from a conversation takes its customer and team, another the team of its customer's shop.

    Raises SubjectEmpty or ChoiceBad.
    """
    subject = _clean(subject)
    if not subject:
        raise SubjectEmpty
    if isinstance(priority, bool) or priority not in TicketPriority.values or state not in CHOSEN:
        raise ChoiceBad
    with transaction.atomic():
        if conversation_id is not None:
            talk = Conversation.objects.only("customer", "team").get(pk=conversation_id)
            customer_id, team_id = customer_id or talk.customer_id, team_id or talk.team_id
        elif team_id is None and customer_id is not None:
            team_id = TeamSource.objects.filter(source__customers=customer_id).values_list("team_id", flat=True).first()
        ticket = Ticket.objects.create(
            subject=subject[:200],
            body=_clean(body)[:LONGEST_BODY],
            priority=priority,
            state=state,
            conversation_id=conversation_id,
            customer_id=customer_id,
            assignee=assignee,
            team_id=team_id,
            opened_at=now,
            solved_at=now if state == TicketState.SOLVED else None,
            is_demo=is_demo,
        )
        if order_ids:
            ticket.orders.set(_own_orders(ticket, order_ids))
        audit.record(actor=by, actor_label=by_label, action="ticket.open", target=ticket)
        publish(TicketChangedEvent(ticket.pk, now, "open"))
        return ticket


def change(
    *,
    ticket_id: int,
    now: datetime,
    state: str | None = None,
    priority: int | None = None,
    assignee: User | None = None,
    unassign: bool = False,
    subject: str | None = None,
    body: str | None = None,
    seen_version: int | None = None,
    by: User | None = None,
    by_label: str = "",
) -> Ticket:
    """Change what is given and return the ticket; None leaves a value as it is.

    seen_version: refuse with TicketChanged when the ticket has moved on since. Raises TicketMissing, ChoiceBad,
    SubjectEmpty. A merged ticket is not changed any more: ChoiceBad.
    """
    if (state is not None and state not in CHOSEN) or (priority is not None and (isinstance(priority, bool) or priority not in TicketPriority.values)):
        raise ChoiceBad
    with transaction.atomic():
        ticket = locked(ticket_id)
        if seen_version is not None and ticket.version != seen_version:
            raise TicketChanged(version=ticket.version)
        if ticket.state == TicketState.MERGED:
            raise ChoiceBad
        before = {"state": ticket.state, "priority": ticket.priority, "assignee": ticket.assignee_id}
        if state is not None and state != ticket.state:
            ticket.state, ticket.solved_at = state, now if state == TicketState.SOLVED else None
        if priority is not None:
            ticket.priority = priority
        if assignee is not None or unassign:
            ticket.assignee = None if unassign else assignee
        if subject is not None:
            if not _clean(subject):
                raise SubjectEmpty
            ticket.subject = _clean(subject)[:200]
        if body is not None:
            ticket.body = _clean(body)[:LONGEST_BODY]
        ticket.version += 1
        ticket.save()
        after = {"state": ticket.state, "priority": ticket.priority, "assignee": ticket.assignee_id}
        changed: dict[str, object] = {name: [before[name], after[name]] for name in after if before[name] != after[name]}
        _enter(ticket, [(EntryKind(name), {"from": before[name], "to": after[name]}) for name in changed], by, now)
        audit.record(actor=by, actor_label=by_label, action="ticket.change", target=ticket, data=changed)
        publish(TicketChangedEvent(ticket.pk, now, "change"))
        return ticket


def comment(*, ticket_id: int, text: str, by: User | None, now: datetime, by_label: str = "") -> TicketEntry:
    """Write into the history of the ticket, or of the one it was merged into if that is still of its team.

    Raises CommentEmpty or TicketMissing.
    """
    text = _clean(text)[:LONGEST_BODY]
    if not text:
        raise CommentEmpty
    with transaction.atomic():
        ticket = locked(ticket_id)
        if ticket.merged_into_id is not None:
            goes_on = locked(survivor_id(ticket))
            # The chats of the two may have gone to two teams since; what one writes is not for the other.
            ticket = goes_on if goes_on.team_id == ticket.team_id else ticket
        entry = TicketEntry.objects.create(ticket=ticket, kind=EntryKind.COMMENT, text=text, by=by, at=now)
        ticket.version += 1
        ticket.save(update_fields=["version", "updated_at"])
        audit.record(actor=by, actor_label=by_label, action="ticket.comment", target=ticket)
        publish(TicketChangedEvent(ticket.pk, now, "comment"))
        return entry


def link_order(*, ticket_id: int, order_id: int, by: User, now: datetime, unlink: bool = False) -> Ticket:
    """Put an order of the ticket's customer beside it, or take it away, from the tickets merged into it too, whose orders it shows.

    Raises ChoiceBad for anybody else's order, and for one to take away that is not there.
    """
    with transaction.atomic():
        ticket = locked(ticket_id)
        if unlink:
            links = Ticket.orders.through.objects.filter(ticket__in=[ticket.pk, *merged_into(ticket.pk)], order=order_id)
            if not links.delete()[0]:
                raise ChoiceBad
        else:
            found = _own_orders(ticket, [order_id])
            ticket.orders.add(*found)
        _enter(ticket, [(EntryKind.ORDER, {"from" if unlink else "to": order_id})], by, now)
        audit.record(actor=by, action="ticket.order", target=ticket, data={"order": order_id, "unlink": unlink})
        return ticket


def merge(*, ticket_id: int, into_id: int, by: User, now: datetime) -> Ticket:
    """Let the ticket go on in another and return that one. Nothing is copied, so `unmerge` loses nothing.

    Raises MergeBad where they are the same or the other already goes on in this one, TicketMissing.
    """
    with transaction.atomic():
        first, second = sorted((ticket_id, into_id))
        rows = {first: locked(first), second: locked(second)} if first != second else {}
        if not rows:
            raise MergeBad
        gone = rows[ticket_id]
        kept = rows[into_id]
        if kept.merged_into_id is not None:
            kept = locked(survivor_id(kept))
        if gone.merged_into_id is not None or kept.pk == gone.pk or gone.team_id != kept.team_id:
            raise MergeBad
        gone.state_before_merge, gone.state, gone.merged_into = gone.state, TicketState.MERGED, kept
        gone.version += 1
        gone.save(update_fields=["state_before_merge", "state", "merged_into", "version", "updated_at"])
        # Its own history says so too: its clocks stand still from here.
        _enter(gone, [(EntryKind.STATE, {"from": gone.state_before_merge, "to": gone.state})], by, now)
        _enter(kept, [(EntryKind.MERGE, {"ticket": gone.pk})], by, now)
        audit.record(actor=by, action="ticket.merge", target=gone, data={"into": kept.pk})
        publish(TicketChangedEvent(gone.pk, now, "merge"))
        publish(TicketChangedEvent(kept.pk, now, "merge"))
        return kept


def unmerge(*, ticket_id: int, by: User, now: datetime) -> Ticket:
    """Take a merged ticket out again as it was. Raises MergeBad for one that is not merged."""
    with transaction.atomic():
        gone = locked(ticket_id)
        kept = gone.merged_into
        if kept is None:
            raise MergeBad
        gone.state, gone.state_before_merge, gone.merged_into = gone.state_before_merge or TicketState.OPEN, "", None
        gone.version += 1
        gone.save(update_fields=["state_before_merge", "state", "merged_into", "version", "updated_at"])
        _enter(gone, [(EntryKind.STATE, {"from": TicketState.MERGED, "to": gone.state})], by, now)
        _enter(kept, [(EntryKind.UNMERGE, {"ticket": gone.pk})], by, now)
        audit.record(actor=by, action="ticket.unmerge", target=gone, data={"from": kept.pk})
        publish(TicketChangedEvent(gone.pk, now, "unmerge"))
        publish(TicketChangedEvent(kept.pk, now, "unmerge"))
        return gone


def survivor_id(ticket: Ticket) -> int:
    """Return the number of the ticket this one goes on in, its own where it is not merged. One query per step."""
    current = ticket
    for _ in range(DEEPEST):
        if current.merged_into_id is None:
            break
        current = Ticket.objects.only("pk", "merged_into").get(pk=current.merged_into_id)
    return current.pk


def merged_into(ticket_id: int) -> list[int]:
    """Return the numbers of all tickets that go on in this one, at any depth. One query per level."""
    found: list[int] = []
    level = [ticket_id]
    while level and len(found) < 1000:
        level = list(Ticket.objects.filter(merged_into__in=level).exclude(pk__in=found).order_by("pk").values_list("pk", flat=True))
        found += level
    return found


def locked(ticket_id: int) -> Ticket:
    """Return the ticket with its row locked to the end of the transaction. Raises TicketMissing."""
    ticket = Ticket.objects.select_for_update(of=("self",)).filter(pk=ticket_id).first()
    if ticket is None:
        raise TicketMissing
    return ticket


def _own_orders(ticket: Ticket, order_ids: Sequence[int]) -> list[Order]:
    found = list(Order.objects.filter(pk__in=order_ids, customer_id=ticket.customer_id)) if ticket.customer_id else []
    if len(found) != len(set(order_ids)):
        raise ChoiceBad
    return found


def _enter(ticket: Ticket, lines: Sequence[tuple[EntryKind, dict[str, object]]], by: User | None, now: datetime) -> None:
    TicketEntry.objects.bulk_create([TicketEntry(ticket=ticket, kind=kind, data=data, by=by, at=now) for kind, data in lines])


def _clean(text: str) -> str:
    return text.replace("\x00", "").encode("utf-8", "ignore").decode("utf-8").strip()
