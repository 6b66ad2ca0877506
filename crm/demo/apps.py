"""The demo shop: its seeding command, and its removal hooked into the kernel."""

from django.apps import AppConfig


class DemoConfig(AppConfig):
    name = "crm.demo"
    label = "demo"

    def ready(self) -> None:
        from crm.core import removal
        from crm.demo.remove import demo

        if demo not in removal.removers:
            removal.removers.append(demo)
