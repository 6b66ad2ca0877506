"""Everything this app contributes to the shared registries, in one visible list."""

from collections.abc import Sequence
from datetime import datetime

from django.utils.translation import gettext_lazy as _

from crm.core import panels
from crm.core.learning import registry
from crm.core.learning.registry import TrainingOutcome, TrainingTask
from crm.core.registries import TimelineEntry, TimelineSource, timeline_sources
from recommendations.lists import TASK


def register() -> None:
    """Fill the registries; called once from the app's ready()."""
    panels.register(slot="customer.side", title=_("Next best products"), url_name="recommendations:customer-panel", order=20, permission="recommendations.view")
    registry.register(
        TrainingTask(
            name=TASK,
            title=_("Recommendations"),
            purpose=_("Suggests to each customer what they may want next, and beside each product what goes with it."),
            run=_train,
            main_metric="hit_rate_10",
            weight=2,
        )
    )
    timeline_sources["recommendations"] = TimelineSource(name="recommendations", label=_("Recommendations"), entries=_timeline)


def _train(*, as_of: datetime, force: bool = False) -> TrainingOutcome:
    # numpy and SciPy load with the first training, not with every start of the program.
    from recommendations.ml import training

    return training.run(as_of=as_of, force=force)


def _timeline(customer_id: int, before: datetime, limit: int) -> Sequence[TimelineEntry]:
    """Return what the customer did with recommendations, newest first; merely shown ones are left out. One query."""
    from recommendations.models import FeedbackKind, RecommendationFeedback

    titles = {
        FeedbackKind.CLICKED: _("Clicked a recommendation"),
        FeedbackKind.BOUGHT: _("Bought a recommended product"),
        FeedbackKind.DISMISSED: _("Recommendation marked as not suitable"),
    }
    rows = RecommendationFeedback.objects.filter(customer_id=customer_id, at__lt=before, kind__in=list(titles)).select_related("product").order_by("-at", "-id")
    return [TimelineEntry(at=row.at, kind="recommendation", icon="gift", title=titles[FeedbackKind(row.kind)], detail=str(row.product)) for row in rows[:limit]]
