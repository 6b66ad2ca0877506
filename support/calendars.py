"""Arithmetic of working hours: is it open, how many seconds of them lie between two moments, when are so many over.

Pure: no database. A day may have several spans, a span may end at 24:00, holidays have none. Spans are times on the wall
clock of the calendar's zone; on the day the clocks change they are as much longer or shorter as that day really is.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from django.utils.translation import gettext_noop

from crm.core.errors import CrmError

if TYPE_CHECKING:
    from support.models import BusinessCalendar

# Days looked ahead before a calendar counts as one that never opens again.
FARTHEST_DAYS = 800
# Spans that follow one another without a break, as around the clock, before their end is too far to be told.
MOST_JOINED = 14
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)\Z")
_ZERO = timedelta()


class CalendarBad(CrmError):
    code = "calendar_bad"
    status = 422
    message = gettext_noop("Hours are pairs such as 09:00 and 12:30 in order and without overlap, by weekday 0 to 6, in a known time zone.")


class NeverOpen(CrmError):
    code = "calendar_never_open"
    status = 422
    message = gettext_noop("This calendar has no working hours in sight.")


@dataclass(frozen=True)
class Hours:
    """Working hours as a value. spans: of each weekday, Monday first, minutes (from, to) since midnight, sorted, disjoint."""

    zone: ZoneInfo
    spans: tuple[tuple[tuple[int, int], ...], ...]
    holidays: frozenset[date] = field(default_factory=frozenset)

    def on(self, day: date) -> Iterator[tuple[datetime, datetime]]:
        """Yield the day's spans as moments in UTC, first to last."""
        if day in self.holidays:
            return
        for begin, end in self.spans[day.weekday()]:
            # Through UTC: subtracting two moments of one zone counts wall-clock time and ignores a change of the clocks.
            yield self._moment(day, begin), self._moment(day, end)

    def _moment(self, day: date, minutes: int) -> datetime:
        midnight = datetime.combine(day + timedelta(days=minutes // 1440), time(minutes % 1440 // 60, minutes % 60), tzinfo=self.zone)
        return midnight.astimezone(UTC)

    def is_open(self, at: datetime) -> bool:
        """Return whether the moment lies in working hours; a span includes its first moment and not its last."""
        local = at.astimezone(self.zone).date()
        return any(begin <= at < end for day in (local - timedelta(days=1), local) for begin, end in self.on(day))

    def between(self, begin: datetime, end: datetime) -> timedelta:
        """Return how much working time lies in [begin, end); nothing where end is not later."""
        total = _ZERO
        if end <= begin:
            return total
        day = begin.astimezone(self.zone).date() - timedelta(days=1)
        last = end.astimezone(self.zone).date()
        while day <= last:
            for opens, closes in self.on(day):
                total += max(_ZERO, min(closes, end) - max(opens, begin))
            day += timedelta(days=1)
        return total

    def after(self, begin: datetime, working: timedelta) -> datetime:
        """Return the first moment by which `working` time has passed since `begin`. Raises NeverOpen.

        Nothing to wait for is `begin` itself, also outside the hours.
        """
        if working <= _ZERO:
            return begin
        left = working
        day = begin.astimezone(self.zone).date() - timedelta(days=1)
        for _ in range(FARTHEST_DAYS):
            for opens, closes in self.on(day):
                start = max(opens, begin)
                if start >= closes:
                    continue
                if left <= closes - start:
                    return start + left
                left -= closes - start
            day += timedelta(days=1)
        raise NeverOpen

    def closing(self, at: datetime) -> datetime | None:
        """Return when the working time ends in which the moment lies, over midnight too; None outside the hours and where no end is near."""
        end = self._span_end(at)
        for _ in range(MOST_JOINED):
            following = self._span_end(end) if end is not None else None
            if following is None:
                return end
            end = following
        return None

    def _span_end(self, at: datetime) -> datetime | None:
        local = at.astimezone(self.zone).date()
        return next((end for day in (local - timedelta(days=1), local) for begin, end in self.on(day) if begin <= at < end), None)

    def next_opening(self, at: datetime) -> datetime | None:
        """Return when it opens next, `at` itself where it is open, None where it never does."""
        if self.is_open(at):
            return at
        day = at.astimezone(self.zone).date()
        for _ in range(FARTHEST_DAYS):
            for opens, _closes in self.on(day):
                if opens >= at:
                    return opens
            day += timedelta(days=1)
        return None


ALWAYS = Hours(ZoneInfo("UTC"), tuple(((0, 1440),) for _ in range(7)))


def read(*, zone: str, spans: object, holidays: object = ()) -> Hours:
    """Return hours from what a calendar stores. Raises CalendarBad.

    spans: {"0": [["08:00", "12:00"], ["13:30", "18:00"]], …}; 24:00 ends a day. holidays: ["2026-10-01", …].
    """
    try:
        where = ZoneInfo(zone)
        closed = frozenset(date.fromisoformat(each) for each in holidays)  # type: ignore[attr-defined]
    except (KeyError, ValueError, TypeError, OSError):
        raise CalendarBad from None
    if not isinstance(spans, Mapping) or not set(spans) <= {str(weekday) for weekday in range(7)}:
        raise CalendarBad
    return Hours(where, tuple(_day(spans.get(str(weekday), ())) for weekday in range(7)), closed)


def _day(given: object) -> tuple[tuple[int, int], ...]:
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise CalendarBad
    found: list[tuple[int, int]] = []
    for span in given:
        if not isinstance(span, Sequence) or isinstance(span, str) or len(span) != 2:
            raise CalendarBad
        begin, end = _minutes(span[0]), _minutes(span[1])
        if begin >= end or (found and begin < found[-1][1]):
            raise CalendarBad
        found.append((begin, end))
    return tuple(found)


def _minutes(text: object) -> int:
    if text == "24:00":
        return 1440
    match = _TIME.match(text) if isinstance(text, str) else None
    if match is None:
        raise CalendarBad
    return int(match[1]) * 60 + int(match[2])


def of(calendar: "BusinessCalendar") -> Hours:
    """Return the calendar's hours, parsed once per content. Raises CalendarBad."""
    spans = calendar.spans
    if not isinstance(spans, Mapping) or not isinstance(calendar.holidays, Sequence):
        raise CalendarBad
    try:
        frozen = tuple(sorted((str(day), tuple(tuple(span) for span in given)) for day, given in spans.items()))
        return _parsed(calendar.zone, frozen, tuple(calendar.holidays))
    except TypeError:
        raise CalendarBad from None


@lru_cache(maxsize=64)
def _parsed(zone: str, spans: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...], holidays: tuple[str, ...]) -> Hours:
    return read(zone=zone, spans=dict(spans), holidays=holidays)
