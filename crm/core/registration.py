"""What the kernel itself contributes to the shared registries."""

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from crm.core import job_kinds
from crm.core.learning import evaluating


def register() -> None:
    """Fill the registries; called once from CoreConfig.ready()."""
    from crm.core import tasks

    evaluating.register(
        evaluating.Evaluation("text", "crm.core.text.evaluate_text"),
        evaluating.Evaluation("intents", "crm.core.text.evaluate_text"),
    )
    job_kinds.register(job_kinds.JobKind(tasks.TRAIN, _("Training"), tasks.enqueue_training, title=tasks.training_title))
    job_kinds.register(
        job_kinds.JobKind(tasks.REMOVE_DEMO, _("Remove demo data"), tasks.enqueue_demo_removal, title=lambda _job: gettext("Remove the demo shop"))
    )
