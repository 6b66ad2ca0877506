"""The Celery application; settings come from Django under the CELERY_ prefix."""

import os
import signal
import threading
import time

from celery import Celery
from celery.signals import worker_init

# Set by `up`: the process whose end a worker shall not outlive. Seconds it may take to hand its tasks back.
SUPERVISOR = "PERENNIAL_SUPERVISOR"
ORPHAN_GRACE_SECONDS = 15

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm.settings")

app = Celery("crm")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# By name, so that importing this module stays cheap: what /readyz knows of the workers.
app.steps["consumer"].add("crm.core.heartbeat:WorkerHeartbeat")


@worker_init.connect
def follow_supervisor(**_signal: object) -> None:
    """Have the worker end with the `up` that started it, even if that was killed while the worker was starting.

    The kernel tells it then, but a worker that is still starting forgets the signal.
    """
    if parent := os.environ.get(SUPERVISOR):
        threading.Thread(target=_end_with, args=(int(parent),), name="supervisor", daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(2)
    time.sleep(ORPHAN_GRACE_SECONDS)
    # With the processes of its pool: `up` gives each worker a group of its own.
    os.killpg(os.getpgrp(), signal.SIGKILL)
