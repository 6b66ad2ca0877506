"""Working hours: tables of moments, with holidays, split days and changes of the clocks."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import calendars
from support.calendars import Hours, read

SPLIT = {str(day): [["08:00", "12:00"], ["13:30", "18:00"]] for day in range(5)}
SHANGHAI = read(zone="Asia/Shanghai", spans=SPLIT, holidays=["2026-10-01", "2026-10-02"])
BERLIN_NIGHT = read(zone="Europe/Berlin", spans={str(day): [["00:00", "24:00"]] for day in range(7)})


def local(zone: str, text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def shanghai(text: str) -> datetime:
    return local("Asia/Shanghai", text)


@pytest.mark.parametrize(
    ("begin", "hours", "due"),
    [
        ("2026-06-15T09:00", 1, "2026-06-15T10:00"),  # within a span
        ("2026-06-15T11:30", 1, "2026-06-15T14:00"),  # over the lunch break
        ("2026-06-15T12:30", 1, "2026-06-15T14:30"),  # begins in the break
        ("2026-06-15T17:30", 1, "2026-06-16T08:30"),  # over the night
        ("2026-06-19T17:30", 1, "2026-06-22T08:30"),  # over the weekend
        ("2026-06-20T10:00", 1, "2026-06-22T09:00"),  # begins on a Saturday
        ("2026-09-30T17:00", 2, "2026-10-05T09:00"),  # over two holidays and a weekend
        ("2026-06-15T08:00", 4, "2026-06-15T12:00"),  # ends with the span
        ("2026-06-15T08:00", 17, "2026-06-16T18:00"),  # two whole days of 8.5 hours
        ("2026-06-15T08:00", 0, "2026-06-15T08:00"),
    ],
)
def test_due_times_equal_the_table(begin: str, hours: float, due: str) -> None:
    assert SHANGHAI.after(shanghai(begin), timedelta(hours=hours)) == shanghai(due)


@pytest.mark.parametrize(
    ("begin", "end", "minutes"),
    [
        ("2026-06-15T09:00", "2026-06-15T10:00", 60),
        ("2026-06-15T11:00", "2026-06-15T14:00", 90),
        ("2026-06-15T12:00", "2026-06-15T13:30", 0),
        ("2026-06-15T00:00", "2026-06-16T00:00", 510),
        ("2026-06-15T00:00", "2026-06-22T00:00", 5 * 510),
        ("2026-10-01T00:00", "2026-10-03T00:00", 0),
        ("2026-06-15T10:00", "2026-06-15T09:00", 0),
    ],
)
def test_working_time_between_equals_the_table(begin: str, end: str, minutes: int) -> None:
    assert SHANGHAI.between(shanghai(begin), shanghai(end)) == timedelta(minutes=minutes)


def test_a_day_is_as_long_as_it_really_is_when_the_clocks_change() -> None:
    def day(text: str) -> timedelta:
        first = date.fromisoformat(text)
        return BERLIN_NIGHT.between(local("Europe/Berlin", f"{first}T00:00"), local("Europe/Berlin", f"{first + timedelta(days=1)}T00:00"))

    assert day("2026-03-28") == timedelta(hours=24)
    assert day("2026-03-29") == timedelta(hours=23)
    assert day("2026-10-25") == timedelta(hours=25)


def test_office_hours_keep_to_the_wall_clock_over_a_change() -> None:
    office = read(zone="Europe/Berlin", spans={str(day): [["09:00", "17:00"]] for day in range(7)})

    # Saturday 16:30 in winter time; 30 minutes on Saturday, 30 on Sunday, which begins at 9 in summer time.
    assert office.after(local("Europe/Berlin", "2026-03-28T16:30"), timedelta(hours=1)) == local("Europe/Berlin", "2026-03-29T09:30")
    assert office.after(datetime(2026, 3, 28, 15, 30, tzinfo=UTC), timedelta(hours=1)) == datetime(2026, 3, 29, 7, 30, tzinfo=UTC)


def test_opening_includes_its_first_moment_and_not_its_last() -> None:
    assert SHANGHAI.is_open(shanghai("2026-06-15T08:00"))
    assert not SHANGHAI.is_open(shanghai("2026-06-15T12:00"))
    assert not SHANGHAI.is_open(shanghai("2026-10-01T09:00"))
    assert SHANGHAI.next_opening(shanghai("2026-09-30T18:00")) == shanghai("2026-10-05T08:00")
    assert SHANGHAI.next_opening(shanghai("2026-06-15T09:00")) == shanghai("2026-06-15T09:00")


def test_a_calendar_that_never_opens_says_so_instead_of_searching_for_ever() -> None:
    never = read(zone="UTC", spans={})

    assert never.next_opening(shanghai("2026-06-15T09:00")) is None
    with pytest.raises(calendars.NeverOpen):
        never.after(shanghai("2026-06-15T09:00"), timedelta(hours=1))


@pytest.mark.parametrize(
    ("zone", "spans", "holidays"),
    [
        ("Mars/Olympus", SPLIT, []),
        ("UTC", {"7": [["08:00", "12:00"]]}, []),
        ("UTC", {"0": [["12:00", "08:00"]]}, []),
        ("UTC", {"0": [["08:00", "12:00"], ["11:00", "13:00"]]}, []),
        ("UTC", {"0": [["8", "12"]]}, []),
        ("UTC", {"0": [["08:00"]]}, []),
        ("UTC", {"0": "08:00-12:00"}, []),
        ("UTC", [], []),
        ("UTC", SPLIT, ["1 October"]),
        ("UTC", SPLIT, 7),
    ],
)
def test_hours_that_cannot_be_read_are_refused(zone: str, spans: object, holidays: object) -> None:
    with pytest.raises(calendars.CalendarBad):
        read(zone=zone, spans=spans, holidays=holidays)


@settings(max_examples=60, deadline=None)
@given(
    begin=st.integers(min_value=0, max_value=2 * 365 * 86_400).map(lambda seconds: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)),
    minutes=st.integers(min_value=1, max_value=60 * 24 * 20),
    zone=st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Pacific/Auckland"]),
)
def test_the_time_until_due_is_exactly_what_was_promised(begin: datetime, minutes: int, zone: str) -> None:
    hours: Hours = read(zone=zone, spans={**SPLIT, "6": [["20:00", "24:00"]]}, holidays=["2026-01-01"])
    promised = timedelta(minutes=minutes)

    due = hours.after(begin, promised)

    assert hours.between(begin, due) == promised
    assert hours.between(begin, due - timedelta(seconds=1)) < promised


def test_working_time_that_goes_on_over_midnight_has_one_end_and_around_the_clock_none() -> None:
    night = read(zone="UTC", spans={"0": [["22:00", "24:00"]], "1": [["00:00", "06:00"], ["06:00", "07:00"]]})

    assert night.closing(datetime(2026, 6, 15, 23, tzinfo=UTC)) == datetime(2026, 6, 16, 7, tzinfo=UTC)
    assert night.closing(datetime(2026, 6, 16, 7, tzinfo=UTC)) is None
    assert BERLIN_NIGHT.closing(datetime(2026, 6, 15, 23, tzinfo=UTC)) is None
