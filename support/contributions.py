"""What the chat adds to pages that do not know it: timeline entries of a customer, hits of the global search."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Avg, Count, Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from crm.core import formats
from crm.core.registries import MoodLine, SearchHit, TimelineEntry
from support import finding
from support.models import Conversation


def timeline(customer_id: int, before: datetime, limit: int) -> Sequence[TimelineEntry]:
    """Return the customer's conversations begun before a moment, newest first. One query."""
    found = Conversation.objects.filter(customer_id=customer_id, opened_at__lt=before).order_by("-opened_at", "-pk")[:limit]
    return [
        TimelineEntry(
            at=each.opened_at,
            kind="conversation",
            icon="chat-bubble-left-right",
            title=_("Wrote in the chat"),
            # Whoever reads the customer's page need not be in the team: then only that somebody wrote is told.
            detail=each.last_line if each.team_id is None else "",
            url=reverse("support:conversation", args=[each.pk]) if each.team_id is None else "",
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


def conversations_found(text: str, limit: int, viewer: Any) -> Sequence[SearchHit]:
    """Return conversations the viewer may see in which the text was said, or whose visitor has it in the name. One query."""
    found = finding.conversations(query=text, viewer=viewer).select_related("customer").order_by("-last_message_at", "-pk")[:limit]
    return [
        SearchHit(_("Conversation"), str(each.customer or each.visitor_name or each), each.last_line[:120], reverse("support:conversation", args=[each.pk]))
        for each in found
    ]


def tickets_found(text: str, limit: int, viewer: Any) -> Sequence[SearchHit]:
    """Return tickets the viewer may see that hold the text. One query."""
    found = finding.tickets(query=text, viewer=viewer).order_by("-opened_at", "-pk")[:limit]
    return [SearchHit(_("Ticket"), each.subject, str(each.get_state_display()), reverse("support:ticket", args=[each.pk])) for each in found]
