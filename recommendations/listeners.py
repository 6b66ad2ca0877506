"""Which events of the lower apps this app hears; each body enqueues one task."""

from crm.core.events import listen
from crm.core.learning.events import ModelSwitched
from customers.events import ConsentWithdrawn, CustomersMerged, OrderRecorded
from recommendations import tasks
from recommendations.lists import TASK

# Orders that arrive by the thousand are picked up by the sweeper (crm/schedule.py) instead of one task each.
IN_BULK = frozenset({"import", "demo"})


def connect() -> None:
    """Subscribe; called once from the app's ready()."""
    listen(OrderRecorded, refresh_buyer)
    listen(OrderRecorded, credit_order)
    listen(CustomersMerged, follow_merge)
    listen(ConsentWithdrawn, drop_list)
    listen(ModelSwitched, refresh_lists)


def refresh_buyer(event: OrderRecorded) -> None:
    if event.customer_id is not None and event.cause not in IN_BULK:
        tasks.refresh_for_customers.delay([event.customer_id])


def credit_order(event: OrderRecorded) -> None:
    if event.customer_id is not None and event.cause not in IN_BULK:
        tasks.mark_bought.delay(event.order_id)


def follow_merge(event: CustomersMerged) -> None:
    tasks.move_feedback.delay(event.gone_id, event.kept_id)


def drop_list(event: ConsentWithdrawn) -> None:
    # Their purchases are in no row any more, so that recomputing leaves them without a list.
    if event.purpose == "profiling":
        tasks.refresh_for_customers.delay([event.customer_id])


def refresh_lists(event: ModelSwitched) -> None:
    if event.task == TASK:
        tasks.refresh_all.delay()
