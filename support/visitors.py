"""Who a visitor is: a random browser id in a short-lived signed token, and an identity only the shop can sign.

A token is bound to one widget (source) and one visitor and is worth nothing elsewhere. Nobody becomes a known customer
by typing an e-mail address: that takes the shop's own signature over the customer's id, with its time.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from django.core import signing
from django.db import transaction
from django.utils.translation import gettext_noop

from crm.core import audit, rows
from crm.core.errors import CrmError
from crm.core.models import Source, User
from customers import identity
from customers.models import Customer
from support import attachments, conversations
from support.models import Conversation, TokenRevocation
from support.models.conversation import Author, ConversationState

# Seconds a token lasts; a leaked one dies within the hour, and the widget renews it silently.
TOKEN_SECONDS = 3600
# A proven identity can be renewed for this long without a fresh signature from the shop.
IDENTITY_LASTS = timedelta(hours=24)
# Age and clock error allowed for the shop's signature.
SIGNATURE_LASTS, CLOCK_ERROR = timedelta(hours=1), timedelta(minutes=5)
_SALT = "support.visitor"
_VISITOR_ID = re.compile(r"[0-9a-f]{32}")


class TokenBad(CrmError):
    code = "token_bad"
    status = 401
    message = "The visitor token is not valid or has expired; ask for a new one."


class KeyUnknown(CrmError):
    code = "key_unknown"
    status = 404
    message = "There is no active widget with this key."


class OriginForeign(CrmError):
    code = "origin_foreign"
    status = 403
    message = "This website may not use this widget."


class IdentityBad(CrmError):
    code = "identity_bad"
    status = 403
    message = "The identity's signature is wrong or too old."


class TooFast(CrmError):
    code = "too_fast"
    status = 429
    message = gettext_noop("Too many messages in a short time; wait a moment.")


@dataclass(frozen=True, slots=True)
class Visitor:
    """What a token says. customer_id: only after a valid signature. proven_at: when that was; issued_at: of the token. Unix seconds."""

    source_id: int
    visitor_id: str
    customer_id: int | None = None
    proven_at: int = 0
    issued_at: int = field(default=0, compare=False)

    @property
    def is_verified(self) -> bool:
        return self.customer_id is not None


@dataclass(frozen=True, slots=True)
class IdentityClaim:
    """What the shop's page says of its logged-in customer; timestamp in Unix seconds."""

    user_id: str
    email: str
    timestamp: int
    signature: str


def new_visitor_id() -> str:
    return secrets.token_hex(16)


def active_source(write_key: str) -> Source:
    """Return the widget's source. Raises KeyUnknown."""
    found = Source.objects.filter(write_key=write_key, is_active=True).first() if 0 < len(write_key) <= 64 and "\x00" not in write_key else None
    if found is None:
        raise KeyUnknown
    return found


def issue(visitor: Visitor) -> str:
    """Return the visitor's signed token."""
    payload = {"s": visitor.source_id, "v": visitor.visitor_id}
    if visitor.is_verified:
        payload |= {"c": visitor.customer_id, "p": visitor.proven_at}
    return signing.dumps(payload, salt=_SALT, compress=False)


def read(token: str, *, now: datetime) -> Visitor:
    """Return whom a token stands for. Raises TokenBad. Runs no query; `admitted` says whether it is still welcome."""
    try:
        payload = signing.loads(token, salt=_SALT, max_age=TOKEN_SECONDS)
        # The signature covers the time, which stands between the two last colons.
        issued_at = signing.b62_decode(token.rsplit(":", 2)[1])
        visitor = Visitor(int(payload["s"]), str(payload["v"]), payload.get("c"), int(payload.get("p", 0)), issued_at)
    except (signing.BadSignature, KeyError, TypeError, ValueError, AttributeError):
        raise TokenBad from None
    if visitor.is_verified and visitor.proven_at < (now - IDENTITY_LASTS).timestamp():
        raise TokenBad
    return visitor


# Who has proven no identity has a NULL customer, which equals none.
_ADMITS = """
 WHERE t.id = %(source)s AND t.is_active
   AND NOT EXISTS (
       SELECT FROM support_tokenrevocation AS revoked
        WHERE revoked.source_id = t.id AND revoked.at > %(issued)s
          AND (revoked.customer_id IS NULL OR revoked.customer_id = %(customer)s::bigint))
"""


def admitted(visitor: Visitor) -> Source:
    """Return the widget of a token, which must be active and not have revoked it. Raises TokenBad. One query."""
    issued = datetime.fromtimestamp(visitor.issued_at, UTC)
    source = rows.prepared_first(Source, _ADMITS, {"source": visitor.source_id, "customer": visitor.customer_id, "issued": issued})
    if source is None:
        raise TokenBad
    return source


def revoke(*, source: Source, by: User | None, now: datetime, customer_id: int | None = None) -> TokenRevocation:
    """Make the tokens issued so far worthless: one customer's, or all of the widget's. Open sockets are cut within a minute.

    Visitors get a new token by themselves; who had proven an identity must prove it again.
    """
    with transaction.atomic():
        row = TokenRevocation.objects.create(source=source, customer_id=customer_id, at=now, by=by)
        audit.record(actor=by, action="chat.revoke_tokens", target=source, data={"customer": customer_id})
        return row


