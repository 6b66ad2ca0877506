"""Which events this app hears; each body enqueues one task."""

from crm.core.events import listen
from crm.core.learning.events import ModelSwitched
from customers import portrayal_tasks, tasks
from customers.events import FacetAged, InsightAged, ParagraphWanted, ScoresRefreshed

# Models whose promotion by hand makes the portraits out of date.
MODELS = frozenset({"value", "lifecycle", "sentiment", "churn", "next_purchase", "returns", "intention"})


def connect() -> None:
    """Subscribe; called once from the app's ready()."""
    listen(ModelSwitched, refresh_portraits)
    listen(ScoresRefreshed, rebuild_months)
    listen(FacetAged, renew_facet)
    listen(InsightAged, renew_insight)
    listen(ParagraphWanted, write_paragraph)


def refresh_portraits(event: ModelSwitched) -> None:
    if event.task in MODELS:
        tasks.refresh_portraits.delay()


def rebuild_months(event: ScoresRefreshed) -> None:
    if event.cause != "months":
        portrayal_tasks.rebuild_months.delay()


def renew_facet(event: FacetAged) -> None:
    tasks.renew_facet.delay(event.column)


def renew_insight(event: InsightAged) -> None:
    portrayal_tasks.renew_insight.delay(event.name, event.params)


def write_paragraph(event: ParagraphWanted) -> None:
    portrayal_tasks.write_paragraph.delay(event.customer_id, event.language)
