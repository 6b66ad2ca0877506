"""A refresh of everybody shared among workers: planned once, then range by range by whoever is free.

Every range is a row. A worker holds a lock of its database session while it works on one, so a killed worker leaves its
range free at once and the next one takes it; what was done stays done.  Cancelling stops before the next range.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime

from django.db import transaction
from django.db.models import Sum
from django.utils.translation import gettext as _

from crm.core import clock, jobs, locks, rows
from crm.core.events import publish
from crm.core.models import Job, User
from crm.core.models.jobs import JobState
from customers import portrait
from customers.events import ScoresRefreshed
from customers.models import PortraitRun, PortraitShard
from customers.portrait import serving
from customers.portrait import yardstick as yardsticks
from customers.portrait.serving import Models
from customers.portrait.yardstick import Yardstick

KIND = "portraits"


def start(*, as_of: datetime, by: User | None = None, cause: str = "schedule") -> Job:
    """Return the job of a new refresh, or the one already under way. The caller enqueues its task after commit."""
    with transaction.atomic():
        locks.take("portrait-runs")
        under_way = Job.objects.filter(kind=KIND, state__in=(JobState.WAITING, JobState.RUNNING)).order_by("-id").first()
        if under_way is not None:
            return under_way
        job = jobs.start(kind=KIND, title=_("Refresh portraits"), created_by=by)
        PortraitRun.objects.create(job=job, as_of=as_of, cause=cause)
    return job


def plan(job_id: int) -> int:
    """Measure the shop and cut it into ranges, unless that was done; return how many ranges are due, 0 when it is over.

    Only one worker plans; the others get 0 and may go.
    """
    run = PortraitRun.objects.select_related("job").filter(pk=job_id).first()
    if run is None or run.job.is_over:
        return 0
    with locks.held_by_session(f"portrait-plan-{job_id}") as mine:
        if not mine:
            return 0
        run.refresh_from_db()
        if run.yardstick is None:
            if not jobs.begin(job_id):
                return 0
            models, scored = portrait.prepared(run.as_of)
            cuts = portrait.ranges()
            total = sum(count for _low, _high, count in cuts)
            yardstick, _parts = yardsticks.take(as_of=run.as_of, models=models, customers=total)
            with transaction.atomic():
                PortraitShard.objects.bulk_create(PortraitShard(run=run, low=low, high=high, expected=count) for low, high, count in cuts)
                PortraitRun.objects.filter(pk=job_id).update(yardstick=yardstick.to_json())
            jobs.progress(job_id, 0, total)
            jobs.note(job_id, f"{total} customers in {len(cuts)} ranges; {scored} reviews read; versions {models.versions}")
            for why in models.notes:
                jobs.note(job_id, why)
        due = PortraitShard.objects.filter(run_id=job_id, done_at=None).count()
    if not due:
        _close(job_id)
    return due


def work(job_id: int) -> int:
    """Take ranges until none is free; return how many this worker did. Raises jobs.JobCancelled when asked to stop."""
    run = PortraitRun.objects.filter(pk=job_id).first()
    if run is None or run.yardstick is None:
        return 0
    models = serving.serving()
    yardstick = Yardstick.from_json(run.yardstick)
    # What is printed is what served here, should a version have been promoted since the plan was made.
    models.versions["sentiment"] = yardstick.versions["sentiment"]
    yardstick = replace(yardstick, versions=dict(models.versions))
    # Two ranges a minute are hundreds of megabytes of log to wait for, and a range lost with the server is due again: that it
    # is done is written after it, so never without it.
    with rows.unhurried_commits(), rows.single_handed():
        done = _take_ranges(job_id, yardstick, models)
    _close(job_id)
    return done


def _take_ranges(job_id: int, yardstick: Yardstick, models: Models) -> int:
    done = 0
    for shard_id in PortraitShard.objects.filter(run_id=job_id, done_at=None).order_by("low").values_list("pk", flat=True):
        state = Job.objects.values_list("state", "cancel_requested").get(pk=job_id)
        if state[1]:
            raise jobs.JobCancelled
        if state[0] != JobState.RUNNING:
            return done
        with locks.held_by_session(f"portrait-range-{shard_id}") as mine:
            shard = PortraitShard.objects.filter(pk=shard_id, done_at=None).first() if mine else None
            if shard is None:
                continue
            began = time.monotonic()
            written = portrait.refresh_range(low=shard.low, high=shard.high, yardstick=yardstick, models=models)
            PortraitShard.objects.filter(pk=shard_id).update(done_at=clock.now(), written=written, seconds=round(time.monotonic() - began, 2))
        done += 1
        jobs.progress(job_id, _written(job_id))
    return done


def _written(job_id: int) -> int:
    return int(PortraitShard.objects.filter(run_id=job_id).aggregate(n=Sum("written"))["n"] or 0)


def _close(job_id: int) -> None:
    """Finish the job when no range is due any more; one worker does, and tells the others."""
    if PortraitShard.objects.filter(run_id=job_id, done_at=None).exists():
        return
    with transaction.atomic():
        job = Job.objects.select_for_update().get(pk=job_id)
        if job.is_over:
            return
        run, written = PortraitRun.objects.get(pk=job_id), _written(job_id)
        jobs.finish(job_id, result={"customers": written}, message=_("All portraits are up to date."))
        publish(ScoresRefreshed(as_of=run.as_of, customers=written, cause=run.cause))
