"""All reads of the campaign pages; each function returns everything its template prints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.paginator import Page, Paginator
from django.db import connection
from django.db.models import Count, F, Q
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from campaigns import attribution, audiences, experiments, facts, merge, preflight
from campaigns.audiences import Audience, Drop
from campaigns.copywriting import LANGUAGES
from campaigns.experiments import Difference, Group
from campaigns.messages import Desk, Message
from campaigns.models import Arm, Campaign, CampaignState, CampaignText, CopyDraft, Delivery, DeliveryState, DraftOutcome, Engagement
from campaigns.preflight import LANGUAGE_NAMES, Finding
from crm.core import charts, formats
from crm.core.charts import Chart
from crm.core.errors import NotFound
from crm.core.models import Job
from crm.core.models.jobs import JobState
from customers import consent
from customers.models import Customer, Segment

PER_PAGE = 25
RECIPIENTS_PER_PAGE = 50
PICKED = 8


@dataclass(frozen=True, slots=True)
class CampaignLine:
    """One campaign in the list. Rates in 0-1 of what was sent, None while nothing was."""

    campaign: Campaign
    sent: int
    open_rate: float | None
    click_rate: float | None
    orders: int


@dataclass(frozen=True, slots=True)
class ListPage:
    """campaigns/list.html. recipes: (name, goal) to start from."""

    lines: tuple[CampaignLine, ...]
    campaigns: "Page[Campaign]"
    filters: list[dict[str, object]]
    is_filtered: bool
    recipes: tuple[tuple[str, str], ...]


def recipes() -> tuple[tuple[str, str], ...]:
    """Return starting points for a first campaign, in the viewer's language."""
    return (
        (_("Win back"), _("Win back customers who have been silent for a while")),
        (_("Second order"), _("Welcome new customers and show them what to order next")),
        (_("Thank you"), _("Thank loyal customers and show them something new")),
    )


def campaign_list(*, state: str = "", query: str = "", number: int = 1) -> ListPage:
    """Return one page of campaigns with their results. Three queries."""
    rows = Campaign.objects.select_related("segment", "job").order_by("-created_at", "-id")
    if state in CampaignState.values:
        rows = rows.filter(state=state)
    if query:
        rows = rows.filter(Q(name__icontains=query) | Q(goal__icontains=query))
    campaigns = Paginator(rows, PER_PAGE).get_page(number)
    counted: dict[int, Any] = {
        row["campaign_id"]: row
        for row in Delivery.objects.filter(campaign_id__in=[campaign.pk for campaign in campaigns], state=DeliveryState.SENT)
        .values("campaign_id")
        .annotate(sent=Count("pk"), opened=Count("opened_at"), clicked=Count("clicked_at"), orders=Count("order", filter=Q(order__placed_at__gte=F("sent_at"))))
        .order_by()
    }
    return ListPage(
        lines=tuple(_line(campaign, counted.get(campaign.pk, {})) for campaign in campaigns),
        campaigns=campaigns,
        filters=[
            {"name": "q", "kind": "search", "label": _("Name or goal"), "value": query},
            {"name": "state", "kind": "select", "label": _("Any state"), "value": state, "choices": CampaignState.choices},
        ],
        is_filtered=bool(state or query),
        recipes=recipes(),
    )


def _line(campaign: Campaign, counts: Mapping[str, Any]) -> CampaignLine:
    sent = counts.get("sent", 0)
    return CampaignLine(
        campaign=campaign,
        sent=sent,
        open_rate=counts["opened"] / sent if sent else None,
        click_rate=counts["clicked"] / sent if sent else None,
        orders=counts.get("orders", 0),
    )


@dataclass(frozen=True, slots=True)
class TextTab:
    """One language in the editor. subject and body as stored, or as typed when a save failed."""

    language: str
    label: str
    subject: str
    body: str
    is_written: bool
    is_model_text: bool
    origin: str
    error: str = ""

    @property
    def html_lang(self) -> str:
        return "zh-Hans" if self.language.startswith("zh") else self.language


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A draft on offer, or blocked with its faults."""

    draft: CopyDraft
    label: str
    html_lang: str
    is_blocked: bool
    is_composed: bool
    faults: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Suggestions:
    """campaigns/edit.html#suggestions. job: the generator at work, None when it is not."""

    campaign_id: int
    job: Job | None
    suggestions: tuple[Suggestion, ...]
    generator: str


@dataclass(frozen=True, slots=True)
class EditorPage:
    """campaigns/edit.html."""

    campaign: Campaign
    segments: tuple[Segment, ...]
    tabs: tuple[TextTab, ...]
    merge_fields: tuple[merge.MergeField, ...]
    suggestions: Suggestions
    conflict: bool = False
    error: str = ""


