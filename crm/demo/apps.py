"""App config so that Django finds the management commands of crm.demo."""

from django.apps import AppConfig


class DemoConfig(AppConfig):
    name = "crm.demo"
    label = "demo"
