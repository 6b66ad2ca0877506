"""The support app; registration.py lists what it contributes to the others."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SupportConfig(AppConfig):
    name = "support"
    verbose_name = _("Support")

    def ready(self) -> None:
        from support import assistant_tasks, listeners, registration

        registration.register()
        listeners.connect()
        assistant_tasks.connect()
