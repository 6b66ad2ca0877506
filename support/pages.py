"""Everything the chat's pages show, read here and nowhere else; each function says what it costs in queries."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core.paginator import Page, Paginator
from django.db.models import Case, Count, F, IntegerField, Prefetch, Q, QuerySet, Value, When
from django.db.models.expressions import Combinable
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _

from crm.core.access.roles import may
from crm.core.models import Source, User
from crm.core.models.people import Role
from customers.models import Order, Portrait
from support import conversations, intents, knowledge, labels
from support.language import html_lang
from support.models import Conversation, IntentExample, Message, Ticket
from support.models.conversation import Author, ConversationState
from support.models.labels import OUT_OF_SCOPE
from support.models.ticket import TicketPriority, TicketState

ROWS_PER_PAGE = 50
# Messages a page opens with; older ones are one click away.
THREAD_TAIL = 200
# Waiting times that turn amber, then red; a visitor's patience in live chat is measured in minutes.
SLOW, LATE = timedelta(minutes=5), timedelta(minutes=15)
# In their own words, for the visitor's switch.
_OWN_NAMES = {"en": "EN", "zh-hans": "中文"}
# In the reader's words, for staff.
_LANGUAGE_NAMES: dict[str, str | Promise] = {"en": _("English"), "zh-hans": _("Simplified Chinese")}


# ---- The visitor's pages -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LanguageChoice:
    code: str
    html_lang: str
    name: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class Score:
    value: int
    word: str


@dataclass(frozen=True, slots=True)
class WidgetPage:
    """words: what chat-widget.js says, in the page's language."""

    key: str
    shop: str
    colour: str
    origins: str
    html_lang: str
    languages: list[LanguageChoice]
    scores: list[Score]
    words: dict[str, str]


def widget_page(*, source: Source, language: str, origins: list[str]) -> WidgetPage:
    """Return the widget's page in the active language. Runs no query."""
    words = {
        "assistant": gettext("Assistant"),
        "automatic": gettext("Automatic assistant"),
        "agent": gettext("A colleague of the shop"),
        "person": gettext("{name}, a person"),
        "you": gettext("You"),
        "joined": gettext("{name} is here now."),
        "queued": gettext("A person will be with you soon"),
        "closed": gettext("This conversation was closed."),
        "reopened": gettext("This conversation was opened again."),
        "source": gettext("Source:"),
        "version": gettext("version {n}"),
        "none": gettext("None of these"),
        "sending": gettext("Sending…"),
        "waiting": gettext("Not sent yet, trying again…"),
        "failed": gettext("Not sent"),
        "retry": gettext("Try again"),
        "sent": gettext("Sent"),
        "delivered": gettext("Delivered"),
        "read": gettext("Read"),
        "typing": gettext("Typing…"),
        "thanks": gettext("Thank you for the rating."),
        "refused": gettext("This chat cannot be used on this website."),
        "text_too_long": gettext("too long"),
        "too_fast": gettext("too many messages at once"),
    }
    choices = [LanguageChoice(code, html_lang(code), name, code == language) for code, name in _OWN_NAMES.items()]
    scores = [gettext("Very bad"), gettext("Bad"), gettext("Okay"), gettext("Good"), gettext("Very good")]
    return WidgetPage(
        key=source.write_key,
        shop=source.name,
        colour=source.brand_colour,
        origins=" ".join(origins),
        html_lang=html_lang(language),
        languages=choices,
        scores=[Score(value, word) for value, word in enumerate(scores, start=1)],
        words=words,
    )


@dataclass(frozen=True, slots=True)
class ArticlePage:
    title: str
    body: SafeString
    version: int
    updated_at: datetime
    html_lang: str


def article_page(*, slug: str, language: str) -> ArticlePage:
    """Return a published article for the public. Raises ArticleMissing. Runs one query."""
    text = knowledge.page_text(slug=slug, language=language)
    return ArticlePage(text.title, knowledge.as_html(text.body), text.version, text.article.updated_at, html_lang(text.language))


