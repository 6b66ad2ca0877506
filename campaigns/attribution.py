"""What came of a campaign: opens, clicks, unsubscribes as they happen, and orders within the window for both groups.

Orders are counted from the launch, for the held-out too, and for everyone the draw put into a group whether or not the
mail arrived (intention to treat): only so are the two groups comparable.
"""

import uuid
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, OuterRef, Subquery

from campaigns.errors import CampaignNotReady
from campaigns.models import Campaign, CampaignState, Delivery, Engagement, EngagementKind
from customers import consent
from customers.models import Order, Product
from customers.models.order import OrderStatus
from recommendations import feedback

# Imports and late events may bring orders days after they were placed.
LATE = timedelta(days=14)


def record_open(*, public_id: uuid.UUID, at: datetime) -> bool:
    """Note that the mail's picture was loaded; True the first time. Mail programs may load it unseen: an upper bound."""
    with transaction.atomic():
        delivery = Delivery.objects.filter(public_id=public_id, sent_at__isnull=False).only("pk").first()
        if delivery is None or not Delivery.objects.filter(pk=delivery.pk, opened_at=None).update(opened_at=at):
            return False
        Engagement.objects.bulk_create([Engagement(delivery=delivery, kind=EngagementKind.OPENED, at=at)], ignore_conflicts=True)
    return True


def record_click(*, public_id: uuid.UUID, product_id: int | None, at: datetime) -> bool:
    """Note a click on a product or the shop; True when that target is new. A click proves that the mail was opened."""
    with transaction.atomic():
        delivery = Delivery.objects.filter(public_id=public_id, sent_at__isnull=False).only("pk", "customer_id", "campaign_id").first()
        if delivery is None:
            return False
        if product_id is not None and not Product.objects.filter(pk=product_id).exists():
            return False
        before = Engagement.objects.filter(delivery=delivery, kind=EngagementKind.CLICKED, product=product_id).exists()
        Delivery.objects.filter(pk=delivery.pk, clicked_at=None).update(clicked_at=at)
        Delivery.objects.filter(pk=delivery.pk, opened_at=None).update(opened_at=at)
        Engagement.objects.bulk_create([Engagement(delivery=delivery, kind=EngagementKind.CLICKED, product_id=product_id, at=at)], ignore_conflicts=True)
        if product_id is not None and not before:
            feedback.record(
                customer_id=delivery.customer_id,
                product_id=product_id,
                kind="clicked",
                origin=f"campaign:{delivery.campaign_id}",
                at=at,
                external_id=f"delivery:{delivery.pk}",
            )
    return not before


def unsubscribe(*, public_id: uuid.UUID, at: datetime, origin: str) -> Delivery | None:
    """Withdraw the recipient's consent to marketing mail; None when the delivery is gone. Pressing twice is harmless."""
    with transaction.atomic():
        delivery = Delivery.objects.select_for_update(of=("self",)).select_related("customer").filter(public_id=public_id).first()
        if delivery is None:
            return None
        customer_id = delivery.customer.merged_into_id or delivery.customer_id
        allowed = consent.may_contact(customer_ids=[customer_id], channel="email", at=at)[customer_id].allowed
        if allowed or delivery.unsubscribed_at is None:
            consent.withdraw(customer_id=customer_id, channel="email", origin=origin, at=at, proof=f"delivery {public_id}", cause="campaign")
        if delivery.unsubscribed_at is None:
            delivery.unsubscribed_at = at
            delivery.save(update_fields=["unsubscribed_at"])
            Engagement.objects.bulk_create([Engagement(delivery=delivery, kind=EngagementKind.UNSUBSCRIBED, at=at)], ignore_conflicts=True)
    return delivery


def subscribe_again(*, public_id: uuid.UUID, at: datetime, wording: str) -> Delivery | None:
    """Grant again what the same person withdrew through the same link; None when the delivery is gone.

    Only after an unsubscribe of this very delivery: the link proves who someone is, not that they ever agreed.
    """
    with transaction.atomic():
        delivery = Delivery.objects.select_related("customer").filter(public_id=public_id, unsubscribed_at__isnull=False).first()
        if delivery is None:
            return None
        customer_id = delivery.customer.merged_into_id or delivery.customer_id
        consent.grant(customer_id=customer_id, channel="email", origin="unsubscribe page", at=at, wording=wording, proof=f"delivery {public_id}")
    return delivery


def attribute_orders(*, at: datetime) -> int:
    """Recompute every recent campaign's first orders; returns how many campaigns were looked at."""
    recent = Campaign.objects.exclude(state=CampaignState.DRAFT).filter(started_at__isnull=False).order_by("pk")
    due = [campaign for campaign in recent.only("pk", "started_at", "attribution_days") if at < window(campaign)[1] + LATE]
    for campaign in due:
        attribute(campaign=campaign)
    return len(due)


def window(campaign: Campaign) -> tuple[datetime, datetime]:
    """Return the half-open period whose orders count: from the launch, attribution_days long.

    Raises CampaignNotReady for one that was never launched.
    """
    if campaign.started_at is None:
        raise CampaignNotReady
    return campaign.started_at, campaign.started_at + timedelta(days=campaign.attribution_days)


def attribute(*, campaign: Campaign) -> None:
    """Set each drawn customer's first order in the window, both groups alike. Four statements for any number of rows.

    Computed anew each time, so a changed window, a cancelled order or a late import corrects what was there.
    """
    start, end = window(campaign)
    first = (
        Order.objects.filter(customer_id=OuterRef("customer_id"), placed_at__gte=start, placed_at__lt=end)
        .exclude(status=OrderStatus.CANCELLED)
        .order_by("placed_at", "pk")
    )
    with transaction.atomic():
        drawn = Delivery.objects.filter(campaign=campaign).exclude(arm="")
        drawn.update(order_id=Subquery(first.values("pk")[:1]))
        Engagement.objects.filter(delivery__campaign=campaign, kind=EngagementKind.ORDERED, delivery__order=None).delete()
        labelled = Engagement.objects.filter(delivery=OuterRef("pk"), kind=EngagementKind.ORDERED)
        fresh = (
            drawn.filter(order__isnull=False)
            .annotate(at=F("order__placed_at"), label=Subquery(labelled.values("pk")[:1]))
            .filter(label=None)
            .values_list("pk", "at")
        )
        Engagement.objects.bulk_create(
            [Engagement(delivery_id=pk, kind=EngagementKind.ORDERED, at=at) for pk, at in fresh], batch_size=1000, ignore_conflicts=True
        )


def move(*, gone_id: int, kept_id: int) -> int:
    """Hand a merged customer's deliveries to the person they turned out to be; returns how many moved.

    Where both had one in the same campaign, the gone one's stays with its own row: the ledger is unique per customer.
    """
    kept = Delivery.objects.filter(customer_id=kept_id).values("campaign_id")
    return Delivery.objects.filter(customer_id=gone_id).exclude(campaign_id__in=kept).update(customer_id=kept_id)