def enter(*, source: Source, now: datetime, visitor_id: str = "", claim: IdentityClaim | None = None, renewed: Visitor | None = None) -> Visitor:
    """Return the visitor a token may be issued for.

    visitor_id: what the browser kept; anything but 32 hex digits is replaced by a fresh id.
    renewed: who an earlier, still valid token of the same source and visitor stood for; keeps a proven identity.
    Raises IdentityBad.
    """
    if not _VISITOR_ID.fullmatch(visitor_id):
        visitor_id = new_visitor_id()
    if claim is not None:
        customer = proven_customer(source=source, claim=claim, now=now)
        return Visitor(source.pk, visitor_id, customer.pk, int(now.timestamp()))
    if renewed is not None and (renewed.source_id, renewed.visitor_id) == (source.pk, visitor_id):
        return renewed
    return Visitor(source.pk, visitor_id)


def signature(secret: str, *, user_id: str, email: str, timestamp: int) -> str:
    """Return the hex HMAC-SHA256 a shop's server computes over 'user_id\\nemail\\ntimestamp'."""
    return hmac.new(secret.encode(), f"{user_id}\n{email}\n{timestamp}".encode(), hashlib.sha256).hexdigest()


def proven_customer(*, source: Source, claim: IdentityClaim, now: datetime) -> Customer:
    """Return the customer the shop vouches for, creating one at first contact. Raises IdentityBad."""
    signed_at = claim.timestamp
    if not (now - SIGNATURE_LASTS).timestamp() <= signed_at <= (now + CLOCK_ERROR).timestamp():
        raise IdentityBad
    if not source.identity_secret or not claim.user_id or any(sign in claim.user_id + claim.email for sign in "\n\x00"):
        raise IdentityBad
    expected = signature(source.identity_secret, user_id=claim.user_id, email=claim.email, timestamp=signed_at)
    if not hmac.compare_digest(expected.encode(), claim.signature.encode("utf-8", "ignore")):
        raise IdentityBad
    key = identity.PersonKey(user_id=claim.user_id[:255], email=claim.email.strip().lower()[:254])
    with transaction.atomic():
        found = identity.resolve(source_id=source.pk, keys=[key], at=now, is_demo=source.is_demo, cause="chat")
    customer_id = found.customer_ids[0]
    assert customer_id is not None  # noqa: S101  (a key with a user id always leads to somebody)
    return Customer.objects.get(pk=customer_id)


def origin_of(value: str) -> str | None:
    """Return 'scheme://host[:port]' in lower case without a default port, or None for what is not a web origin."""
    try:
        parts = urlsplit(value.strip().lower())
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None or parts.path not in {"", "/"}:
        return None
    if parts.query or parts.fragment or any(character.isspace() for character in value.strip()):
        return None
    default = {"http": 80, "https": 443}[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port and port != default else "")


def check_origin(*, source: Source, origin: str, own_host: str) -> None:
    """Accept pages of this installation (the widget's frame) and of the shop's listed sites. Raises OriginForeign.

    own_host: the request's Host header. An empty list admits this installation alone; a missing origin is refused.
    """
    found = origin_of(origin)
    if found is None:
        raise OriginForeign
    if found in {origin_of(f"http://{own_host}"), origin_of(f"https://{own_host}")}:
        return
    if found not in {origin_of(listed) for listed in source.allowed_origins}:
        raise OriginForeign


def write(
    visitor: Visitor, *, conversation_id: int | None, text: str, client_id: str, language: str, now: datetime, choice: str = ""
) -> tuple[conversations.Posted, Conversation | None]:
    """Post what the visitor wrote; return the message and its conversation where that is not `conversation_id`.

    conversation_id: the one the visitor is known to be in, or None to look. choice: the intent picked from a question
    the assistant asked. A text that cannot be stored is refused before a conversation is opened for it.
    Raises what conversations.post raises; how often one may write is the door's business.
    """
    text = conversations.checked(text)

    def post(into: int) -> conversations.Posted:
        data: dict[str, object] | None = {"choice": choice} if choice else None
        return conversations.post(conversation_id=into, author=Author.VISITOR, text=text, client_id=client_id, data=data, now=now)

    if conversation_id is not None:
        try:
            return post(conversation_id), None
        except conversations.ConversationOver:
            pass
    conversation = conversations.for_visitor(
        source_id=visitor.source_id, visitor_id=visitor.visitor_id, customer_id=visitor.customer_id, language=language, now=now
    )
    return post(conversation.pk), conversation


def send_file(visitor: Visitor, *, content: bytes, name: str, client_id: str, language: str, now: datetime) -> tuple[conversations.Posted, Conversation]:
    """Attach the visitor's file to the conversation it belongs to; one with the assistant, who cannot read it, goes to a person.

    Raises what attachments.attach raises; a file that may not be attached opens no conversation.
    """
    attachments.checked(content)
    into = conversations.for_visitor(source_id=visitor.source_id, visitor_id=visitor.visitor_id, customer_id=visitor.customer_id, language=language, now=now)
    posted = attachments.attach(conversation_id=into.pk, content=content, name=name, client_id=client_id, now=now)
    into.refresh_from_db()
    if into.state == ConversationState.BOT and posted.is_new:
        into = conversations.hand_over(conversation_id=into.pk, reason="file", phrase="handover_file", now=now)
    return posted, into
