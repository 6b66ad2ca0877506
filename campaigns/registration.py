"""Everything this app contributes to the shared registries, in one visible list."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.core import job_kinds, panels, registries
from crm.core.registries import SearchHit, SearchSource, SegmentField, TimelineEntry, TimelineSource
from customers import contacts


def register() -> None:
    """Fill the registries; called once from the app's ready()."""
    from campaigns import features, tasks

    panels.register(slot="customer.side", title=gettext_lazy("Campaigns"), url_name="campaigns:customer-panel", order=40, permission="campaigns.view")
    panels.register(slot="segment", title=gettext_lazy("Campaigns for this segment"), url_name="campaigns:segment-panel", order=20, permission="campaigns.view")
    registries.feature_sources["campaigns"] = features.SOURCE
    registries.search_sources["campaigns"] = SearchSource("campaigns", "campaigns.view", find)
    registries.timeline_sources["campaigns"] = TimelineSource("campaigns", gettext_lazy("Campaigns"), entries)
    registries.segment_fields["campaign_last_sent"] = SegmentField(
        "campaign_last_sent", gettext_lazy("Last campaign mail"), gettext_lazy("Campaigns"), "date", last_sent
    )
    registries.segment_fields["campaign_clicks_90"] = SegmentField(
        "campaign_clicks_90", gettext_lazy("Campaigns clicked in 90 days"), gettext_lazy("Campaigns"), "number", clicks
    )
    contacts.register("campaigns", contacted)
    job_kinds.register(job_kinds.JobKind(tasks.SEND, gettext_lazy("Campaign"), tasks.enqueue_send))
    job_kinds.register(job_kinds.JobKind(tasks.DRAFT, gettext_lazy("Drafts"), tasks.enqueue_draft))


def find(text: str, limit: int) -> Sequence[SearchHit]:
    """Return campaigns whose name or goal contains the text. One query."""
    from campaigns.models import Campaign

    rows = Campaign.objects.filter(Q(name__icontains=text) | Q(goal__icontains=text)).order_by("-created_at", "-pk")[:limit]
    return [SearchHit(_("Campaign"), row.name, str(row.get_state_display()), reverse("campaigns:detail", args=[row.pk])) for row in rows]


def entries(customer_id: int, before: datetime, limit: int) -> Sequence[TimelineEntry]:
    """Return what a customer got from campaigns and did with it, newest first. One query."""
    from campaigns.models import Delivery

    rows = Delivery.objects.filter(customer_id=customer_id, sent_at__lt=before).select_related("campaign").order_by("-sent_at", "-pk")[:limit]
    return [
        TimelineEntry(
            at=row.sent_at,
            kind="campaign",
            icon="megaphone",
            title=_("Got the mail “%(campaign)s”") % {"campaign": row.campaign.name},
            detail=_("Clicked") if row.clicked_at else _("Opened") if row.opened_at else "",
            url=reverse("campaigns:recipient", args=[row.campaign_id, customer_id]),
        )
        for row in rows
        if row.sent_at is not None
    ]


def last_sent(at: datetime) -> Any:
    """Return the moment of the last campaign mail before `at`, for Customer rows."""
    from campaigns.models import Delivery

    return Subquery(Delivery.objects.filter(customer_id=OuterRef("pk"), sent_at__lte=at).order_by("-sent_at").values("sent_at")[:1])


def clicks(at: datetime) -> Any:
    """Return how many campaigns were clicked in the 90 days before `at`, for Customer rows."""
    from campaigns.models import Delivery

    recent = Delivery.objects.filter(customer_id=OuterRef("pk"), clicked_at__gt=at - timedelta(days=90), clicked_at__lte=at)
    return Coalesce(Subquery(recent.order_by().values("customer_id").annotate(n=Count("pk")).values("n")), 0)


def contacted(as_of: datetime) -> list[tuple[int, int, int]]:
    """Return (customer, UTC day since 1970, level) of everyone written to or held out up to that moment. One query."""
    from campaigns.models import Arm, Delivery

    rows = (
        Delivery.objects.filter(Q(sent_at__lte=as_of) | Q(arm=Arm.HOLDOUT, campaign__started_at__lte=as_of))
        .order_by("pk")
        .values_list("customer_id", "sent_at", "campaign__started_at")
    )
    return [
        (customer, int(moment.timestamp() // 86_400), contacts.WRITTEN_TO if sent else contacts.HELD_OUT)
        for customer, sent, started in rows
        if (moment := sent or started) is not None
    ]
