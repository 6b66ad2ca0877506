"""The campaign a page is about, and the segments to choose from."""

from collections.abc import Sequence
from dataclasses import dataclass

from campaigns.models import Campaign
from crm.core.errors import NotFound
from customers.models import Segment

MOST_IN_PANEL = 6


@dataclass(frozen=True, slots=True)
class SegmentPanel:
    """campaigns/segment_panel.html. more: how many earlier campaigns are not listed."""

    campaigns: Sequence[Campaign]
    more: int


def find(campaign_id: int) -> Campaign:
    """Return the campaign with its segment, job and texts. Two queries. Raises NotFound."""
    campaign = Campaign.objects.select_related("segment", "job", "created_by").prefetch_related("texts").filter(pk=campaign_id).first()
    if campaign is None:
        raise NotFound
    return campaign


def segment_choices() -> Sequence[tuple[int, str]]:
    """Return (id, name) of every segment for a select. One query."""
    return list(Segment.objects.order_by("name", "pk").values_list("pk", "name"))


def segment_panel(*, segment_id: int) -> SegmentPanel:
    """Return the latest campaigns made for a segment. Two queries."""
    rows = Campaign.objects.filter(segment_id=segment_id).order_by("-created_at", "-pk")
    shown = list(rows[:MOST_IN_PANEL])
    return SegmentPanel(shown, rows.count() - len(shown))
