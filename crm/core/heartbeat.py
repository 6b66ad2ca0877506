"""Signs of life of the background processes, written to Redis by themselves and read by /readyz.

A worker writes one key for each queue it serves, from the loop in which it also receives tasks; a key that has expired
therefore means that no task of that queue would be picked up. Asking workers over the broker (`celery inspect`)
would take seconds and fail exactly when the answer matters.
"""

import logging
from datetime import datetime
from typing import Any

import redis
from celery import bootsteps
from django.conf import settings

from crm.core import clock

logger = logging.getLogger(__name__)

EVERY_SECONDS = 3.0
# Four missed beats. A worker busy with long tasks still beats: its loop does not run them.
FRESH_SECONDS = 13
BEAT_KEY = "perennial:beat:tick"
# Beat sleeps up to five seconds between ticks.
BEAT_FRESH_SECONDS = 20


def client() -> redis.Redis:
    """Return a connection for heartbeats: it gives up after a second rather than hold up its caller."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1, decode_responses=True)


def queue_key(queue: str) -> str:
    return f"perennial:worker:{queue}"


def last_seen(connection: redis.Redis, keys: list[str]) -> dict[str, datetime | None]:
    """Return for each key when it was last written, None where it is missing or has expired. One round trip."""
    values = connection.mget(keys)
    return {key: datetime.fromisoformat(str(value)) if value else None for key, value in zip(keys, values, strict=True)}  # type: ignore[arg-type]


class WorkerHeartbeat(bootsteps.StartStopStep):
    """A consumer step of every Celery worker: writes the keys of the queues it consumes from."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._timer: Any = None
        self._connection: redis.Redis | None = None

    def start(self, parent: Any) -> None:
        self._connection = client()
        queues = list(parent.app.amqp.queues.consume_from)
        self._beat(queues)
        self._timer = parent.timer.call_repeatedly(EVERY_SECONDS, self._beat, (queues,))

    def stop(self, _parent: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # A consumer that loses its broker is shut down without being stopped first.
    shutdown = stop

    def _beat(self, queues: list[str]) -> None:
        if self._connection is None:
            return
        now = clock.now().isoformat()
        try:
            pipeline = self._connection.pipeline(transaction=False)
            for queue in queues:
                pipeline.set(queue_key(queue), now, ex=FRESH_SECONDS)
            pipeline.execute()
        except redis.RedisError as error:
            # The consumer notices the same outage and reconnects; a missing key says the rest.
            logger.debug("heartbeat not written", extra={"error": type(error).__name__})
