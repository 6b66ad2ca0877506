"""What the pages of tickets show."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Count, OuterRef, Subquery
from django.utils.functional import Promise

from crm.core.access.roles import may
from crm.core.models import User
from customers.models import Order
from support import context, finding, teams
from support.inbox import ROWS_PER_PAGE, Tab
from support.models import Conversation, ServiceTarget, Ticket, TicketEntry
from support.models.ticket import CHOSEN, WORKED_ON, TicketPriority, TicketState
from support.tickets import TicketMissing, merged_into, survivor_id


@dataclass(frozen=True, slots=True)
class Row:
    """A ticket of the list. due_at: of its next promise, None where none runs. tone: '' while there is time, else warning or danger."""

    ticket: Ticket
    due_at: datetime | None
    tone: str


@dataclass(frozen=True, slots=True)
class TicketsPage:
    state: str
    tabs: list[Tab]
    listing: "Page[Any]"
    rows: list[Row]
    states: list[tuple[str, str | Promise]]
    priorities: list[tuple[int, str | Promise]]
    query: str


def tickets_page(*, viewer: User, now: datetime, state: str = "", number: str = "1", query: str = "") -> TicketsPage:
    """Return the tickets of a state that the viewer may see, urgent and old first. Three queries."""
    state = state if state in TicketState.values else TicketState.OPEN
    seen = teams.tickets_for(viewer)
    counts = dict(seen.order_by().values_list("state").annotate(number=Count("pk")))
    query = query.replace("\x00", " ").strip()[: finding.LONGEST]
    tabs = [Tab(value, label, counts.get(value, 0), value == state and not query) for value, label in TicketState.choices]
    order = ["-solved_at", "-pk"] if state == TicketState.SOLVED else ["-priority", "opened_at", "pk"]
    found = finding.tickets(query=query, viewer=viewer).order_by("-opened_at", "-pk") if query else seen.filter(state=state).order_by(*order)
    running = ServiceTarget.objects.filter(ticket=OuterRef("pk"), met_at=None, due_at__isnull=False).order_by("due_at", "pk")
    found = found.select_related("customer", "assignee", "conversation", "merged_into").annotate(
        next_due=Subquery(running.values("due_at")[:1]), next_warned=Subquery(running.values("warned_at")[:1])
    )
    listing = Paginator(found, ROWS_PER_PAGE).get_page(number)
    return TicketsPage(
        state, tabs, listing, [_row(each, now) for each in listing], [(each.value, each.label) for each in CHOSEN], [*TicketPriority.choices], query
    )


def _row(found: Ticket, now: datetime) -> Row:
    due_at: datetime | None = getattr(found, "next_due", None) if found.state in WORKED_ON else None
    if due_at is None:
        return Row(found, None, "")
    return Row(found, due_at, "danger" if due_at <= now else "warning" if getattr(found, "next_warned", None) else "")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the history. origin: the number of the merged ticket it came from, 0 for the ticket's own."""

    row: TicketEntry
    origin: int


@dataclass(frozen=True, slots=True)
class TicketPage:
    ticket: Ticket
    history: list[Entry]
    merged: list[Ticket]
    orders: list[Order]
    linkable: list[Order]
    candidates: list[Ticket]
    conversations: list[Conversation]
    clocks: list[context.Clock]
    agents: list[User]
    states: list[tuple[str, str | Promise]]
    priorities: list[tuple[int, str | Promise]]
    can_reply: bool
    survivor: int


def ticket_page(*, ticket_id: int, viewer: User, now: datetime) -> TicketPage:
    """Return a ticket with the history of every ticket merged into it, in the order of time. At most 10 queries. Raises TicketMissing."""
    ticket = teams.tickets_for(viewer).select_related("customer", "assignee", "conversation", "team", "merged_into").filter(pk=ticket_id).first()
    if ticket is None:
        raise TicketMissing
    merged = list(teams.tickets_for(viewer).filter(pk__in=merged_into(ticket.pk)).select_related("conversation").order_by("opened_at", "pk"))
    together = [ticket.pk, *(each.pk for each in merged)]
    rows = TicketEntry.objects.filter(ticket__in=together).select_related("by").order_by("at", "pk")
    orders = list(Order.objects.filter(tickets__in=together).distinct().order_by("-placed_at", "-pk"))
    linkable: list[Order] = []
    candidates: list[Ticket] = []
    if ticket.customer_id:
        linked = {order.pk for order in orders}
        linkable = [order for order in Order.objects.filter(customer_id=ticket.customer_id).order_by("-placed_at", "-pk")[:20] if order.pk not in linked]
        same = teams.tickets_for(viewer).filter(customer_id=ticket.customer_id, state__in=WORKED_ON).exclude(pk__in=together)
        candidates = list(same.order_by("-opened_at", "-pk")[:20])
    talks = {each.conversation.pk: each.conversation for each in [ticket, *merged] if each.conversation is not None}
    return TicketPage(
        ticket=ticket,
        history=[Entry(row, 0 if row.ticket_id == ticket.pk else row.ticket_id) for row in rows],
        merged=merged,
        orders=orders,
        linkable=linkable,
        candidates=candidates,
        conversations=list(talks.values()),
        clocks=context.clocks(ServiceTarget.objects.filter(ticket=ticket), now),
        agents=list(teams.staff_for(ticket.team_id)),
        states=[(each.value, each.label) for each in CHOSEN],
        priorities=[*TicketPriority.choices],
        can_reply=may(viewer, "support.reply"),
        survivor=survivor_id(ticket) if ticket.merged_into_id else 0,
    )


@dataclass(frozen=True, slots=True)
class CustomerPanel:
    conversations: list[Conversation]
    tickets: list[Ticket]


def customer_panel(*, customer_id: int, viewer: User) -> CustomerPanel:
    """Return a customer's newest conversations and open tickets that the viewer may see. Two queries."""
    return CustomerPanel(
        list(teams.conversations_for(viewer).filter(customer_id=customer_id).order_by("-last_message_at", "-pk")[:5]),
        list(teams.tickets_for(viewer).filter(customer_id=customer_id, state__in=WORKED_ON).order_by("-opened_at", "-pk")[:5]),
    )
