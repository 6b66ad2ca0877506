"""Measure a pipeline of the product on files of one's own: `manage.py evaluate NAME --help` names its options."""

import argparse
import json
import math
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from crm.core.errors import CrmError
from crm.core.learning import evaluating

# Wrong options end with 2 by argparse's custom; so does a file that cannot be evaluated.
WRONG_INPUT = 2
# Options of the evaluations that name a file to write.
WRITTEN = ("out", "json", "forecast", "save_tables")


class Command(BaseCommand):
    help = "Run a production pipeline on your own files and report how good it is; labels of test files choose nothing."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        names = parser.add_subparsers(dest="name", metavar="NAME", required=True)
        for evaluation in evaluating.evaluations():
            module = evaluation.load()
            one = names.add_parser(evaluation.name, help=module.HELP, description=module.HELP)
            module.add_arguments(one)
            one.add_argument("--json", metavar="FILE", nargs="?", const="-", help="write the report as JSON; without FILE to standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        _refuse_wrong(options)
        try:
            report = evaluating.run(options["name"], options, self._say)
        except CrmError as error:
            raise CommandError(error.text, returncode=WRONG_INPUT) from error
        text = json.dumps(_finite(report), ensure_ascii=False, indent=2)
        if options["json"] == "-":
            self.stdout.write(text)
            return
        if options["json"]:
            try:
                Path(options["json"]).write_text(text + "\n", encoding="utf-8")
            except OSError as error:
                raise CommandError(f"{options['json']} cannot be written: {error}.", returncode=WRONG_INPUT) from error
        self._print(report)

    def _say(self, line: str) -> None:
        self.stderr.write(line)

    def _print(self, report: dict[str, Any]) -> None:
        self.stdout.write(f"{report['task']}: {report['chosen']}")
        self.stdout.write(report["protocol"])
        for name, value in report["figures"].items():
            self.stdout.write(f"    {name:<32} {_shown(value)}")
        if report["candidates"]:
            self.stdout.write("candidates, on the training rows:")
            for name, value in report["candidates"].items():
                self.stdout.write(f"    {name:<32} {_shown(value)}")
        for note in report["notes"]:
            self.stdout.write(f"  note: {note}")
        self.stdout.write(f"{report['seconds']} s, {report['peak_memory_mb']} MB, seed {report['seed']}")


def _refuse_wrong(options: dict[str, Any]) -> None:
    """Raise CommandError for what every evaluation refuses, before minutes are spent on it."""
    if (options.get("seed") or 0) < 0:
        raise CommandError("--seed must be 0 or more.", returncode=WRONG_INPUT)
    for name in WRITTEN:
        path = options.get(name)
        if not path or path == "-":
            continue
        option = f"--{name.replace('_', '-')}"
        if not Path(path).parent.is_dir():
            raise CommandError(f"{option}: the folder {Path(path).parent} does not exist.", returncode=WRONG_INPUT)
        if Path(path).is_dir():
            raise CommandError(f"{option}: {path} is a folder; name a file.", returncode=WRONG_INPUT)


def _shown(value: Any) -> str:
    if isinstance(value, dict) and "value" in value:
        interval = f"  [{_shown(value['low'])}, {_shown(value['high'])}]" if value.get("low") is not None else ""
        return f"{_shown(value['value'])}{interval}"
    if isinstance(value, dict):
        return "  ".join(f"{name} {_shown(part)}" for name, part in value.items())
    if isinstance(value, float):
        return f"{value:.4f}"
    return str(value)


def _finite(value: Any) -> Any:
    """JSON has no NaN: a figure that does not exist is null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value
