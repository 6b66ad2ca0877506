"""Measuring the product's own pipelines on files a person brings: the registry behind `manage.py evaluate NAME`.

An app registers an `Evaluation` in its registration.py by the dotted path of a module that has

    HELP                        one sentence for `manage.py evaluate --help`
    add_arguments(parser)       its options; imports nothing heavy
    run(options, say) -> EvaluationReport

so that the command line stays quick and no app imports another.  `run` must choose everything (model, thresholds,
parameters) on the training rows alone: labels of a test file are read only after the predictions are written down.
"""

from __future__ import annotations

import platform
import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module, metadata
from types import ModuleType
from typing import Any

from crm.core.errors import CrmError

# One line of progress for the person who waits, on standard error.
Say = Callable[[str], None]
# What a report names as the software it was made with.
_PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "transformers")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """name: as in `manage.py evaluate NAME`.  module: dotted path, see this module's docstring."""

    name: str
    module: str

    def load(self) -> ModuleType:
        return import_module(self.module)


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """What an evaluation found.

    task: the command's name.  protocol: how it was measured, one sentence.  chosen: the model that predicted.
    figures: of the chosen model on the test rows, empty where they bear no labels; a value may be a number, None, or
    {"value": …, "low": …, "high": …}.  candidates: figure per candidate on the training rows (cross-validation), by
    name, the named baseline among them.  parameters: what was fitted or chosen, as JSON.
    notes: what a reader must know.  seed: every random draw came from it.
    """

    task: str
    protocol: str
    chosen: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    candidates: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seed: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)


class EvaluationUnknown(CrmError):
    code = "evaluation_unknown"
    status = 404


_evaluations: dict[str, Evaluation] = {}


def register(*given: Evaluation) -> None:
    """Add evaluations; registering a name again replaces it."""
    _evaluations.update({evaluation.name: evaluation for evaluation in given})


def evaluations() -> list[Evaluation]:
    return [_evaluations[name] for name in sorted(_evaluations)]


def named(name: str) -> Evaluation:
    """Return the evaluation; raises EvaluationUnknown with the names there are."""
    if name not in _evaluations:
        raise EvaluationUnknown(f"There is no evaluation {name!r}; there are: {', '.join(sorted(_evaluations)) or 'none'}.", name=name)
    return _evaluations[name]


def run(name: str, options: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Run one evaluation and return its report as JSON-ready data, with seconds, peak memory and versions."""
    started = time.monotonic()
    report: EvaluationReport = named(name).load().run(options, say)
    return {
        "task": report.task,
        "protocol": report.protocol,
        "chosen": report.chosen,
        "figures": dict(report.figures),
        "candidates": dict(report.candidates),
        "parameters": dict(report.parameters),
        "tables": dict(report.tables),
        "notes": list(report.notes),
        "rows": dict(report.rows),
        "seed": report.seed,
        "seconds": round(time.monotonic() - started, 2),
        # Linux reports kilobytes; the peak is the whole process's, libraries included.
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "versions": {"python": platform.python_version(), **{package: metadata.version(package) for package in _PACKAGES}},
    }
