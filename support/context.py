"""What the console shows beside a thread: who writes, what they bought, what was promised, and what can be set."""

from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse
from django.utils.functional import Promise

from crm.core import panels
from crm.core.access.roles import may, permissions_of
from crm.core.models import User
from customers import portrait_words
from customers.models import Order, Portrait
from support import conversations, macros, teams
from support.models import Conversation, Macro, ServiceTarget, Tag, Team, Ticket
from support.models.conversation import ConversationState, Priority
from support.models.ticket import TicketPriority


@dataclass(frozen=True, slots=True)
class Clock:
    """One promise: by when, and how it stands. tone: success, warning, danger or neutral."""

    label: str
    due_at: datetime | None
    met_at: datetime | None
    tone: str
    is_paused: bool


@dataclass(frozen=True, slots=True)
class SidePanel:
    title: str | Promise
    url: str
    id: str


@dataclass(frozen=True, slots=True)
class AboutPage:
    """reasons: why the customer is where they are, at most three sentences."""

    conversation: Conversation
    portrait: Portrait | None
    reasons: list[str]
    orders: list[Order]
    earlier: list[Conversation]
    tickets: list[Ticket]
    tags: list[Tag]
    known_tags: list[str]
    agents: list[User]
    teams: list[Team]
    clocks: list[Clock]
    panels: list[SidePanel]
    priorities: list[tuple[int, str | Promise]]
    is_open: bool
    can_reply: bool


def about_page(*, conversation_id: int, viewer: User, now: datetime) -> AboutPage:
    """Return what is known about the conversation's visitor. At most 10 queries. Raises ConversationMissing."""
    found = teams.conversations_for(viewer).select_related("customer__portrait", "agent", "source", "team").filter(pk=conversation_id).first()
    if found is None:
        raise conversations.ConversationMissing
    seen = teams.conversations_for(viewer)
    if found.customer_id is None:
        same = seen.filter(source_id=found.source_id, visitor_id=found.visitor_id, is_verified=False)
    else:
        same = seen.filter(customer_id=found.customer_id)
    portrait = getattr(found.customer, "portrait", None) if found.customer else None
    orders = list(Order.objects.filter(customer_id=found.customer_id).order_by("-placed_at", "-pk")[:5]) if found.customer_id else []
    return AboutPage(
        conversation=found,
        portrait=portrait,
        reasons=[reason.text for reason in portrait_words.words(portrait).stage[:3]] if portrait else [],
        orders=orders,
        earlier=list(same.exclude(pk=found.pk).order_by("-last_message_at", "-pk")[:5]),
        tickets=list(teams.tickets_for(viewer).filter(conversation=found).select_related("assignee").order_by("-opened_at", "-pk")[:10]),
        tags=list(found.tags.all()),
        known_tags=list(Tag.objects.order_by("name").values_list("name", flat=True)[:200]),
        agents=list(teams.staff_for(found.team_id)),
        teams=list(teams.mine(viewer)),
        clocks=clocks(ServiceTarget.objects.filter(conversation=found).select_related("policy"), now),
        panels=_panels(found, viewer),
        priorities=list(Priority.choices),
        is_open=found.state != ConversationState.CLOSED,
        can_reply=may(viewer, "support.reply"),
    )


def clocks(targets: "object", now: datetime) -> list[Clock]:
    """Return the promises of a conversation or ticket as words and tones. One query."""
    return [_clock(target, now) for target in targets.order_by("aim")]  # type: ignore[attr-defined]


def _clock(target: ServiceTarget, now: datetime) -> Clock:
    tone = "neutral"
    if target.breached_at:
        tone = "danger"
    elif target.met_at:
        tone = "success"
    elif target.warned_at or (target.due_at and target.due_at <= now):
        tone = "warning"
    return Clock(str(target.get_aim_display()), target.due_at, target.met_at, tone, target.due_at is None and target.met_at is None)


def _panels(found: Conversation, viewer: User) -> list[SidePanel]:
    """Return what the other parts of the house show about the customer, each loading by itself."""
    if found.customer_id is None:
        return []
    shown = [panel for panel in panels.for_slot("customer.side", permissions_of(viewer)) if panel.url_name != "support:customer-panel"]
    return [SidePanel(panel.title, reverse(panel.url_name, args=[found.customer_id]), f"side-{number}") for number, panel in enumerate(shown)]


@dataclass(frozen=True, slots=True)
class Tools:
    """What the composer's menu offers in this conversation."""

    conversation_id: int
    macros: list[Macro]
    colleagues: list[User]
    priorities: list[tuple[int, str | Promise]]


def tools_page(*, conversation_id: int, viewer: User) -> Tools:
    """Return macros and colleagues. Three queries. Raises ConversationMissing."""
    found = teams.conversations_for(viewer).filter(pk=conversation_id).only("pk", "team").first()
    if found is None:
        raise conversations.ConversationMissing
    return Tools(
        found.pk, list(macros.visible_to(viewer)), [user for user in teams.staff_for(found.team_id) if user.pk != viewer.pk], list(TicketPriority.choices)
    )
