"""The console's list of conversations: views with counts, search, order, and who else is looking."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.postgres.expressions import ArraySubquery
from django.core.paginator import Page, Paginator
from django.db.models import Case, Count, F, IntegerField, Min, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.expressions import Combinable
from django.utils.functional import Promise
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _

from crm.core.models import User
from support import conversations, finding, intents, presence, teams, threads
from support.models import Conversation, DeskState, Mention, ServiceTarget, Tag
from support.models.conversation import Author, ConversationState, Priority
from support.threads import LANGUAGE_NAMES, Thread, name_of

ROWS_PER_PAGE = 50
# Waiting times that turn amber, then red; a visitor's patience in live chat is measured in minutes.
SLOW, LATE = timedelta(minutes=5), timedelta(minutes=15)
TABS: dict[str, str | Promise] = {
    "mine": _("Mine"),
    "unassigned": _("Unassigned"),
    "all": _("All"),
    "snoozed": _("Snoozed"),
    "mentions": _("Mentions"),
    "closed": _("Closed"),
}
SORTS: dict[str, str | Promise] = {"": _("Waiting longest"), "value": _("Value at risk")}
_OPEN = Q(state__in=conversations.OPEN_STATES)
_AWAKE = _OPEN & ~Q(state=ConversationState.SNOOZED)


@dataclass(frozen=True, slots=True)
class Tab:
    name: str
    label: str | Promise
    count: int
    is_current: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation of the list. tone: '' while the wait is short, else warning or danger, with `late` in words."""

    pk: int
    name: str
    last_line: str
    last_author: str
    at: datetime
    waiting_since: datetime | None
    waited_seconds: float
    tone: str
    late: str
    language: str | Promise
    html_lang: str
    intent: str
    state: str
    state_label: str | Promise
    priority: int
    priority_label: str | Promise
    agent: str
    tags: list[str]
    due_at: datetime | None
    due_tone: str
    snoozed_until: datetime | None
    unread: int
    faces: list[presence.Viewer]
    is_current: bool


@dataclass(frozen=True, slots=True)
class InboxPage:
    tab: str
    tabs: list[Tab]
    rows: list[Row]
    listing: "Page[Conversation]"
    thread: Thread | None
    waiting: int
    query: str
    sort: str
    sorts: list[tuple[str, str | Promise]]
    is_available: bool


def inbox_page(
    *, viewer: User, now: datetime, tab: str = "", number: str = "1", conversation_id: int | None = None, query: str = "", sort: str = "", lines: int = 0
) -> InboxPage:
    """Return the console: list, and the thread where one is chosen, with its newest `lines`. At most 10 queries. Raises ConversationMissing."""
    counts = tab_counts(viewer)
    query = query.replace("\x00", " ").strip()[: finding.LONGEST]
    if tab not in TABS:
        tab = "mine" if counts["mine"] else "unassigned" if counts["unassigned"] else "all"
    sort = sort if sort in SORTS else ""
    thread = threads.thread_of(conversation_id=conversation_id, viewer=viewer, now=now, lines=lines) if conversation_id is not None else None
    found = _shown(finding.conversations(query=query, viewer=viewer).order_by("-last_message_at", "-pk") if query else _listed(tab, viewer, sort))
    paginator = Paginator(found, ROWS_PER_PAGE)
    if not query:
        # Counted with the other tabs already; asking again would cost a query.
        paginator.count = counts[tab]
    listing = paginator.get_page(number)
    shown = list(listing.object_list)
    faces = presence.viewers(conversation_ids=[each.pk for each in shown], now=now, besides=viewer) if shown else {}
    return InboxPage(
        tab=tab,
        tabs=[Tab(name, label, counts[name], name == tab and not query) for name, label in TABS.items()],
        rows=[_row(each, now, conversation_id, faces.get(each.pk, [])) for each in shown],
        listing=listing,
        thread=thread,
        waiting=counts["waiting"],
        query=query,
        sort=sort,
        sorts=list(SORTS.items()),
        is_available=DeskState.objects.filter(user=viewer, is_available=True).exists(),
    )