def editor_page(
    *, campaign_id: int, typed: dict[str, tuple[str, str]] | None = None, errors: dict[str, str] | None = None, conflict: bool = False
) -> EditorPage:
    """Return the editor. Five queries. typed, errors: per language what a failed save held. Raises NotFound."""
    campaign = find(campaign_id)
    stored = {text.language: text for text in campaign.texts.all()}
    return EditorPage(
        campaign=campaign,
        segments=tuple(Segment.objects.order_by("name", "pk")),
        tabs=tuple(_tab(language, stored.get(language), (typed or {}).get(language), (errors or {}).get(language, "")) for language in LANGUAGES),
        merge_fields=tuple(merge.FIELDS.values()),
        suggestions=suggestions(campaign_id=campaign_id),
        conflict=conflict,
    )


def _tab(language: str, stored: CampaignText | None, typed: tuple[str, str] | None, error: str) -> TextTab:
    subject, body = typed or ((stored.subject, stored.body) if stored else ("", ""))
    return TextTab(
        language=language,
        label=str(LANGUAGE_NAMES[language]),
        subject=subject,
        body=body,
        is_written=stored is not None,
        is_model_text=stored is not None and not stored.is_approved,
        origin=stored.origin if stored else "",
        error=error,
    )


def suggestions(*, campaign_id: int) -> Suggestions:
    """Return what the generator has to offer. Two queries."""
    rows = CopyDraft.objects.filter(campaign_id=campaign_id, outcome__in=[DraftOutcome.OFFERED, DraftOutcome.BLOCKED]).order_by("language", "-pk")
    job = Job.objects.filter(kind="campaign.draft", params__campaign_id=campaign_id, state__in=[JobState.WAITING, JobState.RUNNING]).order_by("-pk").first()
    return Suggestions(campaign_id, job, tuple(_suggestion(draft) for draft in rows), settings.CRM_GENERATOR)


def _suggestion(draft: CopyDraft) -> Suggestion:
    return Suggestion(
        draft=draft,
        label=str(LANGUAGE_NAMES.get(draft.language, draft.language)),
        html_lang="zh-Hans" if draft.language.startswith("zh") else draft.language,
        is_blocked=draft.outcome == DraftOutcome.BLOCKED,
        is_composed=draft.origin.startswith("composer:"),
        faults=tuple((str(facts.Fault(fault["code"], fault["text"]).label), str(fault["text"])) for fault in draft.faults),
    )


@dataclass(frozen=True, slots=True)
class AudiencePanel:
    """campaigns/audience.html: matched -> contactable -> after holdout, and the pre-flight list."""

    campaign: Campaign
    audience: Audience
    steps: tuple[tuple[str, int], ...]
    drops: tuple[Drop, ...]
    languages: tuple[tuple[str, int], ...]
    findings: tuple[Finding, ...]
    can_send: bool
    type_name: bool
    at: datetime


def audience_panel(*, campaign: Campaign, at: datetime) -> AudiencePanel:
    """Return who would be reached at `at` and what stands in the way. At most five queries beside the campaign's own."""
    texts = list(campaign.texts.all())
    audience = audiences.plan(campaign=campaign, at=at, languages=[text.language for text in texts if text.is_approved])
    findings = preflight.check(campaign=campaign, audience=audience, texts=texts)
    return AudiencePanel(
        campaign=campaign,
        audience=audience,
        steps=((_("In the segment"), audience.matched), (_("Can be written to"), audience.contactable), (_("After holdout"), audience.to_send)),
        drops=audience.drops,
        languages=tuple((str(LANGUAGE_NAMES.get(language, language)), count) for language, count in audience.by_language if language),
        findings=findings,
        can_send=not any(finding.is_blocking for finding in findings),
        type_name=audience.to_send > settings.CRM_SEND_CONFIRM_ABOVE,
        at=at,
    )


@dataclass(frozen=True, slots=True)
class PreviewPanel:
    """campaigns/preview.html: the message as one customer gets it. problem: why it cannot be shown.

    asked: the language chosen in the form, '' for the customer's own.  language: the one shown.
    """

    campaign: Campaign
    query: str
    found: tuple[Customer, ...]
    customer: Customer | None
    asked: str
    language: str
    languages: tuple[tuple[str, str], ...]
    message: Message | None
    problem: str


