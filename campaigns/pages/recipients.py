"""Who got a campaign and why: the list, one person's trace, the panel on the customer's page."""

from dataclasses import dataclass
from datetime import datetime

from django.core.paginator import Page, Paginator
from django.db.models import Q
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from campaigns import audiences
from campaigns.models import Arm, Campaign, Delivery, DeliveryState, Engagement
from campaigns.pages.finding import find
from crm.core import formats
from crm.core.errors import NotFound
from customers import consent

RECIPIENTS_PER_PAGE = 50


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
