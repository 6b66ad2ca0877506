"""The Celery application; settings come from Django under the CELERY_ prefix."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm.settings")

app = Celery("crm")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# By name, so that importing this module stays cheap: what /readyz knows of the workers.
app.steps["consumer"].add("crm.core.heartbeat:WorkerHeartbeat")