# ---- The inbox -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tab:
    name: str
    label: str | Promise
    count: int
    is_current: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation of the list. tone: '' while the wait is short, else warning or danger."""

    pk: int
    name: str
    last_line: str
    last_author: str
    at: datetime
    waiting_since: datetime | None
    waited_seconds: float
    tone: str
    language: str | Promise
    intent: str
    state: str
    state_label: str | Promise
    agent: str
    unread: int
    is_current: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One message as staff sees it. author: as in the styles, with 'note' for private notes."""

    pk: int
    seq: int
    client_id: str
    author: str
    name: str | Promise
    text: str
    kind: str
    at: datetime
    choices: list[str]
    source_title: str
    source_url: str
    source_version: str
    intent: str
    intent_name: str
    confidence: float | None
    in_scope: bool | None
    label: str
    label_name: str
    can_label: bool
    is_discarded: bool
    is_read: bool


@dataclass(frozen=True, slots=True)
class Context:
    """Who the visitor is, as far as that is known."""

    conversation: Conversation
    portrait: Portrait | None
    orders: list[Order]
    earlier: list[Conversation]
    tickets: list[Ticket]


@dataclass(frozen=True, slots=True)
class Thread:
    conversation: Conversation
    name: str
    lines: list[Line]
    upto: int
    has_earlier: bool
    agents: list[User]
    labels: list[tuple[str, str]]
    context: Context
    is_mine: bool
    is_open: bool
    can_reply: bool
    visitor_language: str | Promise


@dataclass(frozen=True, slots=True)
class InboxPage:
    tab: str
    tabs: list[Tab]
    rows: list[Row]
    listing: "Page[Conversation]"
    thread: Thread | None
    waiting: int


def inbox_page(*, viewer: User, now: datetime, tab: str = "", number: str = "1", conversation_id: int | None = None) -> InboxPage:
    """Return the console: list, and the thread where one is chosen. At most 9 queries. Raises ConversationMissing."""
    counts = tab_counts(viewer)
    if tab not in _TABS:
        tab = "mine" if counts["mine"] else "unassigned" if counts["unassigned"] else "all"
    thread = thread_of(conversation_id=conversation_id, viewer=viewer) if conversation_id is not None else None
    paginator = Paginator(_listed(tab, viewer), ROWS_PER_PAGE)
    # Counted with the other tabs already; asking again would cost a query.
    paginator.count = counts[tab]
    listing = paginator.get_page(number)
    return InboxPage(
        tab=tab,
        tabs=[Tab(name, label, counts[name], name == tab) for name, label in _TABS.items()],
        rows=[_row(found, now, conversation_id) for found in listing],
        listing=listing,
        thread=thread,
        waiting=counts["waiting"],
    )


_TABS: dict[str, str | Promise] = {"mine": _("Mine"), "unassigned": _("Unassigned"), "all": _("All"), "closed": _("Closed")}
_OPEN = Q(state__in=conversations.OPEN_STATES)


def tab_counts(viewer: User) -> dict[str, int]:
    """Return how many conversations each tab holds, and how many wait for an answer by this person. One query."""
    mine = _OPEN & Q(agent=viewer)
    return Conversation.objects.aggregate(
        mine=Count("pk", filter=mine),
        unassigned=Count("pk", filter=Q(state=ConversationState.QUEUED)),
        all=Count("pk", filter=_OPEN),
        closed=Count("pk", filter=Q(state=ConversationState.CLOSED)),
        waiting=Count("pk", filter=Q(waiting_since__isnull=False) & (Q(state=ConversationState.QUEUED) | Q(state=ConversationState.ASSIGNED, agent=viewer))),
    )


def _listed(tab: str, viewer: User) -> "QuerySet[Conversation]":
    found = Conversation.objects.select_related("customer", "agent")
    # Whoever waits longest comes first; conversations in which nobody waits follow, newest first.
    waiting_first: list[str | Combinable] = [F("waiting_since").asc(nulls_last=True), "-last_message_at", "-pk"]
    match tab:
        case "mine":
            snoozed_last = Case(When(state=ConversationState.SNOOZED, then=Value(1)), default=Value(0), output_field=IntegerField())
            return found.filter(_OPEN, agent=viewer).order_by(snoozed_last, *waiting_first)
        case "unassigned":
            return found.filter(state=ConversationState.QUEUED).order_by(*waiting_first)
        case "closed":
            return found.filter(state=ConversationState.CLOSED).order_by("-closed_at", "-pk")
    return found.filter(_OPEN).order_by("-last_message_at", "-pk")


