"""Build the demo shop, or take it out."""

import argparse
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from crm.core import clock
from crm.demo import remove, seed
from crm.demo.logins import LOGINS


class Command(BaseCommand):
    help = "Build the demo shop Maple & Moss through the front doors (about a minute), or remove it."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--as-of", metavar="DATE", help="the shop's last day, YYYY-MM-DD (default: today)")
        parser.add_argument("--remove", action="store_true", help="remove the demo data and its logins instead")
        parser.add_argument("--reset", action="store_true", help="remove the demo data first and build it anew")
        parser.add_argument("--small", action="store_true", help="a tenth of the people and events, for tests")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["remove"]:
            for what, count in remove.demo(self._progress).items():
                self.stdout.write(f"{count:>8} {what}")
            return
        if settings.CRM_PRODUCTION:
            raise CommandError("CRM_PRODUCTION=1: the demo shop's logins have public passwords; unset it or do not seed.")
        try:
            as_of = (
                datetime.strptime(options["as_of"], "%Y-%m-%d").replace(tzinfo=UTC)
                if options["as_of"]
                else clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
            )
        except ValueError as error:
            raise CommandError(f"--as-of {options['as_of']!r} is not a date; write it as 2026-01-31.") from error
        if as_of > clock.now() + timedelta(days=1):
            raise CommandError("--as-of lies in the future; write today or a day before.")
        if options["reset"]:
            remove.demo(self._progress)
        report = seed.seed(as_of=as_of, progress=self._progress, small=options["small"])
        for name, rows in report.rows.items():
            self.stdout.write(f"{rows:>8} {name:<14} {report.seconds[name]:>6.1f} s")
        self.stdout.write(f"Logins: {', '.join(f'{login.username} / {login.password}' for login in LOGINS)}")

    def _progress(self, done: int, total: int, name: str) -> None:
        if sys.stderr.isatty() or done < total:
            self.stderr.write(f"demo shop {done}/{total} {name}")
