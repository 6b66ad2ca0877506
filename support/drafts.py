"""What somebody has begun to write, kept on the server."""

from datetime import datetime

from crm.core.models import User
from support.conversations import LONGEST_TEXT, cleaned
from support.models import Draft


def keep(*, conversation_id: int, user: User, text: str, is_note: bool, now: datetime) -> bool:
    """Store the draft; an empty one is forgotten. Returns whether one is kept. One statement."""
    text = cleaned(text)[:LONGEST_TEXT]
    if not text:
        Draft.objects.filter(conversation_id=conversation_id, user=user).delete()
        return False
    Draft.objects.bulk_create(
        [Draft(conversation_id=conversation_id, user=user, text=text, is_note=is_note, updated_at=now)],
        update_conflicts=True,
        unique_fields=["conversation", "user"],
        update_fields=["text", "is_note", "updated_at"],
    )
    return True


def of(*, conversation_id: int, user: User) -> Draft | None:
    """Return the user's draft. One query."""
    return Draft.objects.filter(conversation_id=conversation_id, user=user).first()
