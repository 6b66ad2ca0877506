"""The door to the audit trail."""

from django.db import models

from crm.core import clock
from crm.core.models import AuditEntry, User


def record(*, actor: User | None, action: str, target: models.Model | None = None, data: dict[str, object] | None = None, actor_label: str = "") -> AuditEntry:
    """Write that `actor` did `action` (dotted code) to `target`, inside the caller's transaction.

    actor: None for programs; then `actor_label` says which ('key:abcd1234', 'system').
    data: small JSON facts such as before/after values; ids and codes, never message text or e-mails.
    """
    return AuditEntry.objects.create(
        at=clock.now(),
        actor=actor,
        actor_label=actor_label or (actor.get_username() if actor else "system"),
        action=action,
        target_type=target._meta.label_lower if target is not None else "",
        target_id=str(target.pk) if target is not None else "",
        target_label=str(target)[:200] if target is not None else "",
        data=data or {},
    )
