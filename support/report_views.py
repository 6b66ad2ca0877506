"""The doors of the desk's figures."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import get_language
from django.views.decorators.http import require_GET

from crm.core import audit, clock
from crm.core.access.roles import require
from support import intents, queueing, reports

DAYS = 30
LONGEST_DAYS = 366


@dataclass(frozen=True, slots=True)
class IntentLine:
    name: str
    figures: reports.Figures


@dataclass(frozen=True, slots=True)
class ReportPage:
    """has_hours: whether a calendar of the chat exists; without one both kinds of time are the same and only one is shown."""

    begin: date
    end: date
    figures: reports.Figures
    intents: list[IntentLine]
    has_hours: bool
    export_url: str


@require("support.report")
@require_GET
def report(request: HttpRequest) -> HttpResponse:
    first, last = _period(request)
    found = list(reports.rows(viewer=request.user, begin=_midnight(first), end=_midnight(last + timedelta(days=1))))
    language = get_language() or "en"
    page = ReportPage(
        begin=first,
        end=last,
        figures=reports.figures(found),
        intents=[IntentLine(intents.name(intent, language) if intent else "", of) for intent, of in reports.by_intent(found)],
        has_hours=queueing.opening_hours() is not queueing.calendars.ALWAYS,
        export_url=f"export/?from={first.isoformat()}&to={last.isoformat()}",
    )
    return render(request, "support/reports.html", {"page": page})


@require("support.report")
@require_GET
def export(request: HttpRequest) -> StreamingHttpResponse:
    """Answer the same rows as CSV, one line per conversation."""
    first, last = _period(request)
    audit.record(actor=request.user, action="support.export", data={"from": first.isoformat(), "to": last.isoformat()})
    found = reports.rows(viewer=request.user, begin=_midnight(first), end=_midnight(last + timedelta(days=1)))
    answer = StreamingHttpResponse(_lines(found), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="conversations-{first.isoformat()}-{last.isoformat()}.csv"'
    return answer


class _Echo:
    """A file for the csv writer that only hands back what is written."""

    def write(self, text: str) -> str:
        return text


def _lines(found: Iterator[reports.Row]) -> Iterator[str]:
    writer: Any = csv.writer(_Echo())
    # The mark tells spreadsheets that it is UTF-8; without it Chinese is garbled there.
    yield "\ufeff" + writer.writerow(reports.COLUMNS)
    for row in found:
        yield writer.writerow(reports.csv_cells(row))


def _period(request: HttpRequest) -> tuple[date, date]:
    """Return the first and last day asked for; anything unreadable means the last 30 days."""
    today = timezone.localtime(clock.now()).date()
    first, last = _day(request.GET.get("from")), _day(request.GET.get("to")) or today
    if first is None or not timedelta() <= last - first <= timedelta(days=LONGEST_DAYS):
        first = last - timedelta(days=DAYS - 1)
    return first, last


def _day(text: str | None) -> date | None:
    try:
        found = parse_date(text or "")
    except ValueError:
        return None
    return found if found is not None and 2000 <= found.year <= 2100 else None


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))
