"""Who comes back: cohorts by the period of the first order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from babel.dates import format_skeleton
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from crm.core import charts, formats
from customers.insights import queries
from customers.insights.sheets import Offer, Sheet

PERIODS = 12
UNITS = ("month", "week")


def sheets(*, unit: str, at: datetime) -> list[Sheet]:
    """Return the heat map of retention and its mean as a curve. One query."""
    today = timezone.localtime(at).date()
    newest = _start(today, unit)
    cohorts = [_back(newest, unit, PERIODS - index) for index in range(PERIODS + 1)]
    since = timezone.make_aware(datetime.combine(cohorts[0], datetime.min.time()))
    counts = {(cohort, period): count for cohort, period, count in queries.retention(unit=unit, since=since, at=at)}
    shown = [cohort for cohort in cohorts if counts.get((cohort, cohort))]
    sizes = [counts[cohort, cohort] for cohort in shown]
    # The running period is not over: a low share there would only say that it has just begun.
    grid = [[_share(counts, cohort, age, unit, newest) for age in range(1, PERIODS + 1)] for cohort in shown]
    # A shop younger than the table is wide has no last columns yet.
    lived = max((age for row in grid for age, share in enumerate(row, start=1) if share is not None), default=PERIODS)
    ages = [_age(age, unit) for age in range(1, lived + 1)]
    names = [_name(cohort, unit) for cohort in shown]
    heat = charts.heat(
        rows=names,
        columns=ages,
        values=[row[:lived] for row in grid],
        title=_("Customers who ordered again, by the period of their first order"),
        row_title=_("First order"),
        show=charts.as_percent.short,
        sizes=sizes,
        size_title=_("Customers"),
        mean=True,
    )
    means = [_mean([(row[age], size) for row, size in zip(grid, sizes, strict=True)]) for age in range(lived)]
    curve = charts.line({_("Ordered again"): means}, labels=ages, title=_("Mean of the cohorts"), label_title=_("After"), show=charts.as_percent)
    offers = [Offer(f"cohort:{unit}:{cohort.isoformat()}", name) for cohort, name in reversed(list(zip(shown, names, strict=True)))]
    rows = [[cohort.isoformat(), size, *row] for cohort, size, row in zip(shown, sizes, grid, strict=True)]
    header = ["cohort", "customers", *(f"{unit}_{age}" for age in range(1, PERIODS + 1))]
    note = _("Each cell: the share of the cohort with an order in that period. The running period is left out.")
    return [
        Sheet("cohorts", heat, header, rows, offers, note, wide=True),
        Sheet("mean", curve, ["after", "share"], [[age, mean] for age, mean in enumerate(means, start=1)], wide=True),
    ]


def _share(counts: dict[tuple[date, date], int], cohort: date, age: int, unit: str, newest: date) -> float | None:
    period = _back(cohort, unit, -age)
    return counts.get((cohort, period), 0) / counts[cohort, cohort] if period < newest else None


def _mean(pairs: Sequence[tuple[float | None, int]]) -> float | None:
    known = [(share, size) for share, size in pairs if share is not None]
    whole = sum(size for _share_, size in known)
    return sum(share * size for share, size in known) / whole if whole else None


def _start(day: date, unit: str) -> date:
    return day.replace(day=1) if unit == "month" else day - timedelta(days=day.weekday())


def _back(day: date, unit: str, periods: int) -> date:
    if unit == "week":
        return day - timedelta(weeks=periods)
    months = day.year * 12 + day.month - 1 - periods
    return date(months // 12, months % 12 + 1, 1)


def _name(cohort: date, unit: str) -> str:
    return formats.month(cohort) if unit == "month" else format_skeleton("yMMMd", cohort, locale=formats.locale())


def _age(age: int, unit: str) -> str:
    return (ngettext("%(n)s month", "%(n)s months", age) if unit == "month" else ngettext("%(n)s week", "%(n)s weeks", age)) % {"n": age}
