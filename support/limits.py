"""Flood limits: a bucket in memory for one socket's frames, a window in the cache for one visitor or address."""

import threading
import time
from collections import Counter, OrderedDict
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
# Files one visitor may send, and one address.
FILES_PER_MINUTE, ADDRESS_FILES_PER_MINUTE = 10, 60
# Of one address (an office, a campus, a phone network's gateway) and of one widget the settings say how many sockets may
# be open at once and how many messages a second may come, over all web processes (support.sharing); frames of any kind
# are ten to a message, and bursts hold what comes in so many seconds. A single visitor's limits above bind long before: these stop crowds of sockets.
BURST_SECONDS, FRAMES_PER_MESSAGE = 15, 10
# Names remembered per kind of limit; the longest unused goes first.
NAMES_REMEMBERED = 20_000


class TokenBucket:
    """Lets `burst` through at once and `per_second` for long; `clock` in seconds is a parameter for tests."""

    __slots__ = ("_burst", "_clock", "_left", "_per_second", "_seen")

    def __init__(self, *, burst: int, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst, self._per_second, self._clock = float(burst), per_second, clock
        self._left, self._seen = float(burst), clock()

    def take(self) -> bool:
        """Return whether one more may pass now."""
        self._fill()
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def drain(self, count: int) -> None:
        """Take out what passed elsewhere; at most one burst is owed, so that nobody is shut out for long."""
        self._fill()
        self._left = max(-self._burst, self._left - count)

    def _fill(self) -> None:
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._seen) * self._per_second)
        self._seen = now


class Buckets:
    """A token bucket per name (an address, a widget) in this process; support.sharing tells it what passed in others."""

    def __init__(self, *, per_second: float) -> None:
        self._burst, self._per_second = int(per_second * BURST_SECONDS), per_second
        self._known: OrderedDict[str, TokenBucket] = OrderedDict()
        self._handed_out: Counter[str] = Counter()
        # Sockets ask from the event loop, requests from threads.
        self._lock = threading.Lock()

    def take(self, name: str) -> bool:
        """Return whether one more of this name may pass now."""
        with self._lock:
            bucket = self._known.get(name)
            if bucket is None:
                bucket = self._known[name] = TokenBucket(burst=self._burst, per_second=self._per_second)
                if len(self._known) > NAMES_REMEMBERED:
                    self._known.popitem(last=False)
            self._known.move_to_end(name)
            may_pass = bucket.take()
            if may_pass:
                self._handed_out[name] += 1
                if len(self._handed_out) > NAMES_REMEMBERED:
                    # Nobody collects them in a process without sockets.
                    self._handed_out.clear()
            return may_pass

    def handed_out(self, most: int) -> list[tuple[str, int]]:
        """Return how many of each name passed since the last call, of the busiest `most` names."""
        with self._lock:
            found, self._handed_out = self._handed_out.most_common(most), Counter()
            return found

    def drain(self, name: str, count: int) -> None:
        """Take out of the name's bucket what passed in other processes."""
        with self._lock:
            if name in self._known:
                self._known[name].drain(count)

    def forget(self) -> None:
        with self._lock:
            self._known.clear()
            self._handed_out.clear()


class OpenSockets:
    """How many sockets each address has open in this process. elsewhere: in others, as support.sharing last heard."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self.elsewhere: dict[str, int] = {}

    def enter(self, address: str, *, most: int) -> bool:
        """Count one more, or return False where the address has `most` already."""
        if self._open[address] + self.elsewhere.get(address, 0) >= most:
            return False
        self._open[address] += 1
        return True

    def busiest(self, fewest: int, most: int) -> list[tuple[str, int]]:
        """Return the addresses with at least `fewest` sockets here, the `most` busiest of them."""
        return [each for each in self._open.most_common(most) if each[1] >= fewest]

    def leave(self, address: str) -> None:
        self._open[address] -= 1
        if self._open[address] <= 0:
            del self._open[address]


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
