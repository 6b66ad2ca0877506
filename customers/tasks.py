"""Background work of the customer's record; every task may run twice and takes ids only."""

import logging

from celery import shared_task

from crm.core import clock, jobs
from crm.core.errors import CrmError
from crm.core.models import Job
from crm.core.tasks import kept_alive
from customers import facets, ingest
from customers.models import Segment
from customers.segmentation import membership

logger = logging.getLogger(__name__)


# Workers told of a refresh at once; each takes ranges until none is left, so more would find nothing to do.
MOST_WORKERS = 16


@shared_task(queue="learning")
def refresh_portraits(customer_ids: list[int] | None = None, job_id: int | None = None, **_unknown: object) -> None:
    """Recompute every portrait as a job shared among the bulk workers, or, at once, those of the given customers."""
    # numpy and SciPy load with the first refresh, not with every start of the program.
    from customers import portrait
    from customers.portrait import runs

    if customer_ids is not None:
        portrait.refresh(as_of=clock.now(), customer_ids=customer_ids)
        return
    job_id = job_id or runs.start(as_of=clock.now()).pk
    try:
        with kept_alive(job_id):
            due = runs.plan(job_id)
    except jobs.JobCancelled:
        jobs.mark_cancelled(job_id)
        return
    except CrmError as error:
        jobs.fail(job_id, error=error.text)
        return
    for _worker in range(min(due, MOST_WORKERS)):
        refresh_portrait_ranges.delay(job_id)


@shared_task(queue="bulk")
def refresh_portrait_ranges(job_id: int, **_unknown: object) -> None:
    """Take ranges of a planned refresh until none is left; any number of workers may run this at once."""
    from customers.portrait import runs

    try:
        with kept_alive(job_id):
            runs.work(job_id)
    except jobs.JobCancelled:
        jobs.mark_cancelled(job_id)
    except CrmError as error:
        jobs.fail(job_id, error=error.text)
    except Exception as error:
        # Left running, the job would be sent round for ever.
        jobs.fail(job_id, error=f"{type(error).__name__}: {error}")
        raise


def enqueue_portraits(job: Job) -> None:
    """Send the task of a refresh again; the ranges already done stay done."""
    refresh_portraits.delay(job_id=job.pk)


@shared_task(queue="default")
def refresh_segments(**_unknown: object) -> None:
    """Re-evaluate every segment; one whose rule has become invalid is logged and does not stop the others."""
    for segment_id in Segment.objects.order_by("pk").values_list("pk", flat=True):
        refresh_segment(segment_id)


@shared_task(queue="default")
def refresh_segment(segment_id: int, **_unknown: object) -> None:
    """Re-evaluate one segment, as after an edit."""
    try:
        membership.refresh(segment_id=segment_id, at=clock.now())
    except CrmError as error:
        logger.warning("segment not evaluated", extra={"segment": segment_id, "code": error.code})


@shared_task(queue="default")
def join_late_returns(**_unknown: object) -> None:
    """Join returns to orders that an import and a tracking call stored without seeing each other."""
    if found := ingest.join_late_returns(at=clock.now()):
        logger.info("late returns joined to their orders", extra={"customers": len(found)})


@shared_task(queue="default")
def renew_facet(column: str, **_unknown: object) -> None:
    """Look anew for the countries or tags the customers list offers as filters."""
    facets.renew(column)
