"""From one tracking call as sent to one event as understood; everything that can be wrong with it is found here.

Nothing in this module touches the database. A call that cannot be understood raises EventRejected with a code.
"""

import hashlib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import orjson

from customers import ecommerce
from customers.ecommerce import EventRejected, ShopFacts, text
from customers.facts import ConsentFacts, PersonFacts
from customers.identity import NOBODY, PersonKey
from customers.models.activity import ActivityKind

KINDS = frozenset(kind.value for kind in ActivityKind)
LARGEST_EVENT = 32_768
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
# A smaller number counts seconds (until the year 5138), a larger one milliseconds (from March 1973 on).
_SECONDS_BELOW = 10**11
# U+0000 as JSON writes it; with an even number of backslashes it is the visible text "\\u0000".
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
# Ids that broken integrations send for "nobody"; taking them at their word would melt all visitors into one person.
NOT_IDS = frozenset({"null", "undefined", "none", "nan", "nil", "[object object]"})
_EMAIL = re.compile(r"[^@\s<>\"',;:]{1,64}@[^@\s<>\"',;:.]+(\.[^@\s<>\"',;:.]+)+")
# What nobody should keep, whatever a form sends along.
_SECRETS = frozenset({"password", "creditCard", "credit_card", "cvv"})
# Traits that have a column or the ledger.
_COLUMN_TRAITS = _SECRETS | {
    "email", "phone", "name", "firstName", "lastName", "first_name", "last_name", "locale", "language", "country", "city", "address", "timezone", "timeZone", "gender", "birthday",
    "currency", "tags", "consent", "emailOptIn", "email_opt_in", "acceptsMarketing", "accepts_marketing", "newsletter", "smsOptIn", "sms_opt_in", "unsubscribed",
}  # fmt: skip
_OPT_IN = {
    "emailOptIn": "email", "email_opt_in": "email", "acceptsMarketing": "email", "accepts_marketing": "email", "newsletter": "email",
    "smsOptIn": "sms", "sms_opt_in": "sms",
}  # fmt: skip
_CHANNELS = frozenset({"email", "sms", "push", "chat", "any"})


@dataclass(frozen=True, slots=True)
class EventFacts:
    """One tracking call, ready to be stored. properties and context are JSON bytes."""

    message_id: str
    kind: str
    name: str
    key: PersonKey
    also: PersonKey
    occurred_at: datetime
    sent_at: datetime | None
    original_at: datetime | None
    properties: bytes
    context: bytes
    person: PersonFacts | None
    shop: ShopFacts


def read(raw: object, *, kind: str = "", received_at: datetime, sent_at: object = None, currency: str, locale: str = "") -> EventFacts:
    """Return the event. kind: fixed by the address, '' for a batch item with a `type`.  Raises EventRejected."""
    if not isinstance(raw, Mapping):
        raise EventRejected("invalid_event", "An event must be a JSON object.")
    size = len(_json(raw))
    if size > LARGEST_EVENT:
        raise EventRejected("event_too_large", f"An event may have {LARGEST_EVENT} bytes; this one has {size}.")
    kind = kind or (str(raw.get("type")).lower() if isinstance(raw.get("type"), str) else "")
    if kind not in KINDS:
        raise EventRejected("invalid_type", "type must be identify, track, page, screen, group or alias.")
    context = _object(raw, "context")
    properties = _object(raw, "traits" if kind in {"identify", "group"} else "properties")
    traits: dict[str, object] = {}
    if kind == "identify":
        # RudderStack puts traits only in context.traits; where both are sent the event's own win.
        inner = context.get("traits")
        if isinstance(inner, Mapping):
            traits = {**inner, **properties}
            context = {name: value for name, value in context.items() if name != "traits"}
        else:
            traits = dict(properties)
        properties = {name: value for name, value in traits.items() if name not in _SECRETS}
    occurred_at, sent, original = _moments(raw, received_at, sent_at)
    key, also = _who(raw, kind, properties, context, traits)
    name = _name(raw, kind, properties)
    message_id = _message_id(raw)
    if kind == "group":
        properties = {**properties, "groupId": name}
    elif kind == "alias":
        properties = {**properties, "previousId": also.anonymous_id}
    shop = ecommerce.NOTHING
    if kind == "track":
        language = text(context.get("locale"), 16) or locale
        shop = ecommerce.read(name=name, properties=properties, message_id=message_id, person=key, at=occurred_at, currency=currency, language=language)
    person = _person(key, traits, context, occurred_at) if kind == "identify" else None
    return EventFacts(message_id, kind, name, key, also, occurred_at, sent, original, _json(properties), _json(context), person, shop)


