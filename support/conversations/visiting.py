"""What a visitor leaves beside messages: an address, a rating, and how far each side has received and read."""

from datetime import datetime

from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator
from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Greatest

from crm.core.events import publish
from support.conversations.rules import LONGEST_EMAIL, SEEN_BY_STAFF, EmailBad, RatingBad, cleaned, locked
from support.events import ConversationChanged
from support.models import Conversation

# Without Django's exception for localhost: nobody outside can be written to there.
_check_email = EmailValidator(allowlist=[])


def leave_address(*, conversation_id: int, email: str, now: datetime) -> Conversation:
    """Keep the address a visitor wants to be answered at; it proves nothing about who they are. Raises EmailBad."""
    email = email.strip().lower()
    try:
        _check_email(email)
    except ValidationError:
        raise EmailBad from None
    if not email.isascii() or len(email) > LONGEST_EMAIL:
        raise EmailBad
    with transaction.atomic():
        conversation = locked(conversation_id)
        if conversation.visitor_email != email:
            conversation.visitor_email = email
            conversation.save(update_fields=["visitor_email"])
            publish(ConversationChanged(conversation.pk, now, "email"))
        return conversation


def rate(*, conversation_id: int, csat: int, now: datetime, comment: str = "") -> Conversation:
    """Store the visitor's rating 1 to 5; rating again replaces it. Raises RatingBad."""
    if isinstance(csat, bool) or not isinstance(csat, int) or not 1 <= csat <= 5:
        raise RatingBad
    with transaction.atomic():
        conversation = locked(conversation_id)
        conversation.csat, conversation.csat_comment, conversation.csat_at = csat, cleaned(comment)[:500], now
        conversation.save(update_fields=["csat", "csat_comment", "csat_at"])
        publish(ConversationChanged(conversation.pk, now, "rating"))
        return conversation


def mark_read(*, conversation_id: int, seq: int, by_visitor: bool, now: datetime) -> bool:
    """Remember that a side has read up to `seq`; True if that is news. Never beyond what exists, never backwards.

    What was read was received.
    """
    side = "visitor" if by_visitor else "agent"
    behind = Conversation.objects.filter(pk=conversation_id, last_seq__gte=seq, **{f"{side}_read_seq__lt": seq})
    moved = behind.update(**{f"{side}_read_seq": seq, f"{side}_got_seq": Greatest(f"{side}_got_seq", Value(seq))})
    if moved:
        publish(ConversationChanged(conversation_id, now, "read" if by_visitor else SEEN_BY_STAFF))
    return bool(moved)


def mark_got(*, conversation_id: int, seq: int, by_visitor: bool, now: datetime) -> bool:
    """Remember that a side's page has received everything up to `seq`; True if that is news. As mark_read."""
    field = "visitor_got_seq" if by_visitor else "agent_got_seq"
    moved = Conversation.objects.filter(pk=conversation_id, last_seq__gte=seq, **{f"{field}__lt": seq}).update(**{field: seq})
    if moved:
        publish(ConversationChanged(conversation_id, now, "got" if by_visitor else SEEN_BY_STAFF))
    return bool(moved)