def preview_panel(*, campaign_id: int, at: datetime, query: str = "", customer_id: int | None = None, language: str = "") -> PreviewPanel:
    """Return the saved message for a customer of the segment (or anyone found by name). At most ten queries."""
    campaign = find(campaign_id)
    texts = {text.language: text for text in campaign.texts.all()}
    people = Customer.objects.people().exclude(email="")
    if query:
        people = people.filter(Q(name__icontains=query) | Q(email__icontains=query))
    elif campaign.segment_id:
        people = people.in_segment(campaign.segment_id)
    found = tuple(people.only("name", "email", "locale").order_by("-last_seen_at", "-pk")[:PICKED])
    customer = next((one for one in found if one.pk == customer_id), None)
    if customer is None and customer_id is not None:
        customer = Customer.objects.people().filter(pk=customer_id).only("name", "email", "locale").first()
    customer = customer or (found[0] if found else None)
    asked = language if language in texts else ""
    if customer is not None and not asked:
        language = audiences.language_for(customer.locale, list(texts))
    message, problem = None, ""
    if not texts:
        problem = _("Write and save a text first.")
    elif customer is None:
        problem = _("No customer to show it to.")
    else:
        try:
            message = Desk.open(campaign=campaign, customer_ids=[customer.pk], at=at).write(customer_id=customer.pk, language=language, public_id=None)
        except merge.FieldEmpty as error:
            problem = _("This customer would be left out: nothing is known for {{ %(field)s }}.") % {"field": error.data.get("field")}
        except (merge.UnknownField, merge.MalformedField) as error:
            problem = error.text
    names = tuple((code, str(LANGUAGE_NAMES.get(code, code))) for code in LANGUAGES if code in texts)
    return PreviewPanel(campaign, query, found, customer, asked, language, names, message, problem)


@dataclass(frozen=True, slots=True)
class ReasonLine:
    """How many were left out or failed for one reason. state: skipped or failed."""

    label: str | Promise
    state: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class ReportPage:
    """campaigns/report.html."""

    campaign: Campaign
    counts: dict[str, int]
    kpis: tuple[dict[str, object], ...]
    funnel: Chart
    lift: Chart
    rate: Difference
    treated: Group
    holdout: Group
    revenue: Difference
    revenue_total: Decimal
    currency: str
    other_currencies: int
    window_end: datetime
    window_open: bool
    reasons: tuple[ReasonLine, ...]
    texts: tuple[CampaignText, ...]
    unsubscribed: int


def report_page(*, campaign_id: int, at: datetime) -> ReportPage:
    """Return what came of a launched campaign. Five queries. Raises NotFound, also for a draft."""
    campaign = find(campaign_id)
    if campaign.started_at is None:
        raise NotFound
    start, end = attribution.window(campaign)
    counts: dict[str, int] = Delivery.objects.filter(campaign=campaign).aggregate(
        matched=Count("pk"),
        **{str(state): Count("pk", filter=Q(state=state)) for state in DeliveryState.values},
        opened=Count("pk", filter=Q(state=DeliveryState.SENT, opened_at__isnull=False)),
        clicked=Count("pk", filter=Q(state=DeliveryState.SENT, clicked_at__isnull=False)),
        unsubscribed=Count("pk", filter=Q(unsubscribed_at__isnull=False)),
        ordered=Count("pk", filter=Q(state=DeliveryState.SENT, order__placed_at__gte=F("sent_at"))),
        clicked_ordered=Count("pk", filter=Q(state=DeliveryState.SENT, order__placed_at__gte=F("clicked_at"))),
    )
    treated, holdout, total, currency, others = _groups(campaign, start, end)
    rate = experiments.difference_of_rates(treated, holdout)
    revenue = experiments.difference_of_revenue(treated, holdout)
    sent = counts["sent"]
    return ReportPage(
        campaign=campaign,
        counts=counts,
        kpis=(
            {"label": _("Sent"), "value": formats.number(sent), "note": _("of %(n)s in the segment") % {"n": formats.number(counts["matched"])}},
            {
                "label": _("Opened"),
                "value": formats.percent(counts["opened"] / sent, 1) if sent else formats.MISSING,
                "note": _("pictures loaded; an upper bound"),
            },
            {"label": _("Clicked"), "value": formats.percent(counts["clicked"] / sent, 1) if sent else formats.MISSING, "note": _("of those sent")},
            {
                "label": _("Revenue in the window"),
                "value": formats.money_compact(total, currency),
                "full": formats.money(total, currency),
                "note": _("of those written to, before returns"),
            },
        ),
        funnel=charts.funnel(
            [(_("Sent"), sent), (_("Opened"), counts["opened"]), (_("Clicked"), counts["clicked"]), (_("Clicked and ordered"), counts["clicked_ordered"])],
            title=_("From mail to order"),
        ),
        lift=charts.lift_interval(
            [charts.Interval(label=_("Customers who ordered"), estimate=rate.estimate, low=rate.low, high=rate.high)],
            title=_("Difference to the held-out group"),
        )
        if rate.is_known
        else charts.lift_interval([], title=_("Difference to the held-out group")),
        rate=rate,
        treated=treated,
        holdout=holdout,
        revenue=revenue,
        revenue_total=total,
        currency=currency,
        other_currencies=others,
        window_end=end,
        window_open=at < end,
        reasons=_reasons(campaign),
        texts=tuple(campaign.texts.all()),
        unsubscribed=counts["unsubscribed"],
    )


