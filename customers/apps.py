"""The customer's record: who they are, what they bought and did, what we infer."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CustomersConfig(AppConfig):
    name = "customers"
    verbose_name = _("Customers")

    def ready(self) -> None:
        from customers import listeners, registration

        registration.register()
        listeners.connect()
