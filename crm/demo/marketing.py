"""Past campaigns of the demo shop, sent through the sending door with a holdout, and segments to start from.

Each campaign has a true effect that the report should find: of the people who received it, `lift` more ordered within
a week than of those held out. The extra orders are drawn here, after the ledger says who received what.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

import numpy as np
from django.utils import translation

from campaigns import attribution, editing, sending
from campaigns.editing import Written
from campaigns.messages import Message
from campaigns.models import Campaign, Delivery, DeliveryState
from crm.core.models import Source, User
from crm.demo.catalogue import DemoProduct
from customers import ingest
from customers.ingest import LineFacts, OrderFacts, PersonKey, ProductFacts
from customers.models import Identity, Segment
from customers.segmentation import membership, templates


@dataclass(frozen=True, slots=True)
class PastCampaign:
    """days_ago: when it went out. lift: extra share of recipients who order within a week. department: what they buy."""

    name: str
    goal: str
    days_ago: int
    lift: float
    department: int
    rule: dict[str, object]
    texts: dict[str, Written]


_REGULARS = {"op": "all", "rules": [{"field": "orders_count", "operator": "at_least", "value": 8}]}
_REPEAT = {"op": "all", "rules": [{"field": "orders_count", "operator": "at_least", "value": 4}]}

CAMPAIGNS: tuple[PastCampaign, ...] = (
    PastCampaign(
        "Autumn teas · 秋茶",
        "New harvest oolong and pu'er for people who have ordered before",
        75,
        0.09,
        0,
        _REPEAT,
        {
            "en": Written(
                "The autumn oolongs are in",
                "Hello {{ first_name|there }},\n\nthe autumn harvest has arrived: light Tieguanyin and a deep Dancong.\n\n{{ recommendations }}\n\nMaple & Moss",
            ),
            "zh-hans": Written("秋茶到货", "{{ first_name|您好 }}，\n\n今年的秋茶到了：清香铁观音和浓香单丛。\n\n{{ recommendations }}\n\n枫与苔"),
        },
    ),
    PastCampaign(
        "Thank you, regulars · 感谢老顾客",
        "A quiet thank-you with personal suggestions for everyone with eight or more orders",
        32,
        0.015,
        3,
        _REGULARS,
        {
            "en": Written(
                "A few things we thought of for you",
                "Hello {{ first_name|there }},\n\nthank you for coming back. These might suit you.\n\n{{ recommendations }}\n\nMaple & Moss",
            ),
            "zh-hans": Written("为您挑了几样", "{{ first_name|您好 }}，\n\n谢谢您一直以来的喜爱，这几样也许适合您。\n\n{{ recommendations }}\n\n枫与苔"),
        },
    ),
)


class Quiet:
    """A channel that takes every message and keeps none: past campaigns must not fill today's outbox."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None

    def hand_over(self, *, to: str, message: Message, message_id: str, campaign_id: int | None) -> None:  # noqa: ARG002 - the seam fixes the signature
        return None


def run(*, source: Source, products: Sequence[DemoProduct], as_of: datetime, seed: int = 29) -> int:
    """Make the ready segments, send the past campaigns and record what their recipients did; return campaigns sent."""
    random = np.random.default_rng(seed)
    marketer = User.objects.get(username="marketer")
    _segments(marketer, as_of)
    sent = 0
    for past in CAMPAIGNS:
        if not Campaign.objects.filter(name=past.name, is_demo=True).exists():
            _send(past, source, products, marketer, as_of - timedelta(days=past.days_ago), random)
            sent += 1
    return sent


def _segments(marketer: User, as_of: datetime) -> None:
    for template in templates.TEMPLATES:
        Segment.objects.get_or_create(
            name=_both(template.name), defaults={"description": _both(template.description), "rule": template.rule, "is_demo": True, "created_by": marketer}
        )
    for past in CAMPAIGNS:
        segment, _created = Segment.objects.get_or_create(name=_audience(past), defaults={"rule": past.rule, "is_demo": True, "created_by": marketer})
        membership.refresh(segment_id=segment.pk, at=as_of - timedelta(days=past.days_ago), cause="demo")


def _both(text: object) -> str:
    """Return a translatable text in both languages: the demo shop's staff read either."""
    parts = []
    for language in ("en", "zh-hans"):
        with translation.override(language):
            parts.append(str(text))
    return " · ".join(dict.fromkeys(parts))


def _audience(past: PastCampaign) -> str:
    return f"{past.name} (audience 受众)"


def _send(past: PastCampaign, source: Source, products: Sequence[DemoProduct], marketer: User, at: datetime, random: np.random.Generator) -> None:
    segment = Segment.objects.get(name=_audience(past))
    draft = editing.create(actor=marketer, name=past.name, segment_id=segment.pk, goal=past.goal)
    draft = editing.change(campaign_id=draft.pk, version=draft.version, values={"holdout_percent": 20, "attribution_days": 7}, texts=past.texts, actor=marketer)
    Campaign.objects.filter(pk=draft.pk).update(is_demo=True, seed=past.days_ago)
    job = sending.launch(campaign_id=draft.pk, actor=marketer, now=at)
    sending.deliver(campaign_id=draft.pk, job_id=job.pk, clock=lambda: at, channel=Quiet())
    _react(draft.pk, past, source, products, at, random)
    attribution.attribute(campaign=Campaign.objects.get(pk=draft.pk))


def _react(campaign_id: int, past: PastCampaign, source: Source, products: Sequence[DemoProduct], at: datetime, random: np.random.Generator) -> None:
    shelf = [product for product in products if product.department == past.department]
    user_ids = dict(Identity.objects.filter(kind="user", namespace=str(source.pk)).values_list("customer_id", "value"))
    orders: list[OrderFacts] = []
    # By user id, so that the draw is the same whatever ids the database gave out.
    recipients = sorted(Delivery.objects.filter(campaign_id=campaign_id, state=DeliveryState.SENT), key=lambda row: user_ids.get(row.customer_id, ""))
    for number, delivery in enumerate(recipients):
        opens, clicks, buys = random.random() < 0.42, random.random() < 0.22, random.random() < past.lift
        when = at + timedelta(hours=float(random.exponential(20)) + 0.2)
        if opens or buys:
            attribution.record_open(public_id=delivery.public_id, at=when)
        if (opens and clicks) or buys:
            attribution.record_click(
                public_id=delivery.public_id, product_id=delivery.product_ids[0] if delivery.product_ids else None, at=when + timedelta(minutes=2)
            )
        if buys and delivery.customer_id in user_ids:
            chosen = shelf[int(random.integers(len(shelf)))]
            orders.append(
                OrderFacts(
                    external_id=f"MMC{past.days_ago:03d}{number:05d}",
                    placed_at=when + timedelta(minutes=30),
                    currency="CNY",
                    lines=(LineFacts(ProductFacts(external_id=chosen.external_id), 1, chosen.price),),
                    person=PersonKey(user_id=user_ids[delivery.customer_id]),
                    status="delivered",
                )
            )
        elif opens and random.random() < 0.006:
            attribution.unsubscribe(public_id=delivery.public_id, at=when + timedelta(minutes=5), origin="unsubscribe link")
    ingest.record_orders(source_id=source.pk, orders=orders, at=at + timedelta(days=8), cause="demo")
