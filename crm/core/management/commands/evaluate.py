"""Measure a pipeline of the product on files of one's own: `manage.py evaluate NAME --help` names its options."""

import argparse
import json
import math
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from crm.core.errors import CrmError
from crm.core.learning import evaluating


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
        try:
            report = evaluating.run(options["name"], options, self._say)
        except CrmError as error:
            raise CommandError(error.text) from error
        text = json.dumps(_finite(report), ensure_ascii=False, indent=2)
        if options["json"] == "-":
            self.stdout.write(text)
            return
        if options["json"]:
            try:
                Path(options["json"]).write_text(text + "\n", encoding="utf-8")
            except OSError as error:
                raise CommandError(f"{options['json']} cannot be written: {error}.") from error
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
