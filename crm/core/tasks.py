"""The kernel's background work: training, the sweeper of lost jobs, removal of the demo shop."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from celery import shared_task
from django.db import connection, transaction
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError

from crm.core import clock, demo_flag, job_kinds, jobs, removal
from crm.core.errors import CrmError
from crm.core.jobs import STALE_AFTER, JobCancelled
from crm.core.learning import registry
from crm.core.learning.registry import Outcome, TaskUnknown, TrainingOutcome
from crm.core.models import Job, User
from crm.core.models.jobs import JobState

logger = logging.getLogger(__name__)

TRAIN, REMOVE_DEMO = "train", "demo.remove"
# A waiting job nobody began is sent again this often: its message may have died with the broker.
RESEND_AFTER = timedelta(minutes=5)
# Well under STALE_AFTER, so that a fit of many minutes without a word is not taken for a dead worker.
HEARTBEAT_SECONDS = 20


def start_training(*, name: str, by: User | None, force: bool = False) -> Job:
    """Return the job that trains the model, enqueued; the one already waiting or running when there is one.

    Raises TaskUnknown.
    """
    task = registry.task_named(name)
    with transaction.atomic():
        under_way = (
            Job.objects.select_for_update().filter(kind=TRAIN, params__name=name, state__in=(JobState.WAITING, JobState.RUNNING)).order_by("-id").first()
        )
        if under_way is not None:
            return under_way
        job = jobs.start(kind=TRAIN, title=_("Train: %(model)s") % {"model": task.title}, created_by=by, params={"name": name, "force": force})
        transaction.on_commit(lambda: enqueue_training(job))
    return job


def training_title(job: Job) -> str:
    """Return what a training job is called in the reader's language, also where the schedule started it."""
    try:
        task = registry.task_named(str(job.params.get("name", "")))
    except TaskUnknown:
        return job.title
    return _("Train: %(model)s") % {"model": task.title}


def enqueue_training(job: Job) -> None:
    """Send the task that carries out a training job."""
    _send(retrain.delay, str(job.params.get("name", "")), job_id=job.pk, force=bool(job.params.get("force")))


def enqueue_demo_removal(job: Job) -> None:
    """Send the task that removes the demo shop."""
    _send(remove_demo.delay, job_id=job.pk)


@shared_task(queue="learning")
def retrain(name: str, job_id: int | None = None, force: bool = False, **_unknown: object) -> None:
    """Train one model as a job; Beat calls it without one. Running it twice trains once: `begin` lets one worker through."""
    if job_id is None:
        task = registry.task_named(name)
        job_id = jobs.start(kind=TRAIN, title=_("Train: %(model)s") % {"model": task.title}, created_by=None, params={"name": name, "force": force}).pk
    if not jobs.begin(job_id):
        return
    jobs.note(job_id, f"training {name}" + (" even if the data are unchanged" if force else ""))
    try:
        with kept_alive(job_id):
            outcome = registry.run(name, as_of=clock.now(), force=force)
    except CrmError as error:
        jobs.fail(job_id, error=error.text)
        return
    _close_training(job_id, outcome)


def _close_training(job_id: int, outcome: TrainingOutcome) -> None:
    version = outcome.version
    jobs.note(job_id, f"{outcome.state.value}: {outcome.message}")
    if outcome.state == Outcome.FAILED:
        jobs.fail(job_id, error=outcome.message)
        return
    words = {
        Outcome.TRAINED: _("The new version serves."),
        Outcome.KEPT: _("A new version was made, but the serving one stays."),
        Outcome.SKIPPED: _("Nothing to do."),
    }
    # The reason is in the log; `result` holds only what the page can print in the reader's language.
    result: dict[str, object] = {}
    if version is not None:
        result = {"version": version.version, "rows": version.rows, "seconds": round(version.seconds, 1)}
    jobs.finish(job_id, result=result, message=words[outcome.state])


@shared_task(queue="bulk")
def remove_demo(job_id: int, **_unknown: object) -> None:
    """Carry out the removal of the demo shop; safe to run again after an interruption."""
    if not jobs.begin(job_id):
        return
    try:
        with kept_alive(job_id):
            removed = removal.remove(lambda done, total, message: jobs.progress(job_id, done, total, message))
    except JobCancelled:
        jobs.mark_cancelled(job_id, message=_("Stopped; what was removed stays removed."))
    except CrmError as error:
        jobs.fail(job_id, error=error.text)
    else:
        jobs.finish(job_id, result=dict(removed), message=_("The demo shop is gone."))
    finally:
        demo_flag.forget()


@shared_task(queue="default")
def sweep_jobs(**_unknown: object) -> None:
    """Take care of jobs whose worker or message was lost: send them again, close them, or say that they failed.

    Waiting ones that nobody began are sent again. Running ones without a sign of life are sent again when their kind may
    simply be repeated, else marked failed. Each is touched by a conditional update, so two sweepers do no harm.
    """
    now = clock.now()
    silent = Job.objects.filter(state=JobState.RUNNING, heartbeat_at__lt=now - STALE_AFTER)
    silent.filter(cancel_requested=True).update(state=JobState.CANCELLED, finished_at=now, message=_("Stopped after its worker was lost."))
    for job in silent.filter(cancel_requested=False).order_by("id")[:100]:
        kind = job_kinds.find(job.kind)
        if kind is not None and kind.resumable:
            # `begin` lets the next worker claim it because the heartbeat is old; it is left as it is.
            jobs.note(job.pk, "worker lost; sent to another one")
            _hand_over(kind.enqueue, job)
        elif Job.objects.filter(pk=job.pk, state=JobState.RUNNING, heartbeat_at=job.heartbeat_at).update(
            state=JobState.FAILED, finished_at=now, error=_("The worker was lost. Nothing more will be done; please start it again.")
        ):
            logger.warning("job lost its worker", extra={"job": job.pk, "kind": job.kind})
    waiting = Job.objects.annotate(asked_at=Coalesce("heartbeat_at", "created_at")).filter(state=JobState.WAITING, asked_at__lt=now - RESEND_AFTER)
    for job in waiting.order_by("id")[:100]:
        kind = job_kinds.find(job.kind)
        if kind is not None and Job.objects.filter(pk=job.pk, state=JobState.WAITING, heartbeat_at=job.heartbeat_at).update(heartbeat_at=now):
            _hand_over(kind.enqueue, job)


@contextmanager
def kept_alive(job_id: int) -> Iterator[None]:
    """Keep the job's heartbeat going from a thread while the body works without reporting progress."""
    over = threading.Event()

    def beats() -> None:
        while not over.wait(HEARTBEAT_SECONDS):
            try:
                jobs.beat(job_id)
            except Exception:
                logger.warning("heartbeat missed", extra={"job": job_id}, exc_info=True)
            finally:
                connection.close()

    thread = threading.Thread(target=beats, name=f"job-{job_id}-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=5)


def _send(delay: Callable[..., object], *args: object, **kwargs: object) -> None:
    """Put a task on its queue; while the broker is away the job's row waits and the sweeper sends it later."""
    try:
        delay(*args, **kwargs)
    except OperationalError:
        logger.warning("broker away, job left to the sweeper", extra={"kwargs": kwargs})


def _hand_over(enqueue: Callable[[Job], None], job: Job) -> None:
    try:
        enqueue(job)
    except Exception:
        logger.exception("job could not be sent again", extra={"job": job.pk, "kind": job.kind})
