"""Flood limits: a bucket in memory for one socket's frames, a window in the cache for one visitor or address."""

import time
from collections.abc import Callable

from django.core.cache import cache

# Frames one visitor socket may send: bursts of 40 (a reconnect resends what was unsent), 10 a second for long.
FRAME_BURST, FRAMES_PER_SECOND = 40, 10.0
# Messages one visitor socket may send: what a reconnect resends at once, then three every two seconds.
SEND_BURST, SENDS_PER_SECOND = 60, 1.5
# Messages of one visitor through the polling door, which has no socket to count on. Fast typists reach 20 a minute; a loop reaches thousands.
MESSAGES_PER_MINUTE = 60
# Visitor tokens one address may ask for; an office behind one address shares it.
TOKENS_PER_MINUTE = 120


class TokenBucket:
    """Lets `burst` through at once and `per_second` for long; `clock` in seconds is a parameter for tests."""

    __slots__ = ("_burst", "_clock", "_left", "_per_second", "_seen")

    def __init__(self, *, burst: int, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst, self._per_second, self._clock = float(burst), per_second, clock
        self._left, self._seen = float(burst), clock()

    def take(self) -> bool:
        """Return whether one more may pass now."""
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._seen) * self._per_second)
        self._seen = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def within(name: str, *, most: int, seconds: int = 60) -> bool:
    """Count one use of `name` in the current window; False when there were more than `most`.

    Without a cache there is no limit: refusing every visitor because Redis restarts would be worse.
    """
    key = f"limit:{name}:{int(time.time() // seconds)}"
    try:
        try:
            return cache.incr(key) <= most
        except ValueError:  # the first use of this window
            return cache.add(key, 1, timeout=seconds * 2) or cache.incr(key) <= most
    except Exception:  # every cache backend has its own class for being away
        return True
