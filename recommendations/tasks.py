"""Background work of the recommendations; every task is safe to run twice."""

import logging

from celery import shared_task

from crm.core import clock
from recommendations import feedback, lists

logger = logging.getLogger(__name__)

# Customers per sweep: a quarter of an hour's orders of a large shop, done in seconds.
SWEEP_LIMIT = 5000


@shared_task(queue="default")
def refresh_for_customers(customer_ids: list[int], **_unknown: object) -> None:
    """Recompute the lists of customers whose facts have changed."""
    lists.refresh(as_of=clock.now(), customer_ids=customer_ids)


@shared_task(queue="default")
def refresh_stale(**_unknown: object) -> None:
    """Recompute the lists that are older than their customer's newest order: imports, and what an event missed."""
    waiting = lists.stale_customers(limit=SWEEP_LIMIT)
    if waiting:
        lists.refresh(as_of=clock.now(), customer_ids=waiting)


@shared_task(queue="learning")
def refresh_all(**_unknown: object) -> None:
    """Recompute every list from the model that serves now."""
    lists.refresh(as_of=clock.now())


@shared_task(queue="default")
def mark_bought(order_id: int, **_unknown: object) -> None:
    """Credit the recommendations an order followed."""
    feedback.mark_bought(order_id=order_id)


@shared_task(queue="default")
def move_feedback(gone_id: int, kept_id: int, **_unknown: object) -> None:
    """Hand a merged customer's feedback to the one kept, whose list is then recomputed."""
    feedback.move(gone_id=gone_id, kept_id=kept_id)
    lists.refresh(as_of=clock.now(), customer_ids=[gone_id, kept_id])
