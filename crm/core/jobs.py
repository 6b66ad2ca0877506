"""Verbs on long work: start, report progress, finish, fail, cancel.

A task that carries out a job calls `begin` first; False means another worker already has it or it was cancelled.
Progress writes at most what the caller sends: call it every few hundred rows, not per row.
"""

from datetime import datetime, timedelta

from django.db.models import Q, Value
from django.db.models.functions import Concat

from crm.core import clock
from crm.core.errors import CrmError
from crm.core.models import Job, User
from crm.core.models.jobs import JobState

# A running job whose worker has been silent this long may be taken over after a crash.
STALE_AFTER = timedelta(minutes=2)


class JobCancelled(CrmError):
    code = "job_cancelled"
    status = 409
    message = "The job was cancelled."


def start(*, kind: str, title: str, created_by: User | None, params: dict[str, object] | None = None, total: int = 0) -> Job:
    """Return a new waiting job; the caller enqueues the task that carries it out after commit."""
    return Job.objects.create(kind=kind, title=title[:200], created_by=created_by, params=params or {}, total=total)


def begin(job_id: int, *, at: datetime | None = None) -> bool:
    """Claim the job for this worker; False when it is over, cancelled, or alive elsewhere."""
    at = at or clock.now()
    claimable = Q(state=JobState.WAITING) | Q(state=JobState.RUNNING, heartbeat_at__lt=at - STALE_AFTER)
    return bool(Job.objects.filter(claimable, pk=job_id, cancel_requested=False).update(state=JobState.RUNNING, started_at=at, heartbeat_at=at, error=""))


def progress(job_id: int, done: int, total: int | None = None, message: str = "") -> None:
    """Record how far the job is. Raises JobCancelled when a person asked it to stop."""
    values: dict[str, object] = {"done": done, "message": message[:300], "heartbeat_at": clock.now()}
    if total is not None:
        values["total"] = total
    Job.objects.filter(pk=job_id).update(**values)
    if is_cancelled(job_id):
        raise JobCancelled


def note(job_id: int, line: str) -> None:
    """Add one dated line to the job's log; call it for events worth reading later, not per row."""
    Job.objects.filter(pk=job_id).update(log=Concat("log", Value(f"{clock.now():%Y-%m-%d %H:%M:%S}Z  {line.strip()[:500]}\n")))


def beat(job_id: int) -> None:
    """Say that the worker is alive without saying how far it is."""
    Job.objects.filter(pk=job_id, state=JobState.RUNNING).update(heartbeat_at=clock.now())


def is_cancelled(job_id: int) -> bool:
    return Job.objects.filter(pk=job_id, cancel_requested=True).exists()


def finish(job_id: int, *, result: dict[str, object] | None = None, message: str = "") -> None:
    Job.objects.filter(pk=job_id).update(state=JobState.DONE, finished_at=clock.now(), result=result or {}, message=message[:300])


def fail(job_id: int, *, error: str) -> None:
    Job.objects.filter(pk=job_id).update(state=JobState.FAILED, finished_at=clock.now(), error=error[:5000])


def mark_cancelled(job_id: int, *, message: str = "") -> None:
    Job.objects.filter(pk=job_id).update(state=JobState.CANCELLED, finished_at=clock.now(), message=message[:300])


def request_cancel(job_id: int) -> bool:
    """Ask a job to stop; a waiting one is over at once. False when it was over already."""
    if Job.objects.filter(pk=job_id, state=JobState.WAITING).update(state=JobState.CANCELLED, cancel_requested=True, finished_at=clock.now()):
        return True
    return bool(Job.objects.filter(pk=job_id, state=JobState.RUNNING).update(cancel_requested=True))
