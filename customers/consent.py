"""What people allowed: an append-only ledger and the one gate that reads it.

For a (channel, purpose) the latest statement holds, whether made for that channel or for every channel ('any').
An address that bounced is closed for every purpose until something is granted on that channel again.
With no statement at all: marketing is off, profiling and service messages are on.
A statement about profiling also sets the customer's flag, whoever made it (refusal.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_noop

from crm.core import rows
from crm.core.events import publish
from customers import refusal
from customers.events import ConsentWithdrawn
from customers.models import ConsentEntry
from customers.models.consent import Channel, ConsentState, Purpose

# Reason codes of a verdict with their words; pages translate them.
REASONS = {
    "granted": gettext_noop("Consent was given."),
    "default": gettext_noop("Allowed unless withdrawn."),
    "no_consent": gettext_noop("No consent on record."),
    "withdrawn": gettext_noop("Consent was withdrawn."),
    "bounced": gettext_noop("The address bounced."),
    "complained": gettext_noop("An earlier message was marked as spam."),
    "no_address": gettext_noop("No address for this channel."),
    "merged": gettext_noop("Merged into another customer."),
    "unknown": gettext_noop("There is no such customer."),
}

# Statements that come with shop data repeat what the shop believes. They never reopen what a person closed elsewhere.
SECOND_HAND = ("identify", "import")


@dataclass(frozen=True, slots=True)
class Verdict:
    """reason: a key of REASONS."""

    allowed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Statement:
    """One line for the ledger, before it is a row."""

    customer_id: int
    channel: str
    state: str
    purpose: str = Purpose.MARKETING.value


def may_contact(*, customer_ids: Iterable[int], channel: str, purpose: str = Purpose.MARKETING, at: datetime) -> dict[int, Verdict]:
    """Return for every asked customer whether a message on that channel for that purpose may go out at that moment.

    Statements recorded after `at` are not seen. One query for any number of customers.
    """
    return may_contact_on(customer_ids=customer_ids, channels=[channel], purpose=purpose, at=at)[str(channel)]


def may_contact_on(*, customer_ids: Iterable[int], channels: Sequence[str], purpose: str = Purpose.MARKETING, at: datetime) -> dict[str, dict[int, Verdict]]:
    """Return `may_contact` for several channels at once, by channel. One query."""
    asked, wanted = list(dict.fromkeys(customer_ids)), [str(channel) for channel in channels]
    found = rows.query(
        """
        SELECT way.channel, c.id, c.merged_into_id IS NOT NULL,
               CASE way.channel WHEN 'email' THEN c.email <> '' WHEN 'sms' THEN c.phone <> '' ELSE true END,
               latest.state, bounce.state
        FROM unnest(%(channels)s::text[]) AS way(channel) CROSS JOIN customers_customer c
        LEFT JOIN LATERAL (
            SELECT e.state, e.recorded_at, e.id FROM customers_consententry e
            WHERE e.customer_id = c.id AND e.purpose = %(purpose)s AND e.channel IN (way.channel, 'any') AND e.recorded_at <= %(at)s
            ORDER BY e.recorded_at DESC, e.id DESC LIMIT 1) latest ON true
        LEFT JOIN LATERAL (
            SELECT e.state FROM customers_consententry e
            WHERE e.customer_id = c.id AND e.channel = way.channel AND e.state IN ('bounced', 'granted') AND e.recorded_at <= %(at)s
            ORDER BY e.recorded_at DESC, e.id DESC LIMIT 1) bounce ON true
        WHERE c.id = ANY(%(ids)s)
        """,
        {"channels": wanted, "purpose": str(purpose), "at": at, "ids": asked},
    )
    verdicts = {(row[0], row[1]): _judge(str(purpose), *row[2:]) for row in found}
    unknown = Verdict(allowed=False, reason="unknown")
    return {channel: {customer_id: verdicts.get((channel, customer_id), unknown) for customer_id in asked} for channel in wanted}


def latest_states(*, customer_ids: Iterable[int], at: datetime | None = None) -> dict[int, dict[tuple[str, str], str]]:
    """Return per customer the state that holds for each (channel, purpose) ever stated. One query."""
    ids = list(dict.fromkeys(customer_ids))
    answer: dict[int, dict[tuple[str, str], str]] = {customer_id: {} for customer_id in ids}
    found = rows.query(
        """
        SELECT DISTINCT ON (customer_id, channel, purpose) customer_id, channel, purpose, state FROM customers_consententry
        WHERE customer_id = ANY(%s) AND (%s::timestamptz IS NULL OR recorded_at <= %s)
        ORDER BY customer_id, channel, purpose, recorded_at DESC, id DESC
        """,
        [ids, at, at],
    )
    for customer_id, channel, purpose, state in found:
        answer[customer_id][channel, purpose] = state
    return answer


def grant(
    *, customer_id: int, channel: str, origin: str, at: datetime, purpose: str = Purpose.MARKETING, basis: str = "consent", wording: str = "", proof: str = ""
) -> ConsentEntry:
    """Write that the person allowed it, and return the entry."""
    with transaction.atomic():
        entry = ConsentEntry.objects.create(
            customer_id=customer_id,
            channel=channel,
            purpose=purpose,
            state=ConsentState.GRANTED,
            origin=origin[:60],
            basis=basis[:40],
            wording=wording[:60],
            proof=proof[:300],
            recorded_at=at,
        )
        if purpose == Purpose.PROFILING:
            refusal.settle(customer_ids=[customer_id], at=at)
    return entry


def withdraw(
    *,
    customer_id: int,
    channel: str,
    origin: str,
    at: datetime,
    purpose: str = Purpose.MARKETING,
    state: str = ConsentState.WITHDRAWN,
    proof: str = "",
    cause: str = "staff",
) -> ConsentEntry:
    """Write that it is no longer allowed (withdrawn, bounced or complained) and tell the others after commit.

    Repeating is harmless: a mail scanner may press the link three times.
    """
    with transaction.atomic():
        entry = ConsentEntry.objects.create(
            customer_id=customer_id, channel=channel, purpose=purpose, state=state, origin=origin[:60], proof=proof[:300], recorded_at=at
        )
        if purpose == Purpose.PROFILING:
            refusal.settle(customer_ids=[customer_id], at=at)
        publish(ConsentWithdrawn(customer_id=customer_id, channel=str(channel), purpose=str(purpose), at=at, cause=cause))
    return entry


def record(*, statements: Sequence[Statement], origin: str, at: datetime, cause: str, proof: str = "") -> int:
    """Append the statements that change something and return how many. One query, more where some are about profiling; withdrawals are told after commit.

    proof: what the statements rest on, such as 'import 17'.
    origin: with 'identify' or 'import' a grant is written only where nothing was said before or where the last word came
    the same way: shop data that still says "subscribed" must not undo an unsubscribe link.
    """
    last: Mapping[tuple[int, str, str], Statement] = {(item.customer_id, item.channel, item.purpose): item for item in statements}
    if not last:
        return 0
    written = rows.with_rows(
        """
        INSERT INTO customers_consententry (customer_id, channel, purpose, state, basis, wording, origin, proof, recorded_at)
        SELECT r.customer_id, r.channel, r.purpose, r.state, CASE r.state WHEN 'granted' THEN 'consent' ELSE '' END, '', %s, %s, %s
        FROM json_to_recordset(%s::json) AS r(customer_id bigint, channel text, purpose text, state text)
        LEFT JOIN LATERAL (
            SELECT e.state, e.origin FROM customers_consententry e
            WHERE e.customer_id = r.customer_id AND e.purpose = r.purpose AND e.channel IN (r.channel, 'any')
            ORDER BY e.recorded_at DESC, e.id DESC LIMIT 1) before ON true
        WHERE before.state IS DISTINCT FROM r.state
          AND (r.state <> 'granted' OR before.state IS NULL OR NOT %s = ANY(%s) OR before.origin = ANY(%s))
        RETURNING customer_id, channel, purpose, state
        """,
        ({"customer_id": item.customer_id, "channel": item.channel, "purpose": item.purpose, "state": item.state} for item in last.values()),
        before=[origin, proof[:300], at],
        after=[origin, list(SECOND_HAND), list(SECOND_HAND)],
    )
    if profiling := [customer_id for customer_id, _channel, purpose, _state in written if purpose == Purpose.PROFILING]:
        refusal.settle(customer_ids=profiling, at=at)
    for customer_id, channel, purpose, state in written:
        if state != ConsentState.GRANTED:
            publish(ConsentWithdrawn(customer_id=customer_id, channel=channel, purpose=purpose, at=at, cause=cause))
    return len(written)


def take_back(*, proof: str, origin: str, at: datetime, cause: str) -> int:
    """Withdraw what was granted on that proof wherever it is still the last word, and return how many.

    The ledger is never shortened: it goes on saying what was believed, and from when to when.
    """
    found = rows.query(
        """
        SELECT e.customer_id, e.channel, e.purpose FROM customers_consententry e WHERE e.proof = %s AND e.state = 'granted' AND NOT EXISTS (
            SELECT FROM customers_consententry later WHERE later.customer_id = e.customer_id AND later.purpose = e.purpose
            AND later.channel IN (e.channel, 'any') AND (later.recorded_at, later.id) > (e.recorded_at, e.id))
        """,
        [proof],
    )
    statements = [Statement(customer_id, channel, ConsentState.WITHDRAWN.value, purpose) for customer_id, channel, purpose in found]
    return record(statements=statements, origin=origin, at=at, cause=cause, proof=f"{proof} taken back")


def _judge(purpose: str, merged: bool, has_address: bool, state: str | None, bounce: str | None) -> Verdict:
    if merged:
        return Verdict(allowed=False, reason="merged")
    if not has_address:
        return Verdict(allowed=False, reason="no_address")
    if bounce == ConsentState.BOUNCED:
        return Verdict(allowed=False, reason="bounced")
    if state is None:
        default_off = purpose == Purpose.MARKETING
        return Verdict(allowed=not default_off, reason="no_consent" if default_off else "default")
    if state == ConsentState.GRANTED:
        return Verdict(allowed=True, reason="granted")
    return Verdict(allowed=False, reason=state)


__all__ = [
    "REASONS",
    "Channel",
    "ConsentState",
    "Purpose",
    "Statement",
    "Verdict",
    "grant",
    "latest_states",
    "may_contact",
    "may_contact_on",
    "record",
    "take_back",
    "withdraw",
]
