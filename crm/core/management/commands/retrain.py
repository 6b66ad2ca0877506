"""Train some models, or all of them, and print what came of each."""

import argparse
import subprocess
import sys
from datetime import UTC, datetime, time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from crm.core import clock
from crm.core.learning import registry, rounds

# Told apart from 1, which says that a training gave no model.
WRONG_OPTIONS = 2


class Command(BaseCommand):
    help = "Train a model on the facts up to a moment; a new version serves only if it is better. Unchanged data are skipped."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("names", nargs="*", metavar="NAME", help="the models; without one, --all or --list is needed")
        parser.add_argument("--all", action="store_true", help="every model, in order of dependence")
        parser.add_argument("--jobs", type=int, default=1, metavar="N", help="share the models among N processes (default 1)")
        parser.add_argument("--list", action="store_true", help="print the models there are")
        parser.add_argument("--as-of", metavar="DATE", help="use no fact later than this date or moment (default: now)")
        parser.add_argument("--force", action="store_true", help="train even if the data are unchanged")
        parser.add_argument("--finetune", action="store_true", help="intents: fine-tune a transformer too, see CRM_INTENTS_FINETUNE (long)")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["list"]:
            for task in registry.tasks():
                self.stdout.write(f"{task.name:<20} {task.title}")
            return
        if bool(options["names"]) == options["all"]:
            raise CommandError("Name models or give --all; `manage.py retrain --list` prints the names.", returncode=WRONG_OPTIONS)
        as_of = self._moment(options["as_of"])
        if options["finetune"]:
            if options["names"] and "intents" not in options["names"]:
                raise CommandError("--finetune is for intents; fine-tune other texts with `manage.py finetune`.", returncode=WRONG_OPTIONS)
            settings.CRM_INTENTS_FINETUNE = True
        try:
            chosen = [registry.task_named(name) for name in options["names"]] or registry.tasks()
        except registry.TaskUnknown as error:
            raise CommandError(error.text, returncode=WRONG_OPTIONS) from error
        own, *others = rounds.shares(chosen, options["jobs"])
        helpers = [self._helper(names, as_of, options) for names in others]
        try:
            failed = self._trained(own, as_of, force=options["force"])
            for names, helper in zip(others, helpers, strict=True):
                if helper.wait():
                    failed += [f"one of {', '.join(names)}"]
        finally:
            for helper in helpers:
                helper.terminate()
        if failed:
            raise CommandError(f"No model came of: {', '.join(failed)}.")

    def _trained(self, names: list[str], as_of: datetime, *, force: bool) -> list[str]:
        """Train the named models, print what came of each, and return those that failed."""
        failed = []
        for task, outcome in registry.run_all(as_of=as_of, force=force, names=names):
            version = f" v{outcome.version.version}" if outcome.version else ""
            told = [f"{task.name}{version}: {outcome.state.value}. {outcome.message}"]
            for name, value in outcome.metrics.items():
                if isinstance(value, (int, float)):
                    told.append(f"    {name:<28} {value:.4f}" if isinstance(value, float) else f"    {name:<28} {value}")
            # In one piece: another share may be printing too.
            self.stdout.write("\n".join(told))
            self.stdout.flush()
            if outcome.state is registry.Outcome.FAILED:
                failed.append(task.name)
        return failed

    def _helper(self, names: list[str], as_of: datetime, options: dict[str, Any]) -> subprocess.Popen[bytes]:
        """Start this command for a share of the models; it prints beside us and ends with our process group."""
        flags = ["--force"] * options["force"] + ["--finetune"] * (options["finetune"] and "intents" in names)
        return subprocess.Popen([sys.executable, str(settings.BASE_DIR / "manage.py"), "retrain", *names, "--as-of", as_of.isoformat(), *flags])  # noqa: S603 - our own program, no shell

    def _moment(self, text: str | None) -> datetime:
        if text is None:
            return clock.now()
        try:
            # The date first: parse_datetime would read it as its midnight.
            day = parse_date(text)
            moment = None if day else parse_datetime(text)
        except ValueError as error:
            raise CommandError(f"--as-of {text}: {error}.", returncode=WRONG_OPTIONS) from error
        if day is not None:
            # A date means the end of that day: its facts are known.
            return datetime.combine(day, time.max, tzinfo=UTC)
        if moment is None:
            raise CommandError(f"--as-of {text!r} is not a date; write 2026-03-31 or 2026-03-31T12:00:00Z.", returncode=WRONG_OPTIONS)
        return moment if timezone.is_aware(moment) else moment.replace(tzinfo=UTC)
