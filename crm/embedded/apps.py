"""App config so that Django finds the management commands of crm.embedded."""

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class EmbeddedConfig(AppConfig):
    name = "crm.embedded"
    label = "embedded"

    def ready(self) -> None:
        # Sent once per app; Beat's own tables exist by the time its signal comes.
        post_migrate.connect(_write_schedule, sender=apps.get_app_config("django_celery_beat"), dispatch_uid="crm.schedule_sync")


def _write_schedule(plan: list[tuple[object, bool]] | None = None, **_kwargs: object) -> None:
    """Bring Beat's rows up to date after migrating forwards."""
    if any(backwards for _migration, backwards in plan or ()):
        return
    from crm import schedule_sync

    schedule_sync.sync()
