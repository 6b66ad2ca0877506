"""Who a campaign reaches: matched -> contactable -> after holdout, with the reason for every drop.

`verdicts` is the one gate: the plan, the launch and the moment of sending all ask it, and it asks
`customers.consent.may_contact` first. Everything is set-based: a handful of queries for any number of customers.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from campaigns.models import Campaign, Delivery, DeliveryState
from customers import consent
from customers.models import Customer
from customers.models.consent import Purpose

SAMPLE = 5
# States in which a message went out or may have: an unknown one counts against the cap, never in its favour.
REACHED = (DeliveryState.SENDING, DeliveryState.SENT, DeliveryState.UNKNOWN)

FREQUENCY_CAP = "frequency_cap"
SAME_ADDRESS = "same_address"
NO_TEXT = "no_text"

REASONS: dict[str, str | Promise] = {
    "no_consent": _("Never agreed to marketing mail"),
    "withdrawn": _("Unsubscribed"),
    "bounced": _("The address does not work"),
    "complained": _("Marked a mail as spam"),
    "no_address": _("No e-mail address"),
    "invalid_address": _("The address is not a valid one"),
    "address_refused": _("The mail server refused the address"),
    "message_refused": _("The mail server refused the message"),
    "merged": _("Joined with another customer"),
    "unknown": _("No longer in the records"),
    FREQUENCY_CAP: _("Had enough mails lately"),
    SAME_ADDRESS: _("Another customer has the same address"),
    NO_TEXT: _("No text in a language for this customer"),
    "field_empty": _("A field in the text has no value for this customer"),
    "gave_up": _("The mail server kept putting it off"),
    "lost": _("Lost between hand-over and record; never sent again"),
}


def reason_label(code: str) -> str | Promise:
    """Return the words for a stored reason; codes of the consent ledger bring their own."""
    return REASONS.get(code) or gettext(consent.REASONS.get(code, code))


@dataclass(frozen=True, slots=True)
class Verdict:
    """allowed, or the code of the rule that decided against it."""

    allowed: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """A customer of the segment as far as sending needs to know them."""

    id: int
    name: str
    email: str
    locale: str

    @property
    def label(self) -> str:
        return self.name or self.email or f"#{self.id}"


@dataclass(frozen=True, slots=True)
class Drop:
    """How many were left out for one reason, and a few of them."""

    reason: str
    count: int
    sample: tuple[Member, ...]

    @property
    def label(self) -> str | Promise:
        return reason_label(self.reason)


@dataclass(frozen=True, slots=True)
class Audience:
    """The plan of a send. treated and holdout are disjoint ids in ascending order; left_out maps the rest to reasons."""

    members: Mapping[int, Member]
    treated: tuple[int, ...]
    holdout: tuple[int, ...]
    left_out: Mapping[int, str]
    languages: Mapping[int, str]

    @property
    def matched(self) -> int:
        return len(self.members)

    @property
    def contactable(self) -> int:
        return len(self.treated) + len(self.holdout)

    @property
    def to_send(self) -> int:
        return len(self.treated)

    @property
    def held_out(self) -> int:
        return len(self.holdout)

    @property
    def dropped(self) -> int:
        return len(self.left_out)

    @property
    def drops(self) -> tuple[Drop, ...]:
        """Reasons with counts, most frequent first."""
        ids: dict[str, list[int]] = defaultdict(list)
        for customer_id, reason in self.left_out.items():
            ids[reason].append(customer_id)
        ranked = sorted(ids.items(), key=lambda item: (-len(item[1]), item[0]))
        return tuple(Drop(reason, len(found), tuple(self.members[one] for one in found[:SAMPLE])) for reason, found in ranked)

    @property
    def sample(self) -> tuple[Member, ...]:
        return tuple(self.members[one] for one in self.treated[:SAMPLE])

    @property
    def by_language(self) -> tuple[tuple[str, int], ...]:
        """Language codes with how many would be written to in each, most first."""
        counts = Counter(self.languages[one] for one in self.treated)
        return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def plan(*, campaign: Campaign, at: datetime, languages: Collection[str] | None = None) -> Audience:
    """Return who the campaign would reach at `at`. About six queries, whatever the size.

    languages: codes with a usable text; None asks the campaign's approved texts, an empty one checks no language (while
    nothing is written yet, the audience is still worth seeing).
    """
    if languages is None:
        languages = [text.language for text in campaign.texts.all() if text.is_approved]
    members = {member.id: member for member in _members(campaign)}
    judged = verdicts(customer_ids=members.keys(), channel=campaign.channel, at=at, campaign_id=campaign.pk)
    left_out = {customer_id: judged[customer_id].reason for customer_id in members if not judged[customer_id].allowed}
    chosen: dict[int, str] = {}
    addresses: set[str] = set()
    for customer_id, member in members.items():
        if customer_id in left_out:
            continue
        language = language_for(member.locale, languages)
        address = member.email.strip().lower()
        if languages and not language:
            left_out[customer_id] = NO_TEXT
        elif address in addresses:
            left_out[customer_id] = SAME_ADDRESS
        else:
            addresses.add(address)
            chosen[customer_id] = language
    holdout = draw_holdout(customer_ids=chosen, percent=campaign.holdout_percent, seed=campaign.seed)
    treated = tuple(one for one in chosen if one not in holdout)
    return Audience(members, treated, tuple(sorted(holdout)), left_out, chosen)


def verdicts(*, customer_ids: Iterable[int], channel: str, at: datetime, campaign_id: int | None = None) -> dict[int, Verdict]:
    """Return for each customer whether a marketing message may go out at `at`, and if not, why. Two queries.

    campaign_id: its own deliveries do not count against the frequency cap, so that a resumed send does not block itself.
    """
    ids = list(customer_ids)
    allowed = consent.may_contact(customer_ids=ids, channel=channel, purpose=Purpose.MARKETING, at=at)
    capped = _capped([one for one in ids if allowed[one].allowed], at=at, campaign_id=campaign_id)
    judged: dict[int, Verdict] = {}
    for one in ids:
        verdict = allowed[one]
        if not verdict.allowed:
            judged[one] = Verdict(allowed=False, reason=verdict.reason)
        elif one in capped:
            judged[one] = Verdict(allowed=False, reason=FREQUENCY_CAP)
        else:
            judged[one] = Verdict(allowed=True)
    return judged


def draw_holdout(*, customer_ids: Iterable[int], percent: int, seed: int) -> frozenset[int]:
    """Return who is held out: exactly round(n * percent / 100) customers, the same ones for the same seed and people.

    Customers are ranked by a hash of seed and id, which no property of the customer can influence.
    """
    ranked = sorted(customer_ids, key=lambda one: (hashlib.sha256(f"{seed}:{one}".encode()).digest(), one))
    return frozenset(ranked[: round(len(ranked) * percent / 100)])


def language_for(locale: str, languages: Collection[str]) -> str:
    """Return which of the written languages suits a customer: their own, else English, else the first; '' for none."""
    wanted = locale.lower().replace("_", "-")
    for language in languages:
        if wanted and (wanted == language or wanted.split("-")[0] == language.split("-")[0]):
            return language
    return "en" if "en" in languages else min(languages, default="")


def _members(campaign: Campaign) -> Iterable[Member]:
    if campaign.segment_id is None:
        return
    rows = Customer.objects.in_segment(campaign.segment_id).people().order_by("pk").values_list("pk", "name", "email", "locale")
    for row in rows.iterator(chunk_size=5000):
        yield Member(*row)


def _capped(customer_ids: list[int], *, at: datetime, campaign_id: int | None) -> frozenset[int]:
    """Return those who already had as many marketing mails as the cap allows within its window."""
    if not settings.CRM_FREQUENCY_CAP or not customer_ids:
        return frozenset()
    since = at - timedelta(days=settings.CRM_FREQUENCY_DAYS)
    # claimed_at stands for messages on their way or lost: they have no sent_at, and may have arrived all the same.
    recent = Delivery.objects.filter(customer_id__in=customer_ids, state__in=REACHED, claimed_at__gt=since)
    if campaign_id is not None:
        recent = recent.exclude(campaign_id=campaign_id)
    counted = recent.values("customer_id").annotate(n=Count("pk")).filter(n__gte=settings.CRM_FREQUENCY_CAP).order_by()
    return frozenset(counted.values_list("customer_id", flat=True))
