"""All reads of the segment pages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from babel.dates import format_skeleton
from django.core.cache import cache
from django.core.paginator import Page, Paginator
from django.db import connection
from django.db.models import Avg, Count, F, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from crm.core import charts, formats, panels
from crm.core.access.roles import permissions_of
from crm.core.charts import Chart
from crm.core.errors import NotFound
from crm.core.models import User
from customers.models import ConsentEntry, Customer, Segment, SegmentMembership
from customers.models.consent import Channel, ConsentState, Purpose
from customers.models.scores import RfmGroup
from customers.segmentation import draft, fields, membership, phrases, templates, tree
from customers.segmentation.compile import queryset
from customers.segmentation.fields import contactable
from customers.segmentation.templates import TEMPLATES, Template

PER_PAGE = 50
SAMPLE = 5
TREND_DAYS = 30
# Counting takes milliseconds, but a builder asks at every key.
COUNT_SECONDS = 30
# Fewer than this and one person's answer moves every rate.
TINY = 20


@dataclass(frozen=True, slots=True)
class SegmentLine:
    """One segment in the list. change: members now less members 30 days ago."""

    id: int
    name: str
    description: str
    members: int
    reachable: int
    change: int
    evaluated_at: datetime | None


@dataclass(frozen=True, slots=True)
class SegmentsPage:
    lines: Sequence[SegmentLine]
    templates: Sequence[Template]


@dataclass(frozen=True, slots=True)
class SegmentPage:
    """One segment with a page of its members."""

    segment: Segment
    sentence: str
    problem: str
    members: Page[Customer]
    reachable: int
    entered: int
    left: int
    groups: Chart
    trend: Chart
    list_url: str
    panels: Sequence[panels.PanelLink]


@dataclass(frozen=True, slots=True)
class Drop:
    """Why some of the matched cannot be e-mailed, and how many."""

    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class Preview:
    """Who a rule finds right now. error: why the rule cannot be asked and in which condition, then the rest is empty; node: where, as the API says it."""

    sentence: str = ""
    error: str = ""
    node: str = ""
    matched: int = 0
    everyone: int = 0
    reachable: int = 0
    drops: Sequence[Drop] = ()
    mean_value: Decimal | None = None
    sample: Sequence[Customer] = ()
    warning: str = ""

    @property
    def reachable_share(self) -> float:
        return self.reachable / self.matched if self.matched else 0.0


@dataclass(frozen=True, slots=True)
class FieldGroup:
    label: str
    fields: Sequence[fields.Field]


@dataclass(frozen=True, slots=True)
class BuilderPage:
    """The rule builder. segment: None for a new one."""

    segment: Segment | None
    rules: draft.BranchView
    groups: Sequence[FieldGroup]
    preview: Preview
    templates: Sequence[Template]
    cancel_url: str


def segments_page(*, at: datetime) -> SegmentsPage:
    """Return all segments; three queries for any number of them."""
    since = at - timedelta(days=TREND_DAYS)
    now = SegmentMembership.objects.filter(left_at=None)
    reachable = dict(
        now.filter(customer__in=Customer.objects.filter(contactable(Channel.EMAIL, at)).values("pk")).values_list("segment").annotate(n=Count("pk")).order_by()
    )
    moved = {
        row["segment"]: row["entered"] - row["left"]
        for row in SegmentMembership.objects.filter(Q(entered_at__gte=since) | Q(left_at__gte=since))
        .values("segment")
        .annotate(entered=Count("pk", filter=Q(entered_at__gte=since)), left=Count("pk", filter=Q(left_at__gte=since)))
        .order_by()
    }
    lines = [
        SegmentLine(each.pk, each.name, each.description, each.members_count, reachable.get(each.pk, 0), moved.get(each.pk, 0), each.evaluated_at)
        for each in Segment.objects.order_by("name", "id")
    ]
    return SegmentsPage(lines, TEMPLATES)


def find_segment(segment_id: int) -> Segment:
    segment = Segment.objects.filter(pk=segment_id).first()
    if segment is None:
        raise NotFound
    return segment


def segment_page(*, segment: Segment, number: str | None, viewer: User, at: datetime) -> SegmentPage:
    """Return one segment's page; a rule that no longer parses is told in words and the stored members are shown."""
    sentence = problem = ""
    try:
        sentence = phrases.sentence(tree.parse(segment.rule))
    except tree.RuleInvalid as error:
        problem = error.text
    since = at - timedelta(days=TREND_DAYS)
    people = membership.members(segment_id=segment.pk)
    page = Paginator(people.select_related("portrait"), PER_PAGE).get_page(number)
    page.object_list = list(page.object_list)
    stays = SegmentMembership.objects.filter(segment=segment).aggregate(
        entered=Count("pk", filter=Q(entered_at__gte=since)), left=Count("pk", filter=Q(left_at__gte=since))
    )
    return SegmentPage(
        segment=segment,
        sentence=sentence,
        problem=problem,
        members=page,
        reachable=people.filter(contactable(Channel.EMAIL, at)).count(),
        entered=stays["entered"],
        left=stays["left"],
        groups=_groups(segment.pk),
        trend=_trend(segment, at),
        list_url=f"{reverse('customers:list')}?segment={segment.pk}",
        panels=panels.links("segment", permissions_of(viewer), segment.pk),
    )


