"""Telling other programs what happens to conversations and tickets: signed, in order per address, again and again until heard.

A delivery is a row. The oldest waiting row of an address is sent; while it fails, later ones wait behind it, so a
receiver never hears of a closing before the message that came first.
"""

import contextlib
import hashlib
import hmac
import ipaddress
import json
import logging
import socket
import ssl
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from django.conf import settings
from django.db.models import Min, Q
from django.utils.encoding import iri_to_uri
from django.utils.translation import gettext_noop

from crm.core import clock
from crm.core.errors import CrmError
from crm.core.models import Source
from support.models import Conversation, Message, ServiceTarget, Ticket, Webhook, WebhookDelivery
from support.models.webhook import WebhookState

logger = logging.getLogger(__name__)

TOPICS = (
    "message.posted", "conversation.changed", "ticket.opened", "ticket.changed", "service.warning", "service.breach",
)  # fmt: skip
# Pauses after each failure; 10 attempts over about 34 hours, then it is given up and stays in the log.
PAUSES = tuple(timedelta(seconds=seconds) for seconds in (10, 30, 120, 600, 1800, 3600, 10_800, 21_600, 43_200, 43_200))
# For each step of an exchange, and for the whole: an answer that comes in drops would hold up all others.
TIMEOUT_SECONDS, LONGEST_SECONDS = 5.0, 15.0
# A row being sent is left alone for this long; a worker that dies leaves it to the next one.
LEASE = timedelta(seconds=60)
# Rows, and seconds, that one address gets in a round.
AT_ONCE, MOST_SECONDS = 20, 30
KEPT = timedelta(days=30)
# Seconds a process trusts that nobody wants to be told, so that a chat line costs no query.
KNOWN_FOR = 5.0
_known: tuple[float, bool] = (0.0, False)


class AddressForbidden(CrmError):
    code = "address_forbidden"
    status = 422
    message = gettext_noop("A webhook's address must be http or https on a public host.")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. status: 0 where nothing did, then `error` says why."""

    status: int
    error: str = ""


def wanted() -> bool:
    """Return whether there is an active webhook at all; remembered for a few seconds."""
    global _known
    until, answer = _known
    if time.monotonic() > until:
        answer = Webhook.objects.filter(is_active=True).exists()
        _known = (time.monotonic() + KNOWN_FOR, answer)
    return answer


def forget() -> None:
    """Look again at the next event; for doors that change webhooks, and tests."""
    global _known
    _known = (0.0, False)


def shop_goes(instance: Source, **_signal: object) -> None:
    """Switch off what is told of this shop alone, which goes: told of no shop means told of every one."""
    for hook in Webhook.objects.filter(sources=instance):
        hook.sources.remove(instance)
        if not hook.sources.exists():
            Webhook.objects.filter(pk=hook.pk).update(is_active=False)


def enqueue(*, topic: str, data: dict[str, object], source_id: int | None, at: datetime) -> int:
    """Keep a delivery for every address that wants the topic of the shop; returns how many. Two queries."""
    hooks = Webhook.objects.filter(is_active=True).filter(Q(sources=None) | Q(sources=source_id)).distinct()
    rows = [_delivery(hook, topic, data, at) for hook in hooks if not hook.topics or topic in hook.topics]
    return len(WebhookDelivery.objects.bulk_create(rows))


def _delivery(hook: Webhook, topic: str, data: dict[str, object], at: datetime) -> WebhookDelivery:
    event_id = uuid.uuid4()
    payload = {"id": str(event_id), "topic": topic, "created_at": at.isoformat(), "data": data}
    return WebhookDelivery(webhook=hook, event_id=event_id, topic=topic, payload=payload, next_at=at, created_at=at)


def signature(secret: str, *, body: bytes, timestamp: int) -> str:
    """Return the header's value: the time, and HMAC-SHA256 in hex over 'time.body'. A receiver refuses old times and other bodies."""
    mac = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={mac}"


def due(*, now: datetime) -> list[int]:
    """Return, of each active address, its oldest waiting delivery where its time has come. Two queries."""
    heads = WebhookDelivery.objects.filter(state=WebhookState.WAITING, webhook__is_active=True).order_by().values("webhook").annotate(head=Min("pk"))
    return list(WebhookDelivery.objects.filter(pk__in=[row["head"] for row in heads], next_at__lte=now).order_by("pk").values_list("pk", flat=True))


def sweep(*, now: datetime) -> int:
    """Send what is due, a few in a row to each address that hears; returns how many were delivered."""
    delivered, moment = 0, clock.going_on(now)
    for first in due(now=now):
        pk: int | None = first
        until = moment() + timedelta(seconds=MOST_SECONDS)
        for _ in range(AT_ONCE):
            if pk is None or moment() > until or not attempt(delivery_id=pk, now=moment()):
                break
            delivered += 1
            hook_id = WebhookDelivery.objects.values_list("webhook_id", flat=True).get(pk=pk)
            following = WebhookDelivery.objects.filter(webhook=hook_id, state=WebhookState.WAITING, next_at__lte=now).order_by("pk")
            pk = following.values_list("pk", flat=True).first()
    WebhookDelivery.objects.filter(created_at__lt=now - KEPT).exclude(state=WebhookState.WAITING).delete()
    return delivered


