"""The campaigns app; registration.py lists what it contributes to the others."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CampaignsConfig(AppConfig):
    name = "campaigns"
    verbose_name = _("Campaigns")

    def ready(self) -> None:
        from campaigns import listeners, registration

        registration.register()
        listeners.connect()
