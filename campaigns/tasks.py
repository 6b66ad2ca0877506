"""Background work of campaigns: sending, drafting, sweeping, counting orders. Each is safe to run twice."""

import logging

from celery import shared_task
from kombu.exceptions import OperationalError

from campaigns import attribution, copywriting, sending
from campaigns.models import Campaign
from crm.core import clock, jobs
from crm.core.errors import CrmError
from crm.core.models import Job

logger = logging.getLogger(__name__)
SEND, DRAFT = "campaign.send", "campaign.draft"


def enqueue_send(job: Job) -> None:
    """Send the task that carries out a send job; while the broker is away the sweeper does it later."""
    _enqueue(send_campaign, job)


def enqueue_draft(job: Job) -> None:
    """Send the task that writes drafts."""
    _enqueue(draft_texts, job)


@shared_task(queue="bulk")
def send_campaign(campaign_id: int, job_id: int, **_unknown: object) -> None:
    """Send what is due of one campaign; a second worker finds the job taken and leaves."""
    if not jobs.begin(job_id):
        return
    try:
        sending.deliver(campaign_id=campaign_id, job_id=job_id, clock=clock.now)
    except CrmError as error:
        # Such as a merge field that vanished: every message would fail alike, so a person has to look.
        logger.exception("campaign cannot be sent", extra={"campaign": campaign_id, "code": error.code})
        sending.stop_now(campaign_id=campaign_id, job_id=job_id)
        jobs.fail(job_id, error=error.text)


@shared_task(queue="default")
def draft_texts(campaign_id: int, job_id: int, **_unknown: object) -> None:
    """Have the generator write a draft per language."""
    if not jobs.begin(job_id):
        return
    campaign = Campaign.objects.select_related("segment").get(pk=campaign_id)
    try:
        for number, language in enumerate(copywriting.LANGUAGES):
            jobs.progress(job_id, number, len(copywriting.LANGUAGES))
            copywriting.draft(campaign=campaign, language=language, at=clock.now())
        jobs.progress(job_id, len(copywriting.LANGUAGES))
    except jobs.JobCancelled:
        jobs.mark_cancelled(job_id)
    except CrmError as error:
        jobs.fail(job_id, error=error.text)
    else:
        jobs.finish(job_id)


@shared_task(queue="bulk")
def sweep_deliveries(**_unknown: object) -> None:
    """Call lost deliveries unknown and send on campaigns whose worker died or waits for another try."""
    for campaign_id, job_id in sending.sweep(now=clock.now()):
        send_campaign.delay(campaign_id=campaign_id, job_id=job_id)


@shared_task(queue="bulk")
def attribute_orders(**_unknown: object) -> None:
    """Count orders for every campaign whose window is open or recently closed."""
    attribution.attribute_orders(at=clock.now())


@shared_task(queue="bulk")
def move_deliveries(gone_id: int, kept_id: int, **_unknown: object) -> None:
    """Follow a merge of two customers."""
    attribution.move(gone_id=gone_id, kept_id=kept_id)


def _enqueue(task: object, job: Job) -> None:
    try:
        task.delay(campaign_id=int(job.params["campaign_id"]), job_id=job.pk)  # type: ignore[attr-defined]
    except OperationalError:
        logger.warning("broker away, job left to the sweeper", extra={"job": job.pk})
