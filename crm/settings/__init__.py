"""The project's settings, one module per concern; `DJANGO_SETTINGS_MODULE=crm.settings`."""

from crm.settings.base import *  # noqa: F403
from crm.settings.celery import *  # noqa: F403
from crm.settings.chat import *  # noqa: F403
from crm.settings.generator import *  # noqa: F403
from crm.settings.learning import *  # noqa: F403
from crm.settings.logging import *  # noqa: F403
from crm.settings.recommendations import *  # noqa: F403
