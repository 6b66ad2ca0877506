"""Which events this app hears; each body enqueues one task."""

from crm.core.events import listen
from crm.core.learning.events import ModelSwitched
from customers import tasks

# Models whose promotion by hand makes the portraits out of date.
MODELS = frozenset({"value", "lifecycle", "sentiment", "churn", "next_purchase", "returns", "intention"})


def connect() -> None:
    """Subscribe; called once from the app's ready()."""
    listen(ModelSwitched, refresh_portraits)


def refresh_portraits(event: ModelSwitched) -> None:
    if event.task in MODELS:
        tasks.refresh_portraits.delay()