# Per drawn customer: orders in the window and what they came to in the campaign's main currency; then per group.
_GROUPS = """
    WITH bought AS (
        SELECT d.arm, o.currency, o.total_amount, d.id
        FROM campaigns_delivery d
        LEFT JOIN customers_order o ON o.customer_id = d.customer_id AND o.placed_at >= %(start)s AND o.placed_at < %(end)s AND o.status <> 'cancelled'
        WHERE d.campaign_id = %(campaign)s AND d.arm <> ''
    ), main AS (
        SELECT COALESCE((SELECT currency FROM bought WHERE currency IS NOT NULL GROUP BY currency ORDER BY count(*) DESC, currency LIMIT 1), %(currency)s) AS currency
    ), person AS (
        SELECT arm, id, count(total_amount) AS orders, COALESCE(sum(total_amount) FILTER (WHERE bought.currency = main.currency), 0) AS revenue,
               count(*) FILTER (WHERE bought.currency <> main.currency) AS others
        FROM bought, main GROUP BY arm, id
    )
    SELECT arm, count(*), count(*) FILTER (WHERE orders > 0), avg(revenue), COALESCE(var_samp(revenue), 0), sum(revenue), sum(others), (SELECT currency FROM main)
    FROM person GROUP BY arm
"""


def _groups(campaign: Campaign, start: datetime, end: datetime) -> tuple[Group, Group, Decimal, str, int]:
    """Return both arms, the treated's revenue, its currency, and how many orders were in another one. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_GROUPS, {"campaign": campaign.pk, "start": start, "end": end, "currency": settings.CRM_CURRENCY})
        found = {row[0]: row[1:] for row in cursor.fetchall()}
    empty = (0, 0, 0, 0, Decimal(0), 0, settings.CRM_CURRENCY)
    treated, holdout = found.get(Arm.TREATED, empty), found.get(Arm.HOLDOUT, empty)
    groups = [Group(row[0], row[1], float(row[2]), float(row[3])) for row in (treated, holdout)]
    currency = str(found.get(Arm.TREATED, holdout)[6])
    return groups[0], groups[1], Decimal(treated[4]), currency, int(treated[5]) + int(holdout[5])


def _reasons(campaign: Campaign) -> tuple[ReasonLine, ...]:
    rows = (
        Delivery.objects.filter(campaign=campaign).exclude(reason="").values_list("state", "reason").annotate(n=Count("pk")).order_by("-n", "state", "reason")
    )
    return tuple(ReasonLine(audiences.reason_label(reason), state, reason, n) for state, reason, n in rows)


@dataclass(frozen=True, slots=True)
class RecipientLine:
    delivery: Delivery
    reason: str | Promise


@dataclass(frozen=True, slots=True)
class RecipientsPage:
    """campaigns/recipients.html."""

    campaign: Campaign
    lines: tuple[RecipientLine, ...]
    listing: "Page[Delivery]"
    filters: list[dict[str, object]]
    is_filtered: bool


def recipients_page(*, campaign_id: int, state: str = "", reason: str = "", query: str = "", number: int = 1) -> RecipientsPage:
    """Return one page of the ledger with why or why not. Four queries. Raises NotFound."""
    campaign = find(campaign_id)
    rows = Delivery.objects.filter(campaign=campaign).select_related("customer", "order").order_by("pk")
    if state in DeliveryState.values:
        rows = rows.filter(state=state)
    if reason:
        rows = rows.filter(reason=reason)
    if query:
        rows = rows.filter(Q(customer__name__icontains=query) | Q(address__icontains=query))
    listing = Paginator(rows, RECIPIENTS_PER_PAGE).get_page(number)
    return RecipientsPage(
        campaign=campaign,
        lines=tuple(RecipientLine(row, audiences.reason_label(row.reason) if row.reason else "") for row in listing),
        listing=listing,
        filters=[
            {"name": "q", "kind": "search", "label": _("Name or address"), "value": query},
            {"name": "state", "kind": "select", "label": _("Any state"), "value": state, "choices": DeliveryState.choices},
        ],
        is_filtered=bool(state or reason or query),
    )


@dataclass(frozen=True, slots=True)
class Check:
    """One rule that was asked, in the order it was asked. tone: success, warning or danger."""

    label: str
    text: str
    tone: str


@dataclass(frozen=True, slots=True)
class RecipientPage:
    """campaigns/recipient.html: why one customer got the mail or did not."""

    campaign: Campaign
    delivery: Delivery
    checks: tuple[Check, ...]
    reactions: tuple[Engagement, ...]
    now_allowed: bool
    now_reason: str | Promise


def recipient_page(*, campaign_id: int, customer_id: int, at: datetime) -> RecipientPage:
    """Return the trace of one customer in one campaign. Six queries. Raises NotFound."""
    delivery = Delivery.objects.select_related("campaign__segment", "customer", "order").filter(campaign_id=campaign_id, customer_id=customer_id).first()
    if delivery is None:
        raise NotFound
    campaign = delivery.campaign
    now = audiences.verdicts(customer_ids=[customer_id], channel=campaign.channel, at=at, campaign_id=campaign.pk)[customer_id]
    reactions = tuple(Engagement.objects.filter(delivery=delivery).select_related("product").order_by("at", "pk"))
    return RecipientPage(campaign, delivery, _trace(delivery), reactions, now.allowed, audiences.reason_label(now.reason) if now.reason else "")


def _trace(delivery: Delivery) -> tuple[Check, ...]:
    campaign = delivery.campaign
    segment = campaign.segment.name if campaign.segment else ""
    checks = [Check(_("Segment"), _("Was in “%(segment)s” when the campaign started.") % {"segment": segment}, "success")]
    if not delivery.arm:
        return (*checks, Check(_("May be contacted"), str(audiences.reason_label(delivery.reason)), "danger"))
    checks.append(Check(_("May be contacted"), _("Yes, when the campaign started."), "success"))
    if delivery.arm == Arm.HOLDOUT:
        text = _("Drawn into the held-out group: %(percent)s%% are left out by chance, number %(seed)s decided.") % {
            "percent": campaign.holdout_percent,
            "seed": campaign.seed,
        }
        return (*checks, Check(_("Draw"), text, "warning"))
    checks.append(Check(_("Draw"), _("Not held out."), "success"))
    outcome = {
        DeliveryState.SENT: (_("Accepted by the mail server at %(at)s."), "success"),
        DeliveryState.DUE: (_("Not sent yet."), "warning"),
        DeliveryState.SENDING: (_("Being handed over now."), "warning"),
        DeliveryState.UNKNOWN: (_("The connection broke after the mail went out. It may have arrived; it is not sent again."), "warning"),
    }
    text, tone = outcome.get(DeliveryState(delivery.state), (str(audiences.reason_label(delivery.reason)), "danger"))
    return (*checks, Check(_("Sending"), text % {"at": formats.moment(delivery.sent_at)} if "%(at)s" in text else text, tone))


@dataclass(frozen=True, slots=True)
class CustomerPanel:
    """campaigns/customer_panel.html: what this person got from us, and whether they may get more."""

    lines: tuple[RecipientLine, ...]
    allowed: bool
    reason: str | Promise


def customer_panel(*, customer_id: int, at: datetime) -> CustomerPanel:
    """Return the latest campaigns of a customer. Three queries."""
    rows = Delivery.objects.filter(customer_id=customer_id).select_related("campaign", "order").order_by("-campaign__started_at", "-pk")[:6]
    verdict = consent.may_contact(customer_ids=[customer_id], channel="email", at=at)[customer_id]
    lines = tuple(RecipientLine(row, audiences.reason_label(row.reason) if row.reason else "") for row in rows)
    return CustomerPanel(lines, verdict.allowed, "" if verdict.allowed else audiences.reason_label(verdict.reason))


def find(campaign_id: int) -> Campaign:
    """Return the campaign with its segment, job and texts. Two queries. Raises NotFound."""
    campaign = Campaign.objects.select_related("segment", "job", "created_by").prefetch_related("texts").filter(pk=campaign_id).first()
    if campaign is None:
        raise NotFound
    return campaign


def segment_choices() -> Sequence[tuple[int, str]]:
    """Return (id, name) of every segment for a select. One query."""
    return list(Segment.objects.order_by("name", "pk").values_list("pk", "name"))
