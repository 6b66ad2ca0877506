"""What a campaign did: figures, arms, reasons nobody was written to."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.db import connection
from django.db.models import Count, F, Q
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from campaigns import attribution, audiences, experiments
from campaigns.experiments import Difference, Group
from campaigns.models import Arm, Campaign, CampaignText, Delivery, DeliveryState
from campaigns.pages.finding import find
from crm.core import charts, formats
from crm.core.charts import Chart
from crm.core.errors import NotFound


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
            show=charts.as_points,
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
