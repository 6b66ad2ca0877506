"""Writes Beat's database rows from crm/schedule.py: the table is the truth, rows follow it.

Rows of entries that are gone or switched off are removed; rows a person made in the admin under other names are left
alone. Running it again changes nothing, and `last_run_at` is kept, so a restart neither repeats nor skips a run.
"""

import json
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks

from crm.core import locks
from crm.core.errors import CrmError
from crm.schedule import ENTRIES, Entry

# Marks our rows among those made by hand.
PREFIX = "crm:"
OFF = "off"


class BadCron(CrmError):
    """A CRM_CRON_ variable does not hold five cron fields."""

    code = "bad_cron"


@dataclass(frozen=True, slots=True)
class SyncReport:
    written: int
    unchanged: int
    removed: int


def sync(entries: tuple[Entry, ...] = ENTRIES) -> SyncReport:
    """Make Beat's rows say what the table says. Raises BadCron before anything is written."""
    wanted = {f"{PREFIX}{entry.name}": (entry, cron) for entry in entries if (cron := _cron(entry)) != OFF}
    written = 0
    with transaction.atomic():
        # `up`, migrate and a deploy may do this at the same moment.
        locks.take("schedule-sync")
        existing = {row.name: row for row in PeriodicTask.objects.filter(name__startswith=PREFIX).select_related("crontab", "interval")}
        for name, (entry, cron) in wanted.items():
            written += _write(name, entry, cron, existing.get(name))
        # One by one: Beat's own signal tells running schedulers of each change.
        gone = [row for name, row in existing.items() if name not in wanted]
        for row in gone:
            row.delete()
    if written or gone:
        PeriodicTasks.update_changed()
    return SyncReport(written=written, unchanged=len(wanted) - written, removed=len(gone))


def _write(name: str, entry: Entry, cron: str, row: PeriodicTask | None) -> int:
    """Create or change one row and return 1 if anything differed."""
    crontab = _crontab(cron) if cron else None
    interval = None if cron else IntervalSchedule.objects.get_or_create(every=entry.every_seconds, period=IntervalSchedule.SECONDS)[0]
    values = {
        "task": entry.task,
        "crontab": crontab,
        "interval": interval,
        "queue": entry.queue,
        "expire_seconds": entry.expires_seconds,
        "kwargs": json.dumps(dict(entry.kwargs), sort_keys=True),
        "enabled": True,
        "one_off": False,
    }
    if row is not None and all(getattr(row, field) == value for field, value in values.items()):
        return 0
    row = row or PeriodicTask(name=name)
    for field, value in values.items():
        setattr(row, field, value)
    row.save()
    return 1


def _cron(entry: Entry) -> str:
    """Return the entry's cron fields, '' for an interval, or 'off'."""
    cron = entry.effective_cron.strip()
    if cron.lower() == OFF:
        return OFF
    if cron and len(cron.split()) != 5:
        raise BadCron(f"{entry.variable}={cron!r} is not a cron time; write five fields such as '10 2 * * *', or 'off'.")
    return cron


def _crontab(cron: str) -> CrontabSchedule:
    minute, hour, day_of_month, month_of_year, day_of_week = cron.split()
    fields = {
        "minute": minute,
        "hour": hour,
        "day_of_month": day_of_month,
        "month_of_year": month_of_year,
        "day_of_week": day_of_week,
        "timezone": settings.TIME_ZONE,
    }
    # Not get_or_create: people may have made the same time twice in the admin.
    found = CrontabSchedule.objects.filter(**fields).order_by("pk").first()
    if found is not None:
        return found
    crontab = CrontabSchedule(**fields)
    try:
        # Parses the fields; a letter or the 61st minute shows here and not in Beat's log at night.
        _ = crontab.schedule
    except (ValueError, KeyError) as error:
        raise BadCron(f"{cron!r} is not a cron time ({error}).") from error
    crontab.save()
    return crontab
