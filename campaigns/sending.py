"""Launching, delivering, stopping, resuming: the ledger decides, never the memory of a worker.

A delivery's life: due -> sending -> sent | failed | unknown, or skipped / holdout from the start. The row turns to
`sending` and is committed before the channel is spoken to, and to `sent` after it answered. A worker killed in between
leaves a `sending` row that nobody may send again; `sweep` calls it `unknown`. One row at a time per worker is in that
state, so a crash costs at most one message per worker.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import uuid4

from django.db import transaction
from django.db.models import Count, F, Q

from campaigns import audiences, merge, preflight
from campaigns.audiences import Audience
from campaigns.channels import Channel, Deferred, Lost, Refused, ServerUnavailable, email, open_channel
from campaigns.errors import CampaignChanged, CampaignNotDraft, CampaignNotReady
from campaigns.events import CampaignReady
from campaigns.messages import Desk, Message
from campaigns.models import Arm, Campaign, CampaignState, Delivery, DeliveryState
from crm.core import audit, jobs, locks
from crm.core.errors import NotFound
from crm.core.events import publish
from crm.core.models import Job, User
from crm.core.models.jobs import JobState
from customers import consent
from customers.models import Customer
from customers.models.consent import ConsentState
from customers.segmentation import membership
from recommendations import feedback

logger = logging.getLogger(__name__)

# One claim loads the merge values of this many customers: about 6 queries and 1 MB; more gains nothing measurable.
BATCH = 50
# A claimed row belongs to its worker this long; a crashed worker's rows are free again after it.
LEASE = timedelta(minutes=5)
# Longer than every step of an SMTP conversation together (6 x CRM_SMTP_TIMEOUT_SECONDS by default).
STALE_SENDING = timedelta(minutes=5)
# Pauses before another try after a 'not now'; after the last the delivery has failed.
RETRY_AFTER = (timedelta(minutes=2), timedelta(minutes=10), timedelta(minutes=30), timedelta(hours=2))


def launch(*, campaign_id: int, actor: User | None, now: datetime, expected_version: int | None = None) -> Job:
    """Write the ledger for everyone in the segment and return the job that will send it, all in one transaction.

    expected_version: the version the person confirmed. Raises CampaignNotDraft when it was launched already,
    CampaignChanged, or CampaignNotReady with the pre-flight's faults.
    """
    with transaction.atomic():
        campaign = Campaign.objects.select_for_update(of=("self",)).select_related("segment").get(pk=campaign_id)
        if campaign.state != CampaignState.DRAFT:
            raise CampaignNotDraft
        if expected_version is not None and campaign.version != expected_version:
            raise CampaignChanged
        if campaign.segment_id is not None:
            membership.refresh(segment_id=campaign.segment_id, at=now, cause="campaign")
        audience = audiences.plan(campaign=campaign, at=now)
        faults = [finding.code for finding in preflight.check(campaign=campaign, audience=audience) if finding.is_blocking]
        if faults:
            raise CampaignNotReady(faults=faults)
        Delivery.objects.bulk_create(_ledger(campaign, audience), batch_size=1000)
        job = jobs.start(kind="campaign.send", title=campaign.name, created_by=actor, params={"campaign_id": campaign.pk}, total=audience.to_send)
        campaign.state, campaign.started_at, campaign.job = CampaignState.SENDING, now, job
        campaign.version += 1
        campaign.save(update_fields=["state", "started_at", "job", "version", "updated_at"])
        audit.record(
            actor=actor,
            action="campaign.send",
            target=campaign,
            data={"matched": audience.matched, "to_send": audience.to_send, "held_out": audience.held_out, "left_out": audience.dropped},
        )
        publish(CampaignReady(campaign_id=campaign.pk, job_id=job.pk, at=now, cause="launch"))
    logger.info("campaign launched", extra={"campaign": campaign.pk, "to_send": audience.to_send, "held_out": audience.held_out})
    return job


def _ledger(campaign: Campaign, audience: Audience) -> list[Delivery]:
    rows: list[Delivery] = []
    treated, holdout = frozenset(audience.treated), frozenset(audience.holdout)
    for customer_id, member in audience.members.items():
        row = Delivery(campaign=campaign, customer_id=customer_id, address=member.email.strip(), language=audience.languages.get(customer_id, ""))
        if customer_id in treated:
            row.state, row.arm = DeliveryState.DUE, Arm.TREATED
        elif customer_id in holdout:
            row.state, row.arm = DeliveryState.HOLDOUT, Arm.HOLDOUT
        else:
            row.state, row.reason = DeliveryState.SKIPPED, audience.left_out[customer_id]
        rows.append(row)
    return rows


def deliver(*, campaign_id: int, job_id: int, clock: Callable[[], datetime], channel: Channel | None = None) -> None:
    """Send what is due until nothing is left that may be sent now, then close or park the campaign.

    Safe to run twice and side by side: rows are claimed with SKIP LOCKED. Stops between messages when the job is
    cancelled. clock: read for each message, because a long send must see a withdrawal that came in meanwhile.
    """
    campaign = Campaign.objects.get(pk=campaign_id)
    try:
        with channel or open_channel(campaign.channel) as session:
            while batch := _claim(campaign_id, clock()):
                _send_batch(campaign, batch, session, job_id, clock)
    except jobs.JobCancelled:
        _release(campaign_id)
        stop_now(campaign_id=campaign_id, job_id=job_id)
        return
    except ServerUnavailable as error:
        _release(campaign_id)
        park(job_id=job_id, message=error.text)
        logger.warning("mail server unavailable", extra={"campaign": campaign_id, "reason": error.text})
        return
    settle(campaign_id=campaign_id, at=clock())


def _claim(campaign_id: int, now: datetime) -> list[Delivery]:
    """Return up to BATCH due rows nobody else has, leased to this worker."""
    with transaction.atomic():
        free = Delivery.objects.filter(Q(not_before=None) | Q(not_before__lte=now), campaign_id=campaign_id, state=DeliveryState.DUE)
        rows = list(free.select_for_update(skip_locked=True).order_by("pk")[:BATCH])
        Delivery.objects.filter(pk__in=[row.pk for row in rows]).update(not_before=now + LEASE)
    return rows


def _send_batch(campaign: Campaign, batch: list[Delivery], session: Channel, job_id: int, clock: Callable[[], datetime]) -> None:
    desk = Desk.open(campaign=campaign, customer_ids=[row.customer_id for row in batch], at=clock())
    current = {row.pk: row for row in Customer.objects.filter(pk__in=[row.customer_id for row in batch]).only("email")}
    for number, row in enumerate(batch):
        if number % 10 == 0:
            report_progress(campaign_id=campaign.pk, job_id=job_id)
        address = current[row.customer_id].email.strip() if row.customer_id in current else ""
        try:
            message = desk.write(customer_id=row.customer_id, language=row.language, public_id=row.public_id)
        except merge.FieldEmpty:
            _skip(row, "field_empty")
            continue
        except NotFound:
            # Erased since the claim; the row went with the customer.
            continue
        if _begin(row, campaign, address, clock()):
            _hand_over(row, campaign, address, message, session, clock)
    report_progress(campaign_id=campaign.pk, job_id=job_id)


def _begin(row: Delivery, campaign: Campaign, address: str, now: datetime) -> bool:
    """Ask the gate once more and turn the row to `sending`; False when it may not be sent or someone else took it.

    The lock per customer keeps two campaigns that send at the same moment from both passing the frequency cap.
    """
    with transaction.atomic():
        locks.take(f"marketing:{row.customer_id}")
        verdict = audiences.verdicts(customer_ids=[row.customer_id], channel=campaign.channel, at=now, campaign_id=campaign.pk)[row.customer_id]
        if not verdict.allowed:
            _skip(row, verdict.reason)
            return False
        claimed = Delivery.objects.filter(pk=row.pk, state=DeliveryState.DUE)
        return bool(claimed.update(state=DeliveryState.SENDING, claimed_at=now, address=address, attempts=F("attempts") + 1))


def _hand_over(row: Delivery, campaign: Campaign, address: str, message: Message, session: Channel, clock: Callable[[], datetime]) -> None:
    try:
        session.hand_over(to=address, message=message, message_id=email.message_id(row.public_id), campaign_id=campaign.pk)
    except Refused as error:
        _close(row, DeliveryState.FAILED, reason=error.reason)
        if error.reason == "address_refused":
            consent.withdraw(
                customer_id=row.customer_id,
                channel=campaign.channel,
                state=ConsentState.BOUNCED,
                origin="mail server",
                at=clock(),
                proof=f"delivery {row.public_id}",
                cause="campaign",
            )
    except Deferred:
        _try_later(row, clock())
    except ServerUnavailable:
        # Nothing left this machine: the row goes back as it was, and the try does not count.
        Delivery.objects.filter(pk=row.pk, state=DeliveryState.SENDING).update(state=DeliveryState.DUE, claimed_at=None, not_before=None, attempts=row.attempts)
        raise
    except Lost:
        _close(row, DeliveryState.UNKNOWN, reason="lost")
    else:
        sent_at = clock()
        # A slow answer may come after the sweeper gave the row up; the server's word is better than the guess.
        taken = Delivery.objects.filter(pk=row.pk, state__in=[DeliveryState.SENDING, DeliveryState.UNKNOWN])
        taken.update(state=DeliveryState.SENT, reason="", sent_at=sent_at, product_ids=list(message.product_ids))
        feedback.record_shown(
            customer_id=row.customer_id, product_ids=message.product_ids, origin=f"campaign:{campaign.pk}", at=sent_at, external_id=f"delivery:{row.pk}"
        )


def _close(row: Delivery, state: DeliveryState, *, reason: str) -> None:
    Delivery.objects.filter(pk=row.pk, state=DeliveryState.SENDING).update(state=state, reason=reason)


def _skip(row: Delivery, reason: str) -> None:
    Delivery.objects.filter(pk=row.pk, state=DeliveryState.DUE).update(state=DeliveryState.SKIPPED, reason=reason, not_before=None)


def _try_later(row: Delivery, now: datetime) -> None:
    tried = row.attempts + 1
    if tried > len(RETRY_AFTER):
        _close(row, DeliveryState.FAILED, reason="gave_up")
        return
    mine = Delivery.objects.filter(pk=row.pk, state=DeliveryState.SENDING)
    mine.update(state=DeliveryState.DUE, claimed_at=None, not_before=now + RETRY_AFTER[tried - 1])


def _release(campaign_id: int) -> None:
    """Give back rows leased but not begun, so that a resumed send does not wait for the lease to end."""
    Delivery.objects.filter(campaign_id=campaign_id, state=DeliveryState.DUE, attempts=0).update(not_before=None)


def report_progress(*, campaign_id: int, job_id: int) -> None:
    """Write how many of the treated are decided. Raises JobCancelled when a person stopped the send."""
    counts = Delivery.objects.filter(campaign_id=campaign_id, arm=Arm.TREATED).aggregate(
        total=Count("pk"), waiting=Count("pk", filter=Q(state__in=[DeliveryState.DUE, DeliveryState.SENDING]))
    )
    jobs.progress(job_id, counts["total"] - counts["waiting"], counts["total"])


def settle(*, campaign_id: int, at: datetime) -> bool:
    """Close the campaign and its job once nothing is due or on its way; True when that is so.

    Rows that wait for another try leave the job waiting: the sweeper sends it on its way again.
    """
    campaign = Campaign.objects.select_related("job").get(pk=campaign_id)
    states = dict(Delivery.objects.filter(campaign_id=campaign_id, arm=Arm.TREATED).values_list("state").annotate(n=Count("pk")).order_by())
    if states.get(DeliveryState.DUE) or states.get(DeliveryState.SENDING):
        if campaign.job_id and states.get(DeliveryState.DUE):
            park(job_id=campaign.job_id, message="")
        return False
    if Campaign.objects.filter(pk=campaign_id, state=CampaignState.SENDING).update(state=CampaignState.SENT, finished_at=at, version=F("version") + 1):
        if campaign.job_id:
            report_progress(campaign_id=campaign_id, job_id=campaign.job_id)
            jobs.finish(campaign.job_id, result={str(state): count for state, count in states.items()})
        logger.info("campaign sent", extra={"campaign": campaign_id, **{str(state): count for state, count in states.items()}})
    return True


def park(*, job_id: int, message: str) -> None:
    """Put a running job back to waiting, so that the sweeper may begin it again without waiting for it to go stale."""
    Job.objects.filter(pk=job_id, state=JobState.RUNNING).update(state=JobState.WAITING, message=message[:300])


def stop(*, campaign_id: int, actor: User | None) -> None:
    """Have the send stop at the next message; what is due stays due and can be resumed. Raises CampaignNotReady when it is not sending."""
    with transaction.atomic():
        campaign = Campaign.objects.select_for_update(of=("self",)).get(pk=campaign_id)
        if campaign.state != CampaignState.SENDING:
            raise CampaignNotReady
        if campaign.job_id:
            jobs.request_cancel(campaign.job_id)
        campaign.state = CampaignState.CANCELLED
        campaign.version += 1
        campaign.save(update_fields=["state", "version", "updated_at"])
        audit.record(actor=actor, action="campaign.stop", target=campaign)


def stop_now(*, campaign_id: int, job_id: int) -> None:
    """Record that the worker has stopped, also when the stop came from the jobs page."""
    Campaign.objects.filter(pk=campaign_id, state=CampaignState.SENDING).update(state=CampaignState.CANCELLED, version=F("version") + 1)
    jobs.mark_cancelled(job_id)


def resume(*, campaign_id: int, actor: User | None, now: datetime) -> Job:
    """Go on with a stopped send under a new job; nobody who was reached is written to again."""
    with transaction.atomic():
        campaign = Campaign.objects.select_for_update(of=("self",)).get(pk=campaign_id)
        if campaign.state != CampaignState.CANCELLED:
            raise CampaignNotReady
        job = jobs.start(kind="campaign.send", title=campaign.name, created_by=actor, params={"campaign_id": campaign.pk})
        campaign.state, campaign.job = CampaignState.SENDING, job
        campaign.version += 1
        campaign.save(update_fields=["state", "job", "version", "updated_at"])
        audit.record(actor=actor, action="campaign.resume", target=campaign)
        publish(CampaignReady(campaign_id=campaign.pk, job_id=job.pk, at=now, cause="resume"))
    return job


def sweep(*, now: datetime) -> list[tuple[int, int]]:
    """Mend what crashes left behind; return (campaign, job) pairs that should be sent on.

    Rows too long in `sending` become `unknown`. Campaigns with due rows whose worker is gone are named for another run;
    those whose job was cancelled from the jobs page are stopped.
    """
    lost = Delivery.objects.filter(state=DeliveryState.SENDING, claimed_at__lt=now - STALE_SENDING)
    swept = lost.update(state=DeliveryState.UNKNOWN, reason="lost")
    if swept:
        logger.warning("deliveries lost between hand-over and record", extra={"count": swept})
    ready: list[tuple[int, int]] = []
    for campaign in Campaign.objects.filter(state=CampaignState.SENDING, job__isnull=False).select_related("job").order_by("pk"):
        job = campaign.job
        if job is None:
            continue
        if job.state == JobState.CANCELLED:
            stop_now(campaign_id=campaign.pk, job_id=job.pk)
            continue
        alive = job.state == JobState.RUNNING and job.heartbeat_at is not None and job.heartbeat_at > now - jobs.STALE_AFTER
        if not alive:
            # The dead worker's leases; whoever claims them now still has to win the conditional update.
            _release(campaign.pk)
        due = Delivery.objects.filter(Q(not_before=None) | Q(not_before__lte=now), campaign_id=campaign.pk, state=DeliveryState.DUE).exists()
        if due and not alive:
            # A job that was given up for dead (or marked so by the jobs sweeper) may go on: the ledger is the truth.
            Job.objects.filter(pk=job.pk).exclude(state__in=[JobState.CANCELLED, JobState.DONE]).update(state=JobState.WAITING)
            ready.append((campaign.pk, job.pk))
        elif not due and not alive:
            settle(campaign_id=campaign.pk, at=now)
    return ready


def send_test(*, campaign: Campaign, to: str, customer_id: int, language: str, at: datetime, channel: Channel | None = None) -> Message:
    """Send one mail as the customer would get it, to a member of staff. Writes no delivery; its links change nothing."""
    message = Desk.open(campaign=campaign, customer_ids=[customer_id], at=at).write(customer_id=customer_id, language=language, public_id=None)
    with channel or open_channel(campaign.channel) as session:
        session.hand_over(to=to, message=message, message_id=email.message_id(f"test-{uuid4()}"), campaign_id=None)
    return message
