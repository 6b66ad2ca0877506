"""Which conversation a visitor's line belongs to: a new one, the one they had, or the one they have proven to be theirs."""

from datetime import datetime

from django.db import transaction

from crm.core import locks, rows
from support.conversations.rules import is_over
from support.language import known
from support.models import Conversation, TeamSource


def open(
    *,
    source_id: int,
    visitor_id: str,
    now: datetime,
    language: str = "en",
    customer_id: int | None = None,
    is_verified: bool = False,
    visitor_name: str = "",
    visitor_email: str = "",
    is_demo: bool = False,
) -> Conversation:
    """Return a new conversation with the assistant, without messages.

    is_verified: the customer's identity was proven by the shop's signature; without it customer_id must come from
    staff, never from what a visitor typed.
    """
    return Conversation.objects.create(
        source_id=source_id,
        team_id=TeamSource.objects.filter(source_id=source_id).values_list("team_id", flat=True).first(),
        visitor_id=visitor_id,
        customer_id=customer_id,
        is_verified=is_verified,
        visitor_name=visitor_name[:100],
        visitor_email=visitor_email,
        language=known(language),
        opened_at=now,
        last_message_at=now,
        is_demo=is_demo,
    )


def current(*, source_id: int, visitor_id: str, customer_id: int | None) -> Conversation | None:
    """Return the visitor's newest conversation in any state, or None.

    customer_id: set only for a proven identity. A proven customer finds their own from any browser; a visitor who is
    not proven never sees a proven one, even from the browser it was held in.
    """
    mine = _PROVEN if customer_id is not None else _UNPROVEN
    return rows.prepared_first(Conversation, mine + _NEWEST, {"source": source_id, "visitor": visitor_id, "customer": customer_id})


_UNPROVEN = "WHERE t.source_id = %(source)s AND t.visitor_id = %(visitor)s AND NOT t.is_verified"
_PROVEN = """
WHERE t.source_id = %(source)s
  AND (t.visitor_id = %(visitor)s AND NOT t.is_verified OR t.customer_id = %(customer)s AND t.is_verified)"""
_NEWEST = " ORDER BY t.last_message_at DESC, t.id DESC LIMIT 1"


def as_it_stands(conversation_id: int) -> Conversation | None:
    """Return the row as it is now, or None where there is none."""
    return rows.prepared_first(Conversation, "WHERE t.id = %s", [conversation_id])


def for_visitor(*, source_id: int, visitor_id: str, customer_id: int | None, language: str, now: datetime) -> Conversation:
    """Return the conversation a visitor's new message belongs to, opening one where needed.

    Two tabs that write their first line at once get the same conversation.
    """
    with transaction.atomic():
        locks.take(f"visitor:{source_id}:{visitor_id}")
        found = current(source_id=source_id, visitor_id=visitor_id, customer_id=customer_id)
        if found and not is_over(found, now):
            return adopt(conversation=found, customer_id=customer_id)
        return open(source_id=source_id, visitor_id=visitor_id, customer_id=customer_id, is_verified=customer_id is not None, language=language, now=now)


def adopt(*, conversation: Conversation, customer_id: int | None) -> Conversation:
    """Give an unproven visitor's conversation to the customer the same browser has proven to be since."""
    if customer_id is not None and not conversation.is_verified:
        conversation.customer_id, conversation.is_verified = customer_id, True
        conversation.save(update_fields=["customer", "is_verified"])
    return conversation
