"""What a visitor is told while waiting for a person: the place, how long it has been taking, or that nobody is there."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from django.db.models import F, OuterRef, Subquery
from django.utils import timezone

from support import calendars, phrases
from support.language import CHINESE
from support.models import BusinessCalendar, Conversation, Message
from support.models.conversation import ConversationState

# Waits the estimate looks at, how far back, and how many are needed before anything is said.
RECENT, BACK, LEAST = 50, timedelta(days=14), 5
# An estimate beyond this is not worth saying: the visitor is told the place alone.
LONGEST_MINUTES = 120


@dataclass(frozen=True, slots=True)
class Outlook:
    """place: 1 is next. minutes: expected wait, None where too little is known. opens_at: set where nobody is there now."""

    place: int
    minutes: int | None
    opens_at: datetime | None


def outlook(conversation: Conversation, *, now: datetime) -> Outlook:
    """Return what the conversation may expect. At most 3 queries."""
    hours = opening_hours()
    if not hours.is_open(now):
        return Outlook(place_of(conversation), None, hours.next_opening(now))
    place = place_of(conversation)
    return Outlook(place, expected_minutes(place=place, now=now), None)


def opening_hours() -> calendars.Hours:
    """Return the hours of the chat; without a main calendar it is always open. One query."""
    main = BusinessCalendar.objects.filter(is_main=True).first()
    return calendars.of(main) if main is not None else calendars.ALWAYS


def hours_words(*, now: datetime, language: str) -> str:
    """Return until or from when people are there, as the visitor reads it; '' without a main calendar or an end. One query."""
    hours = opening_hours()
    if hours is calendars.ALWAYS:
        return ""
    if hours.is_open(now):
        until = hours.closing(now)
        if until is None:
            return ""
        when = f"{timezone.localtime(until):%H:%M}" if until - now < timedelta(days=1) else _when(until, language)
        return phrases.say("hours_open", language, when=when)
    opens_at = hours.next_opening(now)
    return phrases.say("hours_closed", language, when=_when(opens_at, language)) if opens_at is not None else ""


def place_of(conversation: Conversation) -> int:
    """Return how many conversations of the same team wait for a person up to and including this one. One query."""
    waiting = Conversation.objects.filter(state=ConversationState.QUEUED, team=conversation.team_id).exclude(pk=conversation.pk)
    return waiting.filter(waiting_since__lte=conversation.waiting_since or conversation.last_message_at).count() + 1


def expected_minutes(*, place: int, now: datetime) -> int | None:
    """Return the expected wait in minutes, or None where fewer than LEAST people waited lately. One query.

    The median, over recent hand-overs, of the wait divided by the place in the queue, times this place: the median
    because one chat that was forgotten over a weekend says nothing about the next.
    """
    told = Message.objects.filter(conversation=OuterRef("pk"), kind="handover").order_by("seq").values("data__place")[:1]
    rows = (
        Conversation.objects.filter(opened_at__gte=now - BACK, handed_over_at__lte=now, first_response_at__gte=F("handed_over_at"))
        .annotate(place=Subquery(told))
        .order_by("-opened_at", "-pk")
        .values_list("handed_over_at", "first_response_at", "place")[:RECENT]
    )
    each = [(answered - asked).total_seconds() / max(1, place or 1) for asked, answered, place in rows if asked and answered]
    if len(each) < LEAST:
        return None
    minutes = max(1, math.ceil(median(each) * place / 60))
    if minutes > LONGEST_MINUTES:
        return None
    # Nobody believes "23 minutes".
    return minutes if minutes <= 10 else 5 * math.ceil(minutes / 5)


def words(found: Outlook, language: str) -> str:
    """Return the outlook as the visitor reads it."""
    if found.opens_at is not None:
        return phrases.say("offline", language, when=_when(found.opens_at, language))
    said = phrases.queue(language, found.place)
    return said if found.minutes is None else phrases.joined(language, said, phrases.say("wait", language, minutes=found.minutes))


def _when(moment: datetime, language: str) -> str:
    local = timezone.localtime(moment)
    if language == CHINESE:
        return f"{local.month}月{local.day}日 {local:%H:%M}"
    return f"{local:%A} {local.day} {local:%B}, {local:%H:%M}"