def _groups(segment_id: int) -> Chart:
    """Return how the members spread over the RFM groups."""
    members = Customer.objects.filter(memberships__segment_id=segment_id, memberships__left_at=None)
    found = dict(members.order_by().values_list("portrait__rfm_group").annotate(n=Count("pk")))
    rows = [(str(label), found.get(code, 0)) for code, label in RfmGroup.choices if found.get(code)]
    without = sum(count for code, count in found.items() if not code)
    if without:
        rows.append((_("No orders or no portrait yet"), without))
    return charts.bars(rows, title=_("Members by RFM group"))


_SIZES = """
    SELECT day::date, (
        SELECT count(*) FROM customers_segmentmembership m
        WHERE m.segment_id = %(segment)s AND m.entered_at < day + interval '1 day' AND (m.left_at IS NULL OR m.left_at >= day + interval '1 day')
    )
    FROM generate_series(%(first)s::timestamptz, %(last)s::timestamptz, interval '1 day') AS day ORDER BY 1
"""


def _trend(segment: Segment, at: datetime) -> Chart:
    """Return the number of members at the end of each of the last 30 days of the team's zone, as far as there was a segment."""
    today = timezone.localtime(at).replace(hour=0, minute=0, second=0, microsecond=0)
    title = _("Members over 30 days")
    # Before it was made the segment was not empty, it was not there.
    days = min(TREND_DAYS, (today.date() - timezone.localtime(segment.created_at).date()).days + 1)
    if days < 2:
        return Chart("line", title, SafeString(""), _("Made today. The line begins tomorrow."))
    with connection.cursor() as cursor:
        cursor.execute(_SIZES, {"segment": segment.pk, "first": today - timedelta(days=days - 1), "last": today})
        counts = [count for _day, count in cursor.fetchall()]
    # Without the year: thirty days need none, and the axis has little room.
    labels = [format_skeleton("MMMd", (today - timedelta(days=days - 1 - index)).date(), locale=formats.locale()) for index in range(days)]
    return charts.line({_("Members"): counts}, labels=labels, title=title)


def _told(wrong: tree.RuleInvalid) -> str:
    """Return what is wrong and in which condition, counted from one: rules[0].rules[1].value is condition 1.2."""
    place = ".".join(str(int(index) + 1) for index in re.findall(r"rules\[(\d+)\]", wrong.node))
    return _("Condition %(place)s: %(reason)s.") % {"place": place, "reason": wrong.reason} if place else f"{wrong.reason[:1].upper()}{wrong.reason[1:]}"


def builder_page(*, segment: Segment | None, branch: draft.Branch, at: datetime, error: tree.RuleInvalid | None = None) -> BuilderPage:
    """Return the builder with a draft as it stands; its panel counts, or says what is wrong and where."""
    preview, wrong = Preview(), error
    if wrong is None:
        try:
            preview = preview_of(tree.parse(draft.data(branch)), at=at)
        except tree.RuleInvalid as invalid:
            wrong = invalid
    if wrong is not None:
        preview = Preview(error=_told(wrong), node=wrong.node)
    return BuilderPage(
        segment=segment,
        rules=draft.view(branch, error_node=wrong.node if wrong else "", error=wrong.reason if wrong else ""),
        groups=_field_groups(),
        preview=preview,
        templates=TEMPLATES if segment is None else (),
        cancel_url=reverse("segments:detail", args=[segment.pk]) if segment else reverse("segments:list"),
    )