def tab_counts(viewer: User) -> dict[str, int]:
    """Return how many conversations each tab holds and how many wait for an answer by this person. One query."""
    mine = _AWAKE & Q(agent=viewer)
    mentioned = Q(pk__in=Mention.objects.filter(user=viewer, read_at=None).values("message__conversation"))
    return teams.conversations_for(viewer).aggregate(
        mine=Count("pk", filter=mine),
        unassigned=Count("pk", filter=Q(state=ConversationState.QUEUED)),
        all=Count("pk", filter=_AWAKE),
        snoozed=Count("pk", filter=Q(state=ConversationState.SNOOZED)),
        mentions=Count("pk", filter=mentioned),
        closed=Count("pk", filter=Q(state=ConversationState.CLOSED)),
        waiting=Count("pk", filter=Q(waiting_since__isnull=False) & (Q(state=ConversationState.QUEUED) | Q(state=ConversationState.ASSIGNED, agent=viewer))),
    )


def _listed(tab: str, viewer: User, sort: str) -> "QuerySet[Conversation]":
    found = teams.conversations_for(viewer)
    # Whoever waits longest comes first; conversations in which nobody waits follow, newest first.
    order: list[str | Combinable] = [F("waiting_since").asc(nulls_last=True), "-last_message_at", "-pk"]
    if sort == "value":
        at_risk = F("customer__portrait__value_365") * F("customer__portrait__p_churn")
        order = [at_risk.desc(nulls_last=True), *order]
    else:
        # Urgent ones before all others: that is what the word is for.
        order = [Case(When(priority=Priority.URGENT, then=Value(0)), default=Value(1), output_field=IntegerField()), *order]
    match tab:
        case "mine":
            return found.filter(_AWAKE, agent=viewer).order_by(*order)
        case "unassigned":
            return found.filter(state=ConversationState.QUEUED).order_by(*order)
        case "snoozed":
            return found.filter(state=ConversationState.SNOOZED).order_by(F("snoozed_until").asc(nulls_last=True), "-pk")
        case "mentions":
            called = Mention.objects.filter(user=viewer, read_at=None)
            return found.filter(pk__in=called.values("message__conversation")).order_by("-last_message_at", "-pk")
        case "closed":
            return found.filter(state=ConversationState.CLOSED).order_by("-closed_at", "-pk")
    return found.filter(_AWAKE).order_by(*(order if sort else ["-last_message_at", "-pk"]))


def _shown(found: "QuerySet[Conversation]") -> "QuerySet[Conversation]":
    """Add to each row what the list prints, in the same query."""
    running = ServiceTarget.objects.filter(conversation=OuterRef("pk"), met_at=None, due_at__isnull=False).order_by()
    return found.select_related("customer", "agent").annotate(
        tag_names=ArraySubquery(Tag.objects.filter(conversations=OuterRef("pk")).order_by("name").values("name")),
        next_due=Subquery(running.values("conversation").annotate(first=Min("due_at")).values("first")),
    )


def _row(found: Conversation, now: datetime, current_id: int | None, faces: list[presence.Viewer]) -> Row:
    waited = now - found.waiting_since if found.waiting_since else timedelta()
    due_at: datetime | None = getattr(found, "next_due", None)
    if found.state == ConversationState.CLOSED:
        due_at = None
    return Row(
        pk=found.pk,
        name=name_of(found),
        last_line=found.last_line,
        last_author=found.last_author,
        at=found.last_message_at,
        waiting_since=found.waiting_since,
        waited_seconds=waited.total_seconds(),
        tone="danger" if waited > LATE else "warning" if waited > SLOW else "",
        late=gettext("very late") if waited > LATE else gettext("late") if waited > SLOW else "",
        language=LANGUAGE_NAMES.get(found.language, found.language),
        html_lang="zh-Hans" if found.language == "zh-hans" else found.language,
        intent=intents.name(found.intent, get_language() or "en") if found.intent else "",
        state=found.state,
        state_label=ConversationState(found.state).label,
        priority=found.priority,
        priority_label=Priority(found.priority).label,
        agent=str(found.agent) if found.agent else "",
        tags=list(getattr(found, "tag_names", [])),
        due_at=due_at,
        due_tone="" if due_at is None else "danger" if due_at <= now else "warning" if due_at <= now + LATE else "",
        snoozed_until=found.snoozed_until,
        unread=max(0, found.last_seq - found.agent_read_seq) if found.last_author == Author.VISITOR else 0,
        faces=faces,
        is_current=found.pk == current_id,
    )
