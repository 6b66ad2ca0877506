"""Celery: at-least-once tasks on Redis with quick recovery, one queue per kind of urgency.

Why these values: docs/operations.md, "Queues". In short: acks_late + reject_on_worker_lost + prefetch 1 so that a
killed worker's task runs again; visibility_timeout above the longest task; unacked_restore_throttle 1 so kombu looks
for lost tasks on every scan instead of every tenth; results are never read, so never stored.
"""

from crm.settings import env
from crm.settings.base import REDIS_URL, TIME_ZONE

CELERY_BROKER_URL = env.celery_broker("CELERY_BROKER_URL", env.text("CELERY_BROKER_URL", REDIS_URL))
# Seconds after which an unacknowledged task is handed to another worker. Training may take minutes.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": env.integer("CELERY_VISIBILITY_TIMEOUT_SECONDS", 3600, minimum=60, maximum=86400),
    "unacked_restore_throttle": 1,
    "socket_timeout": 30,
    "socket_keepalive": True,
    "health_check_interval": 30,
    "global_keyprefix": env.text("CELERY_KEY_PREFIX", ""),
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TIMEZONE = TIME_ZONE
CELERY_ENABLE_UTC = True
# The database scheduler, plus a sign of life for /readyz and one active Beat at a time.
CELERY_BEAT_SCHEDULER = "crm.core.beat:Scheduler"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Every queue the project uses; `up` and /readyz read this list.
CRM_QUEUES = ("default", "live", "bulk", "learning")
