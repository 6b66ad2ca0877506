"""App config so that Django finds the management commands of crm.embedded."""

from django.apps import AppConfig


class EmbeddedConfig(AppConfig):
    name = "crm.embedded"
    label = "embedded"