def email_of(value: object) -> str:
    """Return a usable address in lower case, else ''."""
    if not isinstance(value, str):
        return ""
    address = value.strip().lower()
    return address if len(address) <= 254 and _EMAIL.fullmatch(address) else ""


def moment(value: object) -> datetime | None:
    """Return a moment in UTC from ISO 8601 text (naive text is UTC) or seconds or milliseconds since 1970, else None.

    In UTC, because PostgreSQL refuses offsets that Python accepts (such as +23:59).
    """
    try:
        if isinstance(value, str):
            found = datetime.fromisoformat(value.strip())
            return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value if abs(value) < _SECONDS_BELOW else value / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def _json(value: object) -> bytes:
    try:
        packed = orjson.dumps(value)
    except TypeError:
        raise EventRejected("too_deep", "An event may be nested at most 250 levels deep.") from None
    if b"\\u0000" in packed and _NUL.search(packed):
        raise EventRejected("invalid_text", "Text may not contain the character U+0000.")
    return packed


def _object(raw: Mapping[str, object], name: str) -> dict[str, object]:
    value = raw.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise EventRejected("invalid_event", f"{name} must be an object.")
    return value


def _identifier(raw: Mapping[str, object], name: str) -> str:
    value = raw.get(name)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise EventRejected("invalid_id", f"{name} must be a string.")
    if isinstance(value, float) and not (value.is_integer() and abs(value) < ecommerce.LARGEST_EXACT):
        # Such numbers lose digits on the way: two people would become one.
        raise EventRejected("invalid_id", f"{name} is not a whole number below 2^53; send it as a string.")
    found = (str(int(value)) if isinstance(value, float) else str(value)).strip()
    if len(found) > 255:
        raise EventRejected("invalid_id", f"{name} may have 255 characters.")
    return "" if found.lower() in NOT_IDS else found


def _who(
    raw: Mapping[str, object], kind: str, properties: Mapping[str, object], context: Mapping[str, object], traits: Mapping[str, object]
) -> tuple[PersonKey, PersonKey]:
    user_id, anonymous_id = _identifier(raw, "userId"), _identifier(raw, "anonymousId")
    if kind == "alias":
        previous = _identifier(raw, "previousId")
        if not user_id or not previous:
            raise EventRejected("missing_id", "alias needs userId and previousId.")
        return PersonKey(user_id, "", anonymous_id), PersonKey(user_id, "", previous)
    if not user_id and not anonymous_id:
        raise EventRejected("missing_id", "userId or anonymousId is required.")
    email = ""
    if kind == "identify":
        email = email_of(traits.get("email"))
    elif kind == "track" and not user_id:
        # A guest's checkout often carries the address and no user id.
        inner = context.get("traits")
        email = email_of(properties.get("email")) or (email_of(inner.get("email")) if isinstance(inner, Mapping) else "")
    return PersonKey(user_id, email, anonymous_id), NOBODY


def _name(raw: Mapping[str, object], kind: str, properties: Mapping[str, object]) -> str:
    if kind == "track":
        name = text(raw.get("event"), 1000)
        if not name:
            raise EventRejected("missing_event", "track needs event.")
        return ecommerce.canonical_name(name)
    if kind in {"page", "screen"}:
        return text(raw.get("name"), 200) or text(properties.get("name"), 200) or text(properties.get("title"), 200)
    if kind == "group":
        group_id = text(raw.get("groupId"), 200)
        if not group_id:
            raise EventRejected("missing_id", "group needs groupId.")
        return group_id
    return ""


def _message_id(raw: Mapping[str, object]) -> str:
    value = raw.get("messageId")
    if value is None or value == "":
        # Nothing to recognise a repetition by; a fresh one at least keeps the event.
        return f"none-{uuid.uuid4()}"
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise EventRejected("invalid_id", "messageId must be a string.")
    message_id = str(value)
    return message_id if len(message_id) <= 100 else "sha256-" + hashlib.sha256(message_id.encode()).hexdigest()


