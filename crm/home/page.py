"""All reads of the landing page: at most twelve queries, session and account included."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Count, Max, Min, Q
from django.db.models.functions import TruncDate
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from crm.core import charts, formats
from crm.core.charts import Chart
from crm.core.learning import registry
from crm.core.models import Job, ModelVersion
from crm.core.models.jobs import JobState
from crm.core.models.learning import ModelState
from crm.home.figures import PERIOD_DAYS, Kpi, Period, period, sales
from customers.models import Customer, Portrait, QuarantinedEvent
from customers.models.scores import Stage
from support.models import Conversation
from support.models.conversation import ConversationState

# Failures and refused events older than this were seen or do not matter any more.
RECENT_DAYS = 7
AT_RISK_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that waits for a person. tone: danger, warning or info; more: further lines with their own links."""

    icon: str
    tone: str
    title: str
    detail: str
    url: str
    button: str
    more: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class StageCount:
    code: str
    label: str
    count: int
    url: str


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the first-run checklist."""

    title: str
    text: str
    url: str
    action: str
    is_done: bool


@dataclass(frozen=True, slots=True)
class Chats:
    """Conversations now, and those opened on each of the last thirty days."""

    open: int
    queued: int
    since: datetime | None
    opened_per_day: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class HomePage:
    """steps is filled, and everything else empty, while the installation holds no customer."""

    is_empty: bool
    actions: tuple[Action, ...] = ()
    kpis: tuple[Kpi, ...] = ()
    shown: Period | None = None
    funnel: Chart | None = None
    stages: tuple[StageCount, ...] = ()
    portraits_at: datetime | None = None
    steps: tuple[Step, ...] = field(default_factory=tuple)


def home_page(*, permissions: frozenset[str], at: datetime) -> HomePage:
    """Return Home as far as the permissions reach."""
    people = Customer.objects.people().aggregate(
        known=Count("pk"),
        once=Count("pk", filter=Q(orders_count__gte=1)),
        again=Count("pk", filter=Q(orders_count__gte=2)),
        often=Count("pk", filter=Q(orders_count__gte=4)),
    )
    shown = period(at)
    if not people["known"] and not shown.has_orders:
        return HomePage(is_empty=True, steps=tuple(_checklist(permissions)))
    chats = _chats(at) if "support.view" in permissions else None
    stages, portraits_at = _stages()
    kpis = sales(shown)
    if chats is not None:
        kpis.append(
            Kpi(
                label=_("Open conversations"),
                value=formats.compact(chats.open),
                full=formats.number(chats.open),
                better="none",
                note=_("now"),
                spark=charts.sparkline(chats.opened_per_day, title=_("Conversations opened per day")),
                url=_link("support:inbox"),
            )
        )
    return HomePage(
        is_empty=False,
        actions=tuple(_actions(permissions, at, chats)),
        kpis=tuple(kpis),
        shown=shown,
        funnel=charts.funnel(
            [
                (_("People known"), people["known"]),
                (_("Ordered"), people["once"]),
                (_("Ordered again"), people["again"]),
                (_("Ordered four times or more"), people["often"]),
            ],
            title=_("From visitor to regular"),
        ),
        stages=tuple(stages),
        portraits_at=portraits_at,
    )


def _actions(permissions: frozenset[str], at: datetime, chats: Chats | None) -> list[Action]:
    found = [
        _waiting_chats(chats, at) if chats else None,
        _at_risk() if "customers.view" in permissions else None,
        _failed_jobs(at) if "jobs.view" in permissions else None,
        _models() if "models.view" in permissions else None,
        _quarantined(at) if "customers.import" in permissions else None,
    ]
    order = {"danger": 0, "warning": 1, "info": 2}
    return sorted((action for action in found if action), key=lambda action: order[action.tone])


def _chats(at: datetime) -> Chats:
    """Return open and queued conversations, since when the longest waits, and how many were opened per day. One query."""
    first = timezone.localdate(at) - timedelta(days=PERIOD_DAYS - 1)
    is_open, is_queued = ~Q(state=ConversationState.CLOSED), Q(state=ConversationState.QUEUED)
    rows = (
        Conversation.objects.filter(is_open | Q(opened_at__gte=at - timedelta(days=PERIOD_DAYS)))
        .annotate(day=TruncDate("opened_at"))
        .values_list("day")
        .annotate(opened=Count("pk"), open=Count("pk", filter=is_open), queued=Count("pk", filter=is_queued), since=Min("waiting_since", filter=is_queued))
        .order_by("day")
    )
    found = list(rows)
    opened = {day: count for day, count, *_rest in found}
    return Chats(
        open=sum(row[2] for row in found),
        queued=sum(row[3] for row in found),
        since=min((row[4] for row in found if row[4]), default=None),
        opened_per_day=tuple(opened.get(first + timedelta(days=index), 0) for index in range(PERIOD_DAYS)),
    )


def _waiting_chats(chats: Chats, at: datetime) -> Action | None:
    queued = chats.queued
    if not queued:
        return None
    waited = at - chats.since if chats.since else timedelta()
    return Action(
        icon="chat-bubble-left-right",
        tone="danger" if waited > timedelta(minutes=5) else "warning",
        title=ngettext("%(n)s chat waits for a person", "%(n)s chats wait for a person", queued) % {"n": formats.number(queued)},
        detail=_("The longest has waited %(time)s.") % {"time": formats.duration(waited.total_seconds())},
        url=_link("support:inbox"),
        button=_("Open inbox"),
    )


def _at_risk() -> Action | None:
    """The most valuable customers about to be lost: one query for the five and their number."""
    rows = list(
        Portrait.objects.filter(stage=Stage.AT_RISK, customer__merged_into=None, customer__is_anonymous=False, value_365__gt=0)
        .order_by("-value_365", "pk")
        .select_related("customer")
        .only("value_365", "currency", "customer__name", "customer__email", "customer__last_order_at")[:AT_RISK_SHOWN]
    )
    if not rows:
        return None
    return Action(
        icon="heart",
        tone="warning",
        title=_("Valuable customers are slipping away"),
        detail=_("They used to buy and have gone quiet. The most valuable first:"),
        url=_link("customers:list", "?stage=at_risk"),
        button=_("See all at risk"),
        more=tuple(
            (
                str(row.customer),
                _("%(value)s in the next 12 months, last order %(ago)s")
                % {"value": formats.money(row.value_365, row.currency or None), "ago": formats.ago(row.customer.last_order_at)},
                _link("customers:detail", args=[row.customer_id]),
            )
            for row in rows
        ),
    )


def _failed_jobs(at: datetime) -> Action | None:
    failed = list(
        Job.objects.filter(state=JobState.FAILED, finished_at__gte=at - timedelta(days=RECENT_DAYS))
        .order_by("-finished_at", "-id")
        .values_list("id", "title", "finished_at")[:6]
    )
    if not failed:
        return None
    title = _("Jobs failed in the last days") if len(failed) > 1 else _("A job failed")
    return Action(
        icon="exclamation-triangle",
        tone="danger",
        title=title,
        detail=_("Their pages say why and what to do."),
        url=_link("core:jobs", "?state=failed"),
        button=_("See failed jobs"),
        more=tuple((name, formats.ago(finished_at), _link("core:job", args=[job_id])) for job_id, name, finished_at in failed[:3]),
    )


def _models() -> Action | None:
    """Models that do not serve or whose newest training failed. One query."""
    names = [task.name for task in registry.tasks()]
    versions: dict[str, list[tuple[str, int]]] = {name: [] for name in names}
    rows = (
        ModelVersion.objects.filter(task__in=names, state__in=(ModelState.CHAMPION, ModelState.FAILED))
        .order_by("task", "-version")
        .values_list("task", "state", "version")
    )
    for task_name, state, version in rows:
        versions[task_name].append((state, version))
    troubled = []
    for task in registry.tasks():
        champion = next((version for state, version in versions[task.name] if state == ModelState.CHAMPION), None)
        failed = next((version for state, version in versions[task.name] if state == ModelState.FAILED), 0)
        if champion is None:
            troubled.append((str(task.title), _("none serves yet, its simple baseline does"), _link("core:model", args=[task.name])))
        elif failed > champion:
            troubled.append((str(task.title), _("the last training failed, an older version serves"), _link("core:model", args=[task.name])))
    if not troubled:
        return None
    return Action(
        icon="cube",
        tone="info",
        title=ngettext("%(n)s model needs a look", "%(n)s models need a look", len(troubled)) % {"n": len(troubled)},
        detail="",
        url=_link("core:models"),
        button=_("Open models"),
        more=tuple(troubled),
    )


def _quarantined(at: datetime) -> Action | None:
    """Events that could not be taken in lately. One query."""
    counted = QuarantinedEvent.objects.filter(received_at__gte=at - timedelta(days=RECENT_DAYS)).aggregate(n=Count("pk"), newest=Max("received_at"))
    if not counted["n"]:
        return None
    return Action(
        icon="shield-exclamation",
        tone="warning",
        title=ngettext("%(n)s event was refused this week", "%(n)s events were refused this week", counted["n"]) % {"n": formats.number(counted["n"])},
        detail=_("The newest came %(ago)s. Each is kept with its reason, so that the sender can be mended.") % {"ago": formats.ago(counted["newest"])},
        url=_link("admin:customers_quarantinedevent_changelist"),
        button=_("See refused events"),
    )


def _stages() -> tuple[list[StageCount], datetime | None]:
    """Return how many customers are in each stage, in the order of a customer's life. One query."""
    found = {
        stage: (count, newest) for stage, count, newest in Portrait.objects.values_list("stage").annotate(n=Count("pk"), newest=Max("refreshed_at")).order_by()
    }
    counts = [StageCount(code, str(label), found[code][0], _link("customers:list", f"?stage={code}")) for code, label in Stage.choices if code in found]
    return counts, max((newest for _count, newest in found.values()), default=None)


def _checklist(permissions: frozenset[str]) -> list[Step]:
    """What to do first in an installation without customers, as far as the role may."""
    steps = [
        (
            "customers.import",
            _("Bring your orders"),
            _("A CSV or Excel file from any shop system; you see a report before anything is stored."),
            _link("customers:import"),
            _("Import a file"),
        ),
        (
            "settings.edit",
            _("Connect your shop"),
            _("Make a source, and the shop sends visits, orders and reviews by itself."),
            _link("admin:core_source_add"),
            _("Add a source"),
        ),
        (
            "settings.edit",
            _("Invite your team"),
            _("Marketers, analysts and support agents each see what they need."),
            _link("admin:core_user_add"),
            _("Add a person"),
        ),
        ("segments.edit", _("Make a first segment"), _("For example: spent over 500 and silent for 60 days."), _link("segments:list"), _("Open segments")),
    ]
    return [Step(title, text, url, action, is_done=False) for permission, title, text, url, action in steps if permission in permissions and url]


def _link(name: str, query: str = "", args: list[object] | None = None) -> str:
    """Return the address, or '' while no app provides a page of that name."""
    try:
        return reverse(name, args=args) + query
    except NoReverseMatch:
        return ""
