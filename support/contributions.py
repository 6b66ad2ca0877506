"""What the chat adds to pages that do not know it: timeline entries of a customer, hits of the global search."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from crm.core.registries import SearchHit, TimelineEntry
from support.models import Conversation, Ticket


def timeline(customer_id: int, before: datetime, limit: int) -> Sequence[TimelineEntry]:
    """Return the customer's conversations begun before a moment, newest first. One query."""
    found = Conversation.objects.filter(customer_id=customer_id, opened_at__lt=before).order_by("-opened_at", "-pk")[:limit]
    return [
        TimelineEntry(
            at=each.opened_at,
            kind="conversation",
            icon="chat-bubble-left-right",
            title=_("Wrote in the chat"),
            detail=each.last_line,
            url=reverse("support:conversation", args=[each.pk]),
        )
        for each in found
    ]


def conversations_found(text: str, limit: int) -> Sequence[SearchHit]:
    """Return conversations whose visitor or last line holds the text. One query."""
    text = text.strip()
    match = Q(visitor_name__icontains=text) | Q(visitor_email__iexact=text) | Q(last_line__icontains=text) | Q(customer__name__icontains=text)
    found = Conversation.objects.filter(match).select_related("customer").order_by("-last_message_at", "-pk")[:limit]
    return [
        SearchHit(_("Conversation"), str(each.customer or each.visitor_name or each), each.last_line[:120], reverse("support:conversation", args=[each.pk]))
        for each in found
    ]


def tickets_found(text: str, limit: int) -> Sequence[SearchHit]:
    """Return tickets whose subject holds the text. One query."""
    found = Ticket.objects.filter(subject__icontains=text.strip()).order_by("-opened_at", "-pk")[:limit]
    return [
        SearchHit(
            _("Ticket"),
            each.subject,
            str(each.get_state_display()),
            reverse("support:conversation", args=[each.conversation_id]) if each.conversation_id else reverse("support:tickets"),
        )
        for each in found
    ]