def first_draft(params: Mapping[str, str]) -> tuple[draft.Branch, dict[str, str]]:
    """Return the rule and the name a new segment starts with: a template's, another segment's, or one condition."""
    if (template := templates.find(params.get("template", ""))) is not None:
        return draft.of(template.rule), {"name": str(template.name), "description": str(template.description)}
    copied = params.get("copy", "")
    if copied.isdecimal() and len(copied) <= 18 and (source := Segment.objects.filter(pk=int(copied)).first()) is not None:
        return draft.of(source.rule), {"name": _("%(name)s (copy)") % {"name": source.name}, "description": source.description}
    return draft.Branch(nodes=[draft.Condition()]), {}


def preview_of(rule: tree.Group, *, at: datetime) -> Preview:
    """Return counts, reasons and a sample for a rule; counts of one rule are remembered for half a minute."""
    key = f"segments:preview:{tree.fingerprint(rule)}"
    counts: dict[str, float | int | None] | None = cache.get(key)
    if counts is None:
        counts = _counts(rule, at)
        cache.set(key, counts, COUNT_SECONDS)
    matched, reachable, everyone = int(counts["matched"] or 0), int(counts["reachable"] or 0), int(counts["everyone"] or 0)
    drops = [
        Drop(_("No e-mail address"), int(counts["no_address"] or 0)),
        Drop(_("Withdrawn, bounced or marked as spam"), int(counts["refused"] or 0)),
        Drop(_("Never asked for consent"), matched - reachable - int(counts["no_address"] or 0) - int(counts["refused"] or 0)),
    ]
    mean = counts["mean_value"]
    return Preview(
        sentence=phrases.sentence(rule),
        matched=matched,
        everyone=everyone,
        reachable=reachable,
        drops=[drop for drop in drops if drop.count > 0],
        mean_value=None if mean is None else Decimal(str(mean)),
        sample=list(queryset(rule, at=at).select_related("portrait").order_by(F("portrait__value_365").desc(nulls_last=True), "-id")[:SAMPLE]),
        warning=_warning(matched, everyone, has_rules=bool(rule.rules)),
    )


def _counts(rule: tree.Group, at: datetime) -> dict[str, float | int | None]:
    """Count everything the panel tells in two statements."""
    said = (
        ConsentEntry.objects.filter(purpose=Purpose.MARKETING, channel__in=(Channel.EMAIL, Channel.ANY), recorded_at__lte=at)
        .order_by("customer_id", "-recorded_at", "-id")
        .distinct("customer_id")
    )
    refused = ConsentEntry.objects.filter(pk__in=said.values("pk")).exclude(state=ConsentState.GRANTED)
    reachable = contactable(Channel.EMAIL, at)
    counted = queryset(rule, at=at).aggregate(
        matched=Count("pk"),
        reachable=Count("pk", filter=reachable),
        no_address=Count("pk", filter=Q(email="")),
        refused=Count("pk", filter=~Q(email="") & Q(pk__in=refused.values("customer_id")) & ~reachable),
        mean_value=Avg("portrait__value_365"),
    )
    everyone = cache.get_or_set("segments:everyone", lambda: Customer.objects.people().count(), COUNT_SECONDS)
    mean = counted["mean_value"]
    return counted | {"everyone": everyone, "mean_value": None if mean is None else float(mean)}


def _warning(matched: int, everyone: int, *, has_rules: bool) -> str:
    if not matched:
        return _("Nobody matches.")
    if not has_rules or matched >= everyone > 0:
        return _("This is everyone.")
    if matched < TINY:
        return _("Very few people: results of a campaign to them will say little.")
    return ""


def _field_groups() -> list[FieldGroup]:
    """Return the fields by group, groups in the order they first appear."""
    groups: dict[str, list[fields.Field]] = {}
    for field in fields.everything():
        groups.setdefault(str(field.group), []).append(field)
    return [FieldGroup(label, members) for label, members in groups.items()]
