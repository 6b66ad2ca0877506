"""How the desk is doing: one row per conversation, and figures that are nothing but sums over those rows.

The page and the CSV export read the same rows with the same function, so whoever adds up the export gets the page.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from django.db.models import Count, Exists, OuterRef, Q

from crm.core.models import User
from support import calendars, queueing, teams
from support.models import Message
from support.models.conversation import Author, ConversationState

# Ratings that count as content.
CONTENT_FROM = 4
COLUMNS = (
    "conversation", "opened_at", "closed_at", "source", "team", "language", "intent", "agent", "state", "priority", "tags",
    "handed_over_at", "handover_reason", "first_response_seconds", "first_response_business_seconds", "resolution_seconds",
    "resolution_business_seconds", "answered_by_assistant", "contained", "visitor_messages", "agent_messages", "csat", "csat_asked",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation. Durations in whole seconds, None where there is none yet.

    first response: from the hand-over to the first answer by a person. resolution: from the visitor's first words to
    the closing. contained: closed, the assistant answered, and no person was ever asked for or wrote.
    """

    conversation: str
    opened_at: datetime
    closed_at: datetime | None
    source: str
    team: str
    language: str
    intent: str
    agent: str
    state: str
    priority: int
    tags: str
    handed_over_at: datetime | None
    handover_reason: str
    first_response_seconds: int | None
    first_response_business_seconds: int | None
    resolution_seconds: int | None
    resolution_business_seconds: int | None
    answered_by_assistant: bool
    contained: bool
    visitor_messages: int
    agent_messages: int
    csat: int | None
    csat_asked: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums and shares over rows. Rates are 0 to 1, None where nothing can be divided; medians in seconds."""

    conversations: int
    handed_over: int
    closed: int
    contained: int
    containment_rate: float | None
    first_response_median: float | None
    first_response_business_median: float | None
    resolution_median: float | None
    resolution_business_median: float | None
    rated: int
    asked: int
    content: int
    csat_rate: float | None
    csat_mean: float | None


def rows(*, viewer: User, begin: datetime, end: datetime) -> Iterator[Row]:
    """Yield the conversations opened in [begin, end) that the viewer may see, oldest first. Two queries, and one per 2,000 rows for the tags."""
    hours = queueing.opening_hours()
    by_author = {name: Count("messages", filter=Q(messages__author=name, messages__is_note=False), distinct=True) for name in (Author.VISITOR, Author.AGENT)}
    answered = Message.objects.filter(conversation=OuterRef("pk"), author=Author.BOT, kind="answer")
    found = (
        teams.conversations_for(viewer)
        .filter(opened_at__gte=begin, opened_at__lt=end)
        .select_related("source", "team", "agent")
        .prefetch_related("tags")
        .annotate(visitor_count=by_author[Author.VISITOR], agent_count=by_author[Author.AGENT], was_answered=Exists(answered))
        .order_by("opened_at", "pk")
    )
    for talk in found.iterator(chunk_size=2000):
        responded = talk.first_response_at if talk.handed_over_at and talk.first_response_at and talk.first_response_at >= talk.handed_over_at else None
        closed = talk.closed_at if talk.state == ConversationState.CLOSED else None
        yield Row(
            conversation=str(talk.public_id),
            opened_at=talk.opened_at,
            closed_at=closed,
            source=talk.source.name,
            team=str(talk.team or ""),
            language=talk.language,
            intent=talk.intent,
            agent=str(talk.agent or ""),
            state=talk.state,
            priority=talk.priority,
            tags=" ".join(sorted(tag.name for tag in talk.tags.all())),
            handed_over_at=talk.handed_over_at,
            handover_reason=talk.handover_reason,
            first_response_seconds=_seconds(talk.handed_over_at, responded),
            first_response_business_seconds=_working(hours, talk.handed_over_at, responded),
            resolution_seconds=_seconds(talk.opened_at, closed),
            resolution_business_seconds=_working(hours, talk.opened_at, closed),
            answered_by_assistant=talk.was_answered,
            contained=closed is not None and talk.was_answered and talk.handed_over_at is None and talk.agent_count == 0,
            visitor_messages=talk.visitor_count,
            agent_messages=talk.agent_count,
            csat=talk.csat,
            csat_asked=talk.csat_asked_at is not None,
        )


def _seconds(begin: datetime | None, end: datetime | None) -> int | None:
    return round((end - begin).total_seconds()) if begin and end else None


def _working(hours: calendars.Hours, begin: datetime | None, end: datetime | None) -> int | None:
    return round(hours.between(begin, end).total_seconds()) if begin and end else None


def figures(given: Iterable[Row]) -> Figures:
    """Return the sums over the rows. Pure."""
    all_rows = list(given)
    closed = [row for row in all_rows if row.state == ConversationState.CLOSED]
    rated = [row.csat for row in all_rows if row.csat is not None]
    contained = sum(row.contained for row in all_rows)
    content = sum(score >= CONTENT_FROM for score in rated)
    return Figures(
        conversations=len(all_rows),
        handed_over=sum(row.handed_over_at is not None for row in all_rows),
        closed=len(closed),
        contained=contained,
        # Of those that ended: one that still goes on may yet need a person.
        containment_rate=contained / len(closed) if closed else None,
        first_response_median=_median([row.first_response_seconds for row in all_rows]),
        first_response_business_median=_median([row.first_response_business_seconds for row in all_rows]),
        resolution_median=_median([row.resolution_seconds for row in all_rows]),
        resolution_business_median=_median([row.resolution_business_seconds for row in all_rows]),
        rated=len(rated),
        asked=sum(row.csat_asked for row in all_rows),
        content=content,
        csat_rate=content / len(rated) if rated else None,
        csat_mean=sum(rated) / len(rated) if rated else None,
    )


def _median(values: Sequence[int | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(median(known)) if known else None


def by_intent(given: Sequence[Row]) -> list[tuple[str, Figures]]:
    """Return the figures of each intent, most conversations first; '' is for those without one. Pure."""
    groups: dict[str, list[Row]] = {}
    for row in given:
        groups.setdefault(row.intent, []).append(row)
    return sorted(((intent, figures(of)) for intent, of in groups.items()), key=lambda pair: (-pair[1].conversations, pair[0]))


def csv_cells(row: Row) -> list[str]:
    """Return the row as the export's cells, in the order of COLUMNS: moments in UTC, yes and no as 1 and 0, nothing as ''."""
    cells = []
    for name in COLUMNS:
        value = getattr(row, name)
        if value is None:
            cells.append("")
        elif isinstance(value, bool):
            cells.append(str(int(value)))
        elif isinstance(value, datetime):
            cells.append(value.isoformat(timespec="seconds"))
        else:
            text = str(value)
            # A spreadsheet would run a cell that begins like a formula.
            cells.append(f"'{text}" if text[:1] in "=+-@\t\r" and isinstance(value, str) else text)
    return cells
