"""The recommendations app; registration.py lists what it contributes to the others."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RecommendationsConfig(AppConfig):
    name = "recommendations"
    verbose_name = _("Recommendations")

    def ready(self) -> None:
        from recommendations import listeners, registration

        registration.register()
        listeners.connect()
