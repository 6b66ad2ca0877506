"""Everything this app contributes to the shared registries, in one visible list."""

from importlib import import_module

from django.utils.translation import gettext_lazy as _

from crm.core import job_kinds
from crm.core.job_kinds import JobKind
from crm.core.learning import evaluating, registry
from crm.core.learning.evaluating import Evaluation
from crm.core.learning.registry import TrainingOutcome, TrainingTask
from crm.core.registries import SearchSource, search_sources
from customers import import_tasks, search


def register() -> None:
    """Fill the registries; called once from CustomersConfig.ready()."""
    registry.register(
        TrainingTask(
            name="value",
            title=_("Customer value"),
            purpose=_("Expects each customer's orders and spending of the coming months, and how likely they are still with us."),
            run=_run("train_value"),
            main_metric="spearman_spend",
        ),
        TrainingTask(
            name="lifecycle",
            title=_("Lifecycle stages"),
            purpose=_("Learns the shop's rhythm and names each customer's stage: new, growing, loyal, at risk, lapsed, reactivated."),
            run=_run("train_lifecycle", module="training_lifecycle"),
            main_metric="auroc",
        ),
        TrainingTask(
            name="sentiment",
            title=_("Mood of reviews"),
            purpose=_("Reads praise and blame in reviews, in English and Chinese."),
            run=_run("train_sentiment"),
            main_metric="macro_f1",
        ),
    )
    evaluating.register(
        Evaluation("lifecycle", "customers.ml.evaluate_lifecycle"),
        Evaluation("network", "customers.ml.evaluate_network"),
        Evaluation("tabular", "customers.ml.evaluate_tabular"),
    )
    for source in (
        SearchSource("customers", "customers.view", search.customers),
        SearchSource("segments", "segments.view", search.segments),
        SearchSource("orders", "customers.view", search.orders),
        SearchSource("products", "customers.view", search.products),
    ):
        search_sources[source.name] = source
    job_kinds.register(JobKind(kind="import", label=_("Import"), enqueue=import_tasks.enqueue))


class _run:  # noqa: N801 - reads as a verb where it is used
    """A training run by name; numpy and SciPy load with the first training, not with every start of the program."""

    def __init__(self, function: str, module: str = "training") -> None:
        self.function, self.module = function, f"customers.ml.{module}"

    def __call__(self, **arguments: object) -> TrainingOutcome:
        outcome: TrainingOutcome = getattr(import_module(self.module), self.function)(**arguments)
        return outcome
