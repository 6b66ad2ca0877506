"""Every periodic task in one table; Beat's database rows are written from it at migrate and `up`.

Each entry expires just under its period, so a backlog after an outage runs once. Cron times can be changed per
installation with CRM_CRON_<NAME> (five cron fields) and switched off with CRM_CRON_<NAME>=off.
"""

from dataclasses import dataclass

from crm.settings import env


@dataclass(frozen=True, slots=True)
class Entry:
    """name: stable row name. every_seconds or cron: the period. expires_seconds: drop the task if not begun by then."""

    name: str
    task: str
    queue: str
    expires_seconds: int
    every_seconds: int | None = None
    cron: str = ""
    kwargs: tuple[tuple[str, object], ...] = ()

    @property
    def variable(self) -> str:
        return f"CRM_CRON_{self.name.upper().replace('-', '_').replace('.', '_')}"

    @property
    def effective_cron(self) -> str:
        return env.text(self.variable, self.cron)


ENTRIES: tuple[Entry, ...] = (
    Entry("sweep-replies", "support.tasks.sweep_replies", "live", expires_seconds=9, every_seconds=10),
    Entry("service-levels", "support.tasks.sweep_service", "default", expires_seconds=25, every_seconds=30),
    Entry("webhooks", "support.tasks.sweep_webhooks", "bulk", expires_seconds=9, every_seconds=10),
    Entry("mail-visitors", "support.tasks.mail_visitors", "default", expires_seconds=19, every_seconds=20),
    Entry("sweep-deliveries", "campaigns.tasks.sweep_deliveries", "bulk", expires_seconds=55, every_seconds=60),
    Entry("sweep-jobs", "crm.core.tasks.sweep_jobs", "default", expires_seconds=55, every_seconds=60),
    Entry("segments", "customers.tasks.refresh_segments", "default", expires_seconds=290, every_seconds=300),
    Entry("late-returns", "customers.tasks.join_late_returns", "default", expires_seconds=840, every_seconds=900),
    Entry("recommendations-stale", "recommendations.tasks.refresh_stale", "default", expires_seconds=840, every_seconds=900),
    Entry("attribution", "campaigns.tasks.attribute_orders", "bulk", expires_seconds=840, every_seconds=900),
    Entry("portraits", "customers.tasks.refresh_portraits", "learning", expires_seconds=3500, cron="40 3 * * *"),
    Entry("drift", "customers.portrayal_tasks.measure_drift", "learning", expires_seconds=80_000, cron="20 4 * * 1"),
    Entry("train-value", "crm.core.tasks.retrain", "learning", expires_seconds=80_000, cron="10 2 * * *", kwargs=(("name", "value"),)),
    Entry("train-lifecycle", "crm.core.tasks.retrain", "learning", expires_seconds=80_000, cron="25 2 * * *", kwargs=(("name", "lifecycle"),)),
    Entry("train-purchase", "crm.core.tasks.retrain", "learning", expires_seconds=80_000, cron="30 4 * * 1", kwargs=(("name", "purchase"),)),
    Entry("train-churn", "crm.core.tasks.retrain", "learning", expires_seconds=80_000, cron="15 3 * * *", kwargs=(("name", "churn"),)),
    Entry("train-next-purchase", "crm.core.tasks.retrain", "learning", expires_seconds=80_000, cron="20 3 * * *", kwargs=(("name", "next_purchase"),)),
    Entry("train-returns", "crm.core.tasks.retrain", "learning", expires_seconds=80_000, cron="25 3 * * *", kwargs=(("name", "returns"),)),
    Entry("train-sentiment", "crm.core.tasks.retrain", "learning", expires_seconds=80_000, cron="35 2 * * *", kwargs=(("name", "sentiment"),)),
    Entry("train-intention", "crm.core.tasks.retrain", "learning", expires_seconds=80_000, cron="50 4 * * 1", kwargs=(("name", "intention"),)),
    Entry("train-recommendations", "crm.core.tasks.retrain", "learning", expires_seconds=80_000, cron="45 2 * * *", kwargs=(("name", "recommendations"),)),
    Entry("judge-messages", "support.assistant_tasks.judge_messages", "learning", expires_seconds=55, every_seconds=60),
    Entry("question-groups", "support.tasks.find_question_groups", "learning", expires_seconds=80_000, cron="30 4 * * *"),
    Entry("train-intents", "crm.core.tasks.retrain", "learning", expires_seconds=80_000, cron="0 3 * * *", kwargs=(("name", "intents"),)),
)