def _moments(raw: Mapping[str, object], received_at: datetime, batch_sent_at: object) -> tuple[datetime, datetime | None, datetime | None]:
    """Correct for the sender's clock: when it happened is as long before we received it as it was before it was sent."""
    original = _moment_field(raw, "originalTimestamp") or _moment_field(raw, "timestamp")
    sent = _moment_field(raw, "sentAt") or moment(batch_sent_at)
    if original is None:
        return received_at, sent, None
    occurred = original
    if sent is not None:
        try:
            occurred = received_at - (sent - original)
        except OverflowError:
            raise EventRejected("invalid_timestamp", "timestamp and sentAt are too far apart.") from None
    if occurred < EARLIEST:
        raise EventRejected("invalid_timestamp", "timestamp may not be before 1970.")
    return min(occurred, received_at), sent, original


def _moment_field(raw: Mapping[str, object], name: str) -> datetime | None:
    value = raw.get(name)
    if value is None or value == "":
        return None
    found = moment(value)
    if found is None or not EARLIEST - timedelta(days=1) <= found <= datetime(9999, 1, 1, tzinfo=UTC):
        raise EventRejected("invalid_timestamp", f"{name} must be an ISO 8601 moment such as 2026-11-03T08:30:00Z.")
    return found


def _person(key: PersonKey, traits: Mapping[str, object], context: Mapping[str, object], seen_at: datetime) -> PersonFacts:
    address = traits.get("address")
    address = address if isinstance(address, Mapping) else {}
    first = text(traits.get("firstName") or traits.get("first_name"), 100)
    last = text(traits.get("lastName") or traits.get("last_name"), 100)
    tags = traits.get("tags")
    try:
        currency = ecommerce.currency_of(traits.get("currency"), "")
    except EventRejected:
        currency = ""
    return PersonFacts(
        key=key,
        seen_at=seen_at,
        name=text(traits.get("name"), 200) or f"{first} {last}".strip(),
        email=key.email,
        phone=text(traits.get("phone"), 40),
        locale=text(traits.get("locale") or traits.get("language") or context.get("locale"), 16),
        country=text(traits.get("country") or address.get("country"), 60),
        city=text(traits.get("city") or address.get("city"), 100),
        time_zone=text(traits.get("timezone") or traits.get("timeZone") or context.get("timezone"), 50),
        gender=text(traits.get("gender"), 16),
        birth_date=_date(traits.get("birthday"), seen_at.date()),
        currency=currency,
        tags=tuple(text(tag, 50) for tag in tags[:50] if text(tag, 50)) if isinstance(tags, list) else (),
        traits={name: value for name, value in traits.items() if name not in _COLUMN_TRAITS},
        consents=tuple(_consents(traits)),
    )


def _date(value: object, latest: date) -> date | None:
    try:
        found = date.fromisoformat(value.strip()[:10]) if isinstance(value, str) else None
    except ValueError:
        return None
    return found if found and date(1900, 1, 1) <= found <= latest else None


def _consents(traits: Mapping[str, object]) -> list[ConsentFacts]:
    stated: dict[tuple[str, str], str] = {}
    for name, channel in _OPT_IN.items():
        if (answer := _yes_or_no(traits.get(name))) is not None:
            stated[channel, "marketing"] = answer
    if _yes_or_no(traits.get("unsubscribed")) == "granted":
        stated["email", "marketing"] = "withdrawn"
    detailed = traits.get("consent")
    if isinstance(detailed, Mapping):
        for name, value in detailed.items():
            answer = _yes_or_no(value)
            if answer is None:
                continue
            if name in _CHANNELS:
                stated[name, "marketing"] = answer
            elif name in {"marketing", "profiling"}:
                stated["any", name] = answer
    for name in _CHANNELS:
        if (answer := _yes_or_no(traits.get(f"consent.{name}"))) is not None:
            stated[name, "marketing"] = answer
    return [ConsentFacts(channel, state, purpose) for (channel, purpose), state in stated.items()]


def _yes_or_no(value: object) -> str | None:
    if isinstance(value, str):
        value = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(value.strip().lower())
    if isinstance(value, bool):
        return "granted" if value else "withdrawn"
    return None
