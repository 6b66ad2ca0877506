"""Background work of the customer's record; every task may run twice and takes ids only."""

import logging

from celery import shared_task

from crm.core import clock
from crm.core.errors import CrmError
from customers.models import Segment
from customers.segmentation import membership

logger = logging.getLogger(__name__)


@shared_task(queue="learning")
def refresh_portraits(customer_ids: list[int] | None = None, **_unknown: object) -> None:
    """Recompute every portrait, or those of the given customers."""
    # numpy and SciPy load with the first refresh, not with every start of the program.
    from customers import portrait

    portrait.refresh(as_of=clock.now(), customer_ids=customer_ids)


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