def _row(found: Conversation, now: datetime, current_id: int | None) -> Row:
    waited = now - found.waiting_since if found.waiting_since else timedelta()
    return Row(
        pk=found.pk,
        name=_name(found),
        last_line=found.last_line,
        last_author=found.last_author,
        at=found.last_message_at,
        waiting_since=found.waiting_since,
        waited_seconds=waited.total_seconds(),
        tone="danger" if waited > LATE else "warning" if waited > SLOW else "",
        language=_LANGUAGE_NAMES.get(found.language, found.language),
        intent=intents.name(found.intent, get_language() or "en") if found.intent else "",
        state=found.state,
        state_label=ConversationState(found.state).label,
        agent=str(found.agent) if found.agent else "",
        unread=max(0, found.last_seq - found.agent_read_seq) if found.last_author == Author.VISITOR else 0,
        is_current=found.pk == current_id,
    )


def _name(found: Conversation) -> str:
    if found.customer is not None and found.is_verified:
        return str(found.customer)
    return found.visitor_name or (str(found.customer) if found.customer else gettext("Visitor {id}").format(id=found.pk))


def thread_of(*, conversation_id: int, viewer: User) -> Thread:
    """Return a conversation with its messages and what is known of its visitor. At most 7 queries."""
    found = (
        Conversation.objects.select_related("customer__portrait", "agent", "source")
        .prefetch_related(Prefetch("tickets", Ticket.objects.select_related("assignee").order_by("-opened_at", "-pk")))
        .filter(pk=conversation_id)
        .first()
    )
    if found is None:
        raise conversations.ConversationMissing
    start = max(0, found.last_seq - THREAD_TAIL)
    rows = conversations.since(conversation_id=found.pk, after_seq=start, with_notes=True)
    can_label = may(viewer, "support.label")
    return Thread(
        conversation=found,
        name=_name(found),
        lines=_lines(found, rows, can_label),
        upto=rows[-1].seq if rows else 0,
        has_earlier=start > 0,
        agents=list(User.objects.filter(is_active=True, role__in=[Role.AGENT, Role.ADMIN]).order_by("username")),
        labels=intents.choices(get_language() or "en", frozenset(labels.known_labels())) if can_label else [],
        context=_context(found),
        is_mine=found.agent_id == viewer.pk and found.state != ConversationState.CLOSED,
        is_open=found.state != ConversationState.CLOSED,
        can_reply=may(viewer, "support.reply"),
        visitor_language=_LANGUAGE_NAMES.get(found.language, found.language),
    )


@dataclass(frozen=True, slots=True)
class News:
    """The part of a thread above a number, for the console's live update."""

    conversation: Conversation
    lines: list[Line]
    upto: int
    labels: list[tuple[str, str]]
    can_reply: bool = True


def news_of(*, conversation_id: int, after: int, viewer: User) -> News:
    """Return the messages above `after`. Three queries. Raises ConversationMissing."""
    found = Conversation.objects.filter(pk=conversation_id).first()
    if found is None:
        raise conversations.ConversationMissing
    rows = conversations.since(conversation_id=found.pk, after_seq=after, with_notes=True)
    can_label = may(viewer, "support.label")
    shown = intents.choices(get_language() or "en", frozenset(labels.known_labels())) if can_label and any(_asks(row) for row in rows) else []
    return News(found, _lines(found, rows, can_label), rows[-1].seq if rows else after, shown)


def _asks(row: Message) -> bool:
    return row.author == Author.VISITOR and row.kind == "text"


def _lines(found: Conversation, rows: list[Message], can_label: bool) -> list[Line]:
    corrected = set(IntentExample.objects.filter(message__in=rows).values_list("message_id", "label")) if can_label and rows else set()
    label_of = dict(corrected)
    visitor = _name(found) if found.customer_id or found.visitor_name else gettext("Visitor")
    return [_line(found, row, visitor, label_of.get(row.pk, ""), can_label) for row in rows]


