"""All reads of one person's page: who they are, what may be sent, what the portrait says of them, their history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import pgettext_lazy

from crm.core import panels
from crm.core.access.roles import permissions_of
from crm.core.errors import NotFound
from crm.core.models import User
from customers import consent, timeline
from customers.models import Customer, Identity, Segment
from customers.models.consent import Channel, ConsentState, Purpose
from customers.portrayal.card import PortraitCard, portrait_card


@dataclass(frozen=True, slots=True)
class ConsentLine:
    """Whether marketing may go out on one channel, and why in words."""

    channel: str
    label: str
    allowed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class PersonPage:
    """portrait: None where profiling is refused or no refresh has seen the person yet."""

    customer: Customer
    identities: Sequence[Identity]
    segments: Sequence[tuple[int, str]]
    consents: Sequence[ConsentLine]
    other_consents: Sequence[tuple[str, str]]
    portrait: PortraitCard | None
    panels: Sequence[panels.PanelLink]
    timeline_url: str
    gender: str
    tags: Sequence[str] = field(default=())


@dataclass(frozen=True, slots=True)
class TimelinePage:
    """A stretch of the history. is_first: the newest stretch, printed with its filters."""

    customer: Customer
    history: timeline.History
    kinds: Sequence[tuple[str, str]]
    kind: str
    is_first: bool


# What shops commonly send; anything else is printed as it came.
_GENDERS = {
    "female": pgettext_lazy("gender", "female"),
    "f": pgettext_lazy("gender", "female"),
    "male": pgettext_lazy("gender", "male"),
    "m": pgettext_lazy("gender", "male"),
}
CONSENT_CHANNELS = (Channel.EMAIL, Channel.SMS, Channel.PUSH)


def find_customer(customer_id: int) -> Customer:
    """Return the row with portrait, the numbers behind it, and source. Raises NotFound."""
    customer = Customer.objects.select_related("portrait", "portrait_features", "source").filter(pk=customer_id).first()
    if customer is None:
        raise NotFound
    return customer


def person_page(*, customer: Customer, viewer: User, at: datetime) -> PersonPage:
    """Return one person's page; at most nine queries besides the row given, whatever the length of the history."""
    may = permissions_of(viewer)
    states = consent.latest_states(customer_ids=[customer.pk], at=at)[customer.pk]
    segments = Segment.objects.filter(memberships__customer=customer, memberships__left_at=None).order_by("name", "id").values_list("pk", "name")
    lines = consent_lines(customer=customer, at=at)
    return PersonPage(
        customer=customer,
        identities=list(Identity.objects.filter(customer=customer).order_by("kind", "id")[:30]),
        segments=list(segments),
        consents=lines,
        other_consents=[
            (f"{Channel(channel).label} · {Purpose(purpose).label}", str(ConsentState(state).label))
            for (channel, purpose), state in sorted(states.items())
            if purpose != Purpose.MARKETING
        ],
        portrait=portrait_card(customer=customer, viewer=viewer, reachable=reachable(lines), at=at),
        panels=panels.links("customer.side", may, customer.pk),
        timeline_url=reverse("customers:timeline", args=[customer.pk]),
        gender=str(_GENDERS.get(customer.gender.lower(), customer.gender)),
        tags=customer.tags,
    )


def consent_lines(*, customer: Customer, at: datetime) -> list[ConsentLine]:
    """Return what the gate says of marketing on each channel; one query."""
    verdicts = consent.may_contact_on(customer_ids=[customer.pk], channels=CONSENT_CHANNELS, at=at)
    lines = []
    for channel in CONSENT_CHANNELS:
        verdict = verdicts[str(channel)][customer.pk]
        lines.append(ConsentLine(str(channel), str(channel.label), verdict.allowed, _(consent.REASONS[verdict.reason])))
    return lines


def reachable(lines: Sequence[ConsentLine]) -> Mapping[str, bool]:
    """Return per channel whether marketing may go out."""
    return {line.channel: line.allowed for line in lines}


def timeline_page(*, customer: Customer, before: datetime, kind: str, is_first: bool) -> TimelinePage:
    """Return a stretch of the customer's history."""
    names = [(name, str(label)) for name, label in timeline.kinds()]
    kind = kind if kind in dict(names) else ""
    return TimelinePage(customer, timeline.history(customer_id=customer.pk, before=before, kind=kind), names, kind, is_first)
