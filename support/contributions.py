"""What the chat adds to pages that do not know it: timeline entries of a customer, hits of the global search."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Avg, Count, Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from crm.core import formats
from crm.core.registries import MoodLine, SearchHit, TimelineEntry
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


def mood(customer_id: int, at: datetime) -> MoodLine | None:
    """Return how the customer's chats went: their ratings, and how many were complaints. One query."""
    found = Conversation.objects.filter(customer_id=customer_id, opened_at__lte=at).aggregate(
        chats=Count("pk"), rated=Count("csat"), mean=Avg("csat"), complaints=Count("pk", filter=Q(intent="complaint"))
    )
    if not found["chats"]:
        return None
    told = [ngettext("%(n)s chat", "%(n)s chats", found["chats"]) % {"n": formats.number(found["chats"])}]
    if found["complaints"]:
        told.append(ngettext("%(n)s complaint", "%(n)s complaints", found["complaints"]) % {"n": formats.number(found["complaints"])})
    if not found["rated"]:
        return MoodLine(str(_("Chats")), str(_("not rated")), " · ".join(told), "warning" if found["complaints"] else "neutral")
    mean = float(found["mean"])
    word = _("content") if mean >= 4 else _("so-so") if mean >= 3 else _("unhappy")
    told.append(
        ngettext("%(stars)s of 5 from %(n)s rating", "%(stars)s of 5 from %(n)s ratings", found["rated"])
        % {"stars": formats.number(mean, 1), "n": formats.number(found["rated"])}
    )
    return MoodLine(str(_("Chats")), str(word), " · ".join(told), "success" if mean >= 4 else "warning" if mean >= 3 else "danger")


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
