"""Celery Beat as we run it: schedule in the database, a sign of life per tick, and only one of several at work.

Two Beats would send every periodic task twice. The first to start holds a short lease in Redis; any other stands by
and takes over within STANDBY_SECONDS of the first one's end.
"""

import logging
import os
import secrets
import socket

import redis
from django_celery_beat.schedulers import DatabaseScheduler

from crm.core import clock, heartbeat

logger = logging.getLogger(__name__)

OWNER_KEY = "perennial:beat:owner"
LEASE_SECONDS = 15
STANDBY_SECONDS = 3.0


class Scheduler(DatabaseScheduler):
    """DatabaseScheduler that ticks only while it holds the lease."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        self._name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._redis = heartbeat.client()
        self._standing_by = False
        super().__init__(*args, **kwargs)

    def tick(self, *args: object, **kwargs: object) -> float:
        """Send what is due and return the seconds to sleep, or only the seconds to sleep while another Beat is active."""
        try:
            active = self._hold_lease()
        except redis.RedisError:
            # Nothing could be sent anyway. Due entries stay due and run, once each, when the broker is back.
            logger.warning("beat waits for redis")
            return STANDBY_SECONDS
        if not active:
            return STANDBY_SECONDS
        return float(min(super().tick(*args, **kwargs), LEASE_SECONDS / 3))

    def close(self) -> None:
        try:
            if self._redis.get(OWNER_KEY) == self._name:
                self._redis.delete(OWNER_KEY)
        except redis.RedisError:
            logger.debug("beat lease left to expire")
        super().close()

    def _hold_lease(self) -> bool:
        held = bool(self._redis.set(OWNER_KEY, self._name, nx=True, ex=LEASE_SECONDS))
        if not held and self._redis.get(OWNER_KEY) == self._name:
            held = bool(self._redis.expire(OWNER_KEY, LEASE_SECONDS))
        if held:
            self._redis.set(heartbeat.BEAT_KEY, clock.now().isoformat(), ex=heartbeat.BEAT_FRESH_SECONDS)
        if held == self._standing_by:
            self._standing_by = not held
            logger.info("beat is active" if held else "another beat is active; standing by")
        return held
