"""Everything this app contributes to the shared registries, in one visible list."""

from importlib import import_module

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from crm.core import job_kinds, panels
from crm.core.job_kinds import JobKind
from crm.core.learning import evaluating, registry
from crm.core.learning.evaluating import Evaluation
from crm.core.learning.registry import TrainingOutcome, TrainingTask
from crm.core.registries import SearchSource, search_sources
from customers import import_tasks, search, tasks
from customers import portrayal_tasks as portrayal_tasks  # Workers know its tasks from here on.


def register() -> None:
    """Fill the registries; called once from CustomersConfig.ready()."""
    registry.register(
        TrainingTask(
            name="value",
            title=_("Customer value"),
            purpose=_("Expects each customer's orders and spending of the coming months, and how likely they are still with us."),
            run=_run("train_value", module="training_value"),
            main_metric="spearman_spend",
            weight=10,
        ),
        TrainingTask(
            name="lifecycle",
            title=_("Lifecycle stages"),
            purpose=_("Learns the shop's rhythm and names each customer's stage: new, growing, loyal, at risk, lapsed, reactivated."),
            run=_run("train_lifecycle", module="training_lifecycle"),
            main_metric="auroc",
            weight=17,
        ),
        TrainingTask(
            name="purchase",
            title=_("Who buys what next"),
            purpose=_("Says how likely a customer buys from a category within a month, and which of the known facts speak for it."),
            run=_run("train_purchase", module="training_purchase"),
            main_metric="auroc",
            schedule="weekly",
            weight=7,
        ),
        TrainingTask(
            name="sentiment",
            title=_("Mood of reviews"),
            purpose=_("Reads praise and blame in reviews, in English and Chinese."),
            run=_run("train_sentiment"),
            main_metric="macro_f1",
            weight=14,
        ),
        TrainingTask(
            name="intention",
            title=_("Purchase intention of reviews"),
            purpose=_("Says how likely somebody who writes such a review orders again within 90 days, learned from what reviewers did."),
            run=_run("train_intention", module="training_intention"),
            main_metric="auroc",
            schedule="weekly",
            weight=5,
        ),
        TrainingTask(
            name="churn",
            title=_("Risk of losing a customer"),
            purpose=_("Says how likely each customer orders nothing in the next 90 days, and why."),
            run=_run("train_churn", module="training_tabular"),
            main_metric="auroc",
            word=feature_word,
            weight=25,
        ),
        TrainingTask(
            name="next_purchase",
            title=_("Purchase in the next 30 days"),
            purpose=_("Says how likely each customer orders within 30 days, and why."),
            run=_run("train_next_purchase", module="training_tabular"),
            main_metric="auroc",
            word=feature_word,
            weight=30,
        ),
        TrainingTask(
            name="returns",
            title=_("Risk of a return"),
            purpose=_("Says how likely each active customer sends something back within 100 days, and why."),
            run=_run("train_returns", module="training_tabular"),
            main_metric="auroc",
            word=feature_word,
            weight=12,
        ),
    )
    evaluating.register(
        Evaluation("lifecycle", "customers.ml.evaluate_lifecycle"),
        Evaluation("network", "customers.ml.evaluate_network"),
        Evaluation("tabular", "customers.ml.evaluate_tabular"),
        Evaluation("value", "customers.ml.evaluate_value"),
    )
    panels.register(slot="customer.side", title=_("Likely next purchase"), url_name="customers:likely-panel", order=25, permission="customers.view")
    panels.register(slot="segment", title=_("Also in other segments"), url_name="segments:overlap", order=10, permission="segments.view")
    for source in (
        SearchSource("customers", "customers.view", search.customers),
        SearchSource("segments", "segments.view", search.segments),
        SearchSource("orders", "customers.view", search.orders),
        SearchSource("products", "customers.view", search.products),
    ):
        search_sources[source.name] = source
    job_kinds.register(JobKind(kind="portraits", label=_("Portraits"), enqueue=tasks.enqueue_portraits, title=lambda _job: gettext("Refresh portraits")))
    job_kinds.register(JobKind(kind="import", label=_("Import"), enqueue=import_tasks.enqueue))


def feature_word(code: str) -> str:
    """Return a feature's label in the reader's language, the code itself for anything else."""
    from customers.features import catalogue

    return next((str(feature.label) for feature in catalogue() if feature.name == code), code)


class _run:  # noqa: N801 - reads as a verb where it is used
    """A training run by name; numpy and SciPy load with the first training, not with every start of the program."""

    def __init__(self, function: str, module: str = "training") -> None:
        self.function, self.module = function, f"customers.ml.{module}"

    def __call__(self, **arguments: object) -> TrainingOutcome:
        outcome: TrainingOutcome = getattr(import_module(self.module), self.function)(**arguments)
        return outcome
