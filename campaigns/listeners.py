"""Which events this app hears; each body enqueues one task."""

from campaigns.events import CampaignReady, DraftWanted
from crm.core.events import listen
from crm.core.models import Job
from customers.events import CustomersMerged


def connect() -> None:
    """Subscribe; called once from the app's ready()."""
    listen(CampaignReady, _send)
    listen(DraftWanted, _draft)
    listen(CustomersMerged, _follow_merge)


def _send(event: CampaignReady) -> None:
    from campaigns import tasks

    tasks.enqueue_send(Job(pk=event.job_id, params={"campaign_id": event.campaign_id}))


def _draft(event: DraftWanted) -> None:
    from campaigns import tasks

    tasks.enqueue_draft(Job(pk=event.job_id, params={"campaign_id": event.campaign_id}))


def _follow_merge(event: CustomersMerged) -> None:
    from campaigns import tasks

    tasks.move_deliveries.delay(gone_id=event.gone_id, kept_id=event.kept_id)