def attempt(*, delivery_id: int, now: datetime) -> bool:
    """Send one delivery unless another worker is at it; returns whether it was heard. No transaction is open meanwhile."""
    claimed = WebhookDelivery.objects.filter(pk=delivery_id, state=WebhookState.WAITING, next_at__lte=now).update(next_at=now + LEASE)
    if not claimed:
        return False
    row = WebhookDelivery.objects.select_related("webhook").get(pk=delivery_id)
    answer = send(
        row.webhook, body=json.dumps(row.payload, ensure_ascii=False, separators=(",", ":")).encode(), event_id=str(row.event_id), topic=row.topic, now=now
    )
    row.attempts += 1
    row.status, row.error = answer.status or None, answer.error[:200]
    heard = 200 <= answer.status < 300
    if heard:
        row.state, row.delivered_at = WebhookState.DELIVERED, now
    elif row.attempts >= len(PAUSES):
        row.state = WebhookState.GIVEN_UP
        logger.error("webhook given up", extra={"webhook": row.webhook_id, "delivery": row.pk})
    else:
        row.next_at = now + PAUSES[row.attempts - 1]
    row.save(update_fields=["attempts", "status", "error", "state", "delivered_at", "next_at"])
    return heard


def send(hook: Webhook, *, body: bytes, event_id: str, topic: str, now: datetime) -> Answer:
    """Post the body to the webhook's address and return what came back. Follows no redirect, never raises for the network's sake."""
    timestamp = int(now.timestamp())
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Perennial-Webhooks/1",
        "Perennial-Event": event_id,
        "Perennial-Topic": topic,
        "Perennial-Signature": signature(hook.secret, body=body, timestamp=timestamp),
    }
    try:
        link, path = _connection(hook.url)
        is_cut = threading.Event()
        last_word = threading.Timer(LONGEST_SECONDS, _cut, [link.sock, is_cut])
        last_word.start()
        try:
            link.request("POST", path, body=body, headers=headers)
            status = link.getresponse().status
            # Half a line reads as a whole one where the connection ends.
            return Answer(0, "Slow") if is_cut.is_set() else Answer(status)
        finally:
            last_word.cancel()
            link.close()
    except AddressForbidden as error:
        return Answer(0, error.code)
    except (OSError, HTTPException, ssl.SSLError, ValueError) as error:
        # ValueError: an address that cannot be put into a request. It is counted as any other failure, and the others go on.
        return Answer(0, type(error).__name__)


def _cut(connected: socket.socket, is_cut: threading.Event) -> None:
    is_cut.set()
    with contextlib.suppress(OSError):
        # Of the socket below TLS: the other thread is in the middle of reading from it.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


def check_address(url: str) -> tuple[str, str, int, str]:
    """Return (scheme, host, port, address to connect to). Raises AddressForbidden for what is not public, OSError for an unknown host.

    The address that was checked is the one that is connected to: a name that changes its mind in between gains nothing.
    """
    parts = urlsplit(url)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise AddressForbidden from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise AddressForbidden
    found = {str(entry[4][0]) for entry in socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)}
    if not settings.CRM_WEBHOOK_PRIVATE and not all(ipaddress.ip_address(each.split("%")[0]).is_global for each in found):
        raise AddressForbidden
    return parts.scheme, parts.hostname, port, min(found)


def _connection(url: str) -> tuple[HTTPConnection, str]:
    scheme, host, port, address = check_address(url)
    parts = urlsplit(url)
    link = HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS) if scheme == "https" else HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    plain = socket.create_connection((address, port), timeout=TIMEOUT_SECONDS)
    link.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=host) if scheme == "https" else plain
    return link, iri_to_uri((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


def message_data(message: Message) -> dict[str, object]:
    """Return a message as partners may know it; needs `conversation`."""
    return {
        "conversation": str(message.conversation.public_id),
        "seq": message.seq,
        "author": message.author,
        "kind": message.kind,
        "text": message.text,
        "language": message.language,
        "sent_at": message.sent_at.isoformat(),
    }


def conversation_data(talk: Conversation) -> dict[str, object]:
    """Return a conversation as partners may know it; needs `customer`."""
    return {
        "id": str(talk.public_id),
        "customer": str(talk.customer.public_id) if talk.customer else None,
        "state": talk.state,
        "priority": talk.priority,
        "language": talk.language,
        "intent": talk.intent,
        "last_seq": talk.last_seq,
        "opened_at": talk.opened_at.isoformat(),
        "closed_at": talk.closed_at.isoformat() if talk.closed_at else None,
        "csat": talk.csat,
    }


def ticket_data(ticket: Ticket) -> dict[str, object]:
    """Return a ticket as partners may know it; needs `customer`."""
    return {
        "id": ticket.pk,
        "subject": ticket.subject,
        "state": ticket.state,
        "priority": ticket.priority,
        "version": ticket.version,
        "customer": str(ticket.customer.public_id) if ticket.customer else None,
        "merged_into": ticket.merged_into_id,
        "opened_at": ticket.opened_at.isoformat(),
        "solved_at": ticket.solved_at.isoformat() if ticket.solved_at else None,
    }


def target_data(target: ServiceTarget) -> dict[str, object]:
    """Return a promise as partners may know it; needs `conversation` or `ticket`."""
    return {
        "aim": target.aim,
        "conversation": str(target.conversation.public_id) if target.conversation else None,
        "ticket": target.ticket_id,
        "due_at": target.due_at.isoformat() if target.due_at else None,
    }
