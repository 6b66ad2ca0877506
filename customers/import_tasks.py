"""Background work of imports, on the queue for long sends and imports."""

import logging

from celery import shared_task
from kombu.exceptions import OperationalError

from crm.core import clock
from crm.core.models import Job
from customers.importing import work

logger = logging.getLogger(__name__)


@shared_task(name="customers.import_tasks.run", queue="bulk")
def run_import(job_id: int, **_unknown: object) -> None:
    """Carry out an import job; running it twice imports once."""
    work.carry_out(job_id=job_id, at=clock.now())


def enqueue(job: Job) -> None:
    """Send the task of an import job; while the broker is away the sweeper sends it later."""
    try:
        run_import.delay(job.pk)
    except OperationalError:
        logger.warning("broker away, import left to the sweeper", extra={"job": job.pk})