def _line(found: Conversation, row: Message, visitor: str, label: str, can_label: bool) -> Line:
    language = get_language() or "en"
    names: dict[str, str | Promise] = {Author.VISITOR: visitor, Author.BOT: _("Assistant"), Author.SYSTEM: "", Author.AGENT: str(row.agent or _("Agent"))}
    judged = row.intent if row.in_scope is not False else OUT_OF_SCOPE if row.intent else ""
    return Line(
        pk=row.pk,
        seq=row.seq,
        client_id=row.client_id,
        author="note" if row.is_note else row.author,
        name=names[row.author],
        text=_system_text(row) if row.author == Author.SYSTEM else row.text,
        kind=row.kind,
        at=row.sent_at,
        choices=[str(choice["name"]) for choice in row.data.get("choices", [])],
        source_title=str(row.data.get("title", "")),
        source_url=str(row.data.get("url", "")),
        source_version=str(row.data.get("version", "")),
        intent=judged,
        intent_name=intents.name(judged, language) if judged else "",
        confidence=row.confidence,
        in_scope=row.in_scope,
        label=label,
        label_name=intents.name(label, language) if label else "",
        can_label=can_label and _asks(row),
        is_discarded=row.reply_state == "discarded",
        is_read=row.author in {Author.AGENT, Author.BOT} and not row.is_note and row.seq <= found.visitor_read_seq,
    )


def _system_text(row: Message) -> str:
    match row.kind:
        case "joined":
            return gettext("{name} took the conversation.").format(name=row.data.get("name", ""))
        case "closed":
            return gettext("This conversation was closed.")
        case "reopened":
            return gettext("This conversation was opened again.")
    return row.text


def _context(found: Conversation) -> Context:
    if found.customer_id is None:
        same = Conversation.objects.filter(source_id=found.source_id, visitor_id=found.visitor_id, is_verified=False)
    else:
        same = Conversation.objects.filter(customer_id=found.customer_id)
    orders = Order.objects.filter(customer_id=found.customer_id).order_by("-placed_at", "-pk")[:5] if found.customer_id else []
    return Context(
        conversation=found,
        portrait=getattr(found.customer, "portrait", None) if found.customer else None,
        orders=list(orders),
        earlier=list(same.exclude(pk=found.pk).order_by("-last_message_at", "-pk")[:5]),
        tickets=list(found.tickets.all()),
    )


# ---- Tickets -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TicketsPage:
    state: str
    tabs: list[Tab]
    listing: "Page[Ticket]"
    states: list[tuple[str, str | Promise]]
    priorities: list[tuple[int, str | Promise]]


def tickets_page(*, state: str = "", number: str = "1") -> TicketsPage:
    """Return the tickets of a state, urgent and old first. Three queries."""
    state = state if state in TicketState.values else TicketState.OPEN
    counts = dict(Ticket.objects.order_by().values_list("state").annotate(number=Count("pk")))
    tabs = [Tab(value, label, counts.get(value, 0), value == state) for value, label in TicketState.choices]
    order = ["-solved_at", "-pk"] if state == TicketState.SOLVED else ["-priority", "opened_at", "pk"]
    found = Ticket.objects.filter(state=state).select_related("customer", "assignee", "conversation").order_by(*order)
    return TicketsPage(state, tabs, Paginator(found, ROWS_PER_PAGE).get_page(number), [*TicketState.choices], [*TicketPriority.choices])


@dataclass(frozen=True, slots=True)
class CustomerPanel:
    conversations: list[Conversation]
    tickets: list[Ticket]


def customer_panel(*, customer_id: int) -> CustomerPanel:
    """Return a customer's newest conversations and open tickets. Two queries."""
    return CustomerPanel(
        list(Conversation.objects.filter(customer_id=customer_id).order_by("-last_message_at", "-pk")[:5]),
        list(Ticket.objects.filter(customer_id=customer_id).exclude(state=TicketState.SOLVED).order_by("-opened_at", "-pk")[:5]),
    )
