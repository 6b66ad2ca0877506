"""Making and recognising partners' API keys.

A key reads `prn_<prefix>_<secret>`: the prefix finds the row, the secret holds 256 random bits, so a plain SHA-256
is enough (a slow password hash would dominate the cost of each call and protects nothing here).
"""

import hashlib
import secrets
from datetime import datetime, timedelta

from django.utils.crypto import constant_time_compare

from crm.core import audit, clock
from crm.core.errors import CrmError
from crm.core.models import ApiKey, Source, User

# scope -> what it opens; `create_api_key` and the docs page print this table.
SCOPES: dict[str, str] = {
    "customers:read": "Read customers and their portraits",
    "customers:write": "Create customers and change their fields",
    "orders:read": "Read orders and returns",
    "products:read": "Read products",
    "activity:read": "Read activity",
    "segments:read": "Read segments and their members",
    "segments:write": "Create and change segments",
    "recommendations:read": "Read recommendations",
    "recommendations:write": "Report clicks and purchases of recommendations",
    "campaigns:read": "Read campaigns and their results",
    "campaigns:write": "Create and edit campaign drafts",
    "support:read": "Read conversations and tickets",
    "support:write": "Create and change tickets",
    "models:read": "Read model versions",
}
# last_used_at is for people looking at a list; writing it on every call would double the cost of reading.
_TOUCH_EVERY = timedelta(minutes=1)


class ScopeUnknown(CrmError):
    code = "scope_unknown"
    message = "There is no such scope."


def create(
    *, name: str, scopes: list[str], created_by: User | None = None, sources: list[Source] | None = None, expires_at: datetime | None = None
) -> tuple[ApiKey, str]:
    """Return the new key's row and its text, which is shown this once and never stored."""
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown:
        raise ScopeUnknown(f"Unknown scope {', '.join(unknown)}; choose from: {', '.join(SCOPES)}.", scopes=unknown)
    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    key = ApiKey.objects.create(name=name, prefix=prefix, secret_hash=_hash(secret), scopes=sorted(set(scopes)), created_by=created_by, expires_at=expires_at)
    key.sources.set(sources or [])
    return key, f"prn_{prefix}_{secret}"


def recognise(text: str, *, at: datetime) -> ApiKey | None:
    """Return the live key this text stands for, or None. One query; one write per key and minute."""
    parts = text.split("_", 2)
    if len(parts) != 3 or parts[0] != "prn" or "\x00" in text:
        return None
    key = ApiKey.objects.prefetch_related("sources").filter(prefix=parts[1], revoked_at=None).first()
    if key is None or not constant_time_compare(key.secret_hash, _hash(parts[2])):
        return None
    if key.expires_at is not None and key.expires_at <= at:
        return None
    if key.last_used_at is None or at - key.last_used_at > _TOUCH_EVERY:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=at)
    return key


def shop_goes(instance: Source, **_signal: object) -> None:
    """Revoke the keys limited to this shop alone, which goes: limited to no shop means let into every one."""
    for key in ApiKey.objects.filter(sources=instance):
        key.sources.remove(instance)
        if not key.sources.exists() and key.revoked_at is None:
            ApiKey.objects.filter(pk=key.pk).update(revoked_at=clock.now())
            audit.record(actor=None, actor_label="shop removed", action="api_key.revoke", target=key)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
