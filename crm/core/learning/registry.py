"""Every training task of the product by name, and the one way to run them: from Beat, a button or the command line.

Apps register in their `apps.py`; a task's `run` does the whole path dataset -> fit -> judge -> modelstore, usually by
ending in `conclude`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from django.utils.functional import Promise

from crm.core import clock, locks
from crm.core.errors import CrmError
from crm.core.learning import modelstore, rounds
from crm.core.models import ModelVersion

if TYPE_CHECKING:
    from crm.core.learning.evaluation import Verdict

logger = logging.getLogger(__name__)


class Outcome(StrEnum):
    """trained: a new version serves.  kept: a new version was made but the former is better.  skipped: data unchanged,
    or another worker is at it.  failed: no model; the reason is in the message."""

    TRAINED = "trained"
    KEPT = "kept"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class TrainingOutcome:
    """What one training run did, for the log, the command's output and the model page."""

    state: Outcome
    message: str
    version: ModelVersion | None = None
    metrics: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrainingTask:
    """A model the product trains.

    name: as in `manage.py retrain NAME` and ModelVersion.task.  title, purpose: for people.
    run: `run(as_of=…, force=…) -> TrainingOutcome`.  depends_on: tasks to run before it under --all.
    schedule: "daily" or "weekly", read by crm/schedule.py.
    main_metric: the key of ModelVersion.metrics that pages show first; higher_is_better says how to read it.
    weight: seconds it trains on the demo shop, about; a round is shared among processes by it.
    word: what a class in its report's tables is called in the reader's language, for classes only the app knows.
    """

    name: str
    title: str | Promise
    run: Callable[..., TrainingOutcome]
    depends_on: tuple[str, ...] = ()
    schedule: str = "daily"
    purpose: str | Promise = ""
    main_metric: str = ""
    higher_is_better: bool = True
    word: Callable[[str], str] | None = None
    weight: float = 1.0


class TaskUnknown(CrmError):
    code = "task_unknown"
    status = 404


_tasks: dict[str, TrainingTask] = {}


def register(*tasks_given: TrainingTask) -> None:
    """Add tasks; registering a name again replaces it, so that reloading an app is harmless."""
    _tasks.update({task.name: task for task in tasks_given})


def tasks() -> list[TrainingTask]:
    """Return every task, each after the tasks it depends on, otherwise by name."""
    ordered: dict[str, TrainingTask] = {}

    def place(task: TrainingTask, above: tuple[str, ...]) -> None:
        if task.name in above:
            raise ValueError(f"training tasks depend on each other in a circle: {' -> '.join((*above, task.name))}")
        for needed in task.depends_on:
            if needed in _tasks and needed not in ordered:
                place(_tasks[needed], (*above, task.name))
        ordered.setdefault(task.name, task)

    for name in sorted(_tasks):
        place(_tasks[name], ())
    return list(ordered.values())


def task_named(name: str) -> TrainingTask:
    """Return the task; raises TaskUnknown with the names there are."""
    if name not in _tasks:
        raise TaskUnknown(f"There is no training task {name!r}; there are: {', '.join(sorted(_tasks)) or 'none'}.", name=name)
    return _tasks[name]


def run(name: str, *, as_of: datetime, force: bool = False) -> TrainingOutcome:
    """Train one task on the facts up to `as_of` and return what came of it; never raises for a failed training.

    A failure is recorded as a version of state "failed" with its reason.  A second run of the same task at the same
    time skips.
    """
    task = task_named(name)
    started = time.monotonic()
    try:
        with locks.held_by_session(f"training:{name}") as ours:
            if not ours:
                return TrainingOutcome(state=Outcome.SKIPPED, message="Another worker is training this model.")
            outcome = task.run(as_of=as_of, force=force)
    except Exception as error:
        reason = error.text if isinstance(error, CrmError) else f"{type(error).__name__}: {error}"
        if isinstance(error, CrmError):
            logger.warning("training gave no model", extra={"task": name, "code": error.code})
        else:
            logger.exception("training failed", extra={"task": name})
        version = modelstore.record_failure(task=name, as_of=as_of, trained_at=clock.now(), seconds=time.monotonic() - started, reason=reason)
        return TrainingOutcome(state=Outcome.FAILED, message=reason, version=version)
    logger.info("training ended", extra={"task": name, "outcome": outcome.state.value, "seconds": round(time.monotonic() - started, 1)})
    return outcome


def run_all(*, as_of: datetime, force: bool = False, names: Collection[str] | None = None) -> Iterator[tuple[TrainingTask, TrainingOutcome]]:
    """Train every task (of `names`, where given) in order of dependence, yielding each as it ends.

    A failed one does not stop the others. What follows from promotions, like new portraits, happens once after the last.
    """
    with rounds.gathered():
        for task in tasks():
            if names is None or task.name in names:
                yield task, run(task.name, as_of=as_of, force=force)


def conclude(version: ModelVersion, verdict: Verdict, *, at: datetime) -> TrainingOutcome:
    """Promote the candidate if the verdict says so, drop files of old versions, and return the outcome."""
    if verdict.promote:
        version = modelstore.promote(version.pk, actor=None, at=at)
    modelstore.discard_old(version.task)
    return TrainingOutcome(state=Outcome.TRAINED if verdict.promote else Outcome.KEPT, message=verdict.reason, version=version, metrics=version.metrics)


def skipped(version: ModelVersion) -> TrainingOutcome:
    """Return the outcome of a run that found its data unchanged since `version`."""
    return TrainingOutcome(state=Outcome.SKIPPED, message=f"The data are unchanged since version {version.version}.", version=version, metrics=version.metrics)
