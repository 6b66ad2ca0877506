"""The list of campaigns and what a first one starts from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Count, F, Q
from django.utils.translation import gettext as _

from campaigns.models import Campaign, CampaignState, Delivery, DeliveryState

PER_PAGE = 25


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
