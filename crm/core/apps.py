"""The kernel app: imports none of the business apps."""

from django.apps import AppConfig
from django.db.models.signals import pre_delete


class CoreConfig(AppConfig):
    name = "crm.core"
    label = "core"
    verbose_name = "Perennial"

    def ready(self) -> None:
        from crm.core import registration
        from crm.core.api import keys
        from crm.core.models import Source

        registration.register()
        pre_delete.connect(keys.shop_goes, sender=Source)
