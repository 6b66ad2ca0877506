"""Write Beat's rows from crm/schedule.py."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from crm import schedule_sync


class Command(BaseCommand):
    help = "Write the periodic tasks of crm/schedule.py into Beat's tables. Runs by itself after migrate; safe to repeat."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = schedule_sync.sync()
        except schedule_sync.BadCron as error:
            raise CommandError(error.text) from error
        if options["verbosity"]:
            self.stdout.write(f"{report.written} written, {report.unchanged} unchanged, {report.removed} removed")
