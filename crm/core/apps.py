"""The kernel app: imports none of the business apps."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "crm.core"
    label = "core"
    verbose_name = "Perennial"

    def ready(self) -> None:
        from crm.core import registration

        registration.register()
