"""Train one model, or all of them in order, and print what came of it."""

import argparse
from datetime import UTC, datetime, time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from crm.core import clock
from crm.core.learning import registry


class Command(BaseCommand):
    help = "Train a model on the facts up to a moment; a new version serves only if it is better. Unchanged data are skipped."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", help="the model; without it, --all or --list is needed")
        parser.add_argument("--all", action="store_true", help="every model, in order of dependence")
        parser.add_argument("--list", action="store_true", help="print the models there are")
        parser.add_argument("--as-of", metavar="DATE", help="use no fact later than this date or moment (default: now)")
        parser.add_argument("--force", action="store_true", help="train even if the data are unchanged")
        parser.add_argument("--finetune", action="store_true", help="intents: fine-tune a transformer too, see CRM_INTENTS_FINETUNE (long)")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["list"]:
            for task in registry.tasks():
                self.stdout.write(f"{task.name:<20} {task.title}")
            return
        if bool(options["name"]) == options["all"]:
            raise CommandError("Name one model or give --all; `manage.py retrain --list` prints the names.")
        as_of = self._moment(options["as_of"])
        if options["finetune"]:
            if options["name"] not in {None, "intents"}:
                raise CommandError("--finetune is for intents; fine-tune other texts with `manage.py finetune`.")
            settings.CRM_INTENTS_FINETUNE = True
        try:
            runs = (
                registry.run_all(as_of=as_of, force=options["force"])
                if options["all"]
                else iter([(registry.task_named(options["name"]), registry.run(options["name"], as_of=as_of, force=options["force"]))])
            )
        except registry.TaskUnknown as error:
            raise CommandError(error.text) from error
        failed = []
        for task, outcome in runs:
            version = f" v{outcome.version.version}" if outcome.version else ""
            self.stdout.write(f"{task.name}{version}: {outcome.state.value}. {outcome.message}")
            for name, value in outcome.metrics.items():
                if isinstance(value, (int, float)):
                    self.stdout.write(f"    {name:<28} {value:.4f}" if isinstance(value, float) else f"    {name:<28} {value}")
            if outcome.state is registry.Outcome.FAILED:
                failed.append(task.name)
        if failed:
            raise CommandError(f"No model came of: {', '.join(failed)}.")

    def _moment(self, text: str | None) -> datetime:
        if text is None:
            return clock.now()
        try:
            # The date first: parse_datetime would read it as its midnight.
            day = parse_date(text)
            moment = None if day else parse_datetime(text)
        except ValueError as error:
            raise CommandError(f"--as-of {text}: {error}.") from error
        if day is not None:
            # A date means the end of that day: its facts are known.
            return datetime.combine(day, time.max, tzinfo=UTC)
        if moment is None:
            raise CommandError(f"--as-of {text!r} is not a date; write 2026-03-31 or 2026-03-31T12:00:00Z.")
        return moment if timezone.is_aware(moment) else moment.replace(tzinfo=UTC)
