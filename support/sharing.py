"""Flood limits over all web processes: each takes out of its own buckets what the others let through.

Nothing waits for Redis. A frame is judged by this process alone; once a second it adds what it let through to counters
in Redis (INCRBY, so nothing is lost between processes) and drains its buckets by what the others added. A crowd spread over
several processes is so held to the limit of one, but for what comes within that second. While Redis is away, every
process counts for itself.
"""

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Mapping

from django.conf import settings
from redis import asyncio as redis
from redis.exceptions import RedisError

from support import limits

logger = logging.getLogger(__name__)

EVERY_SECONDS = 1.0
# Open sockets change slowly; an address with fewer than this here is not worth a word to the others.
SOCKETS_EVERY, FEWEST_SOCKETS = 5, 5
# A count another process has not renewed for this long belongs to one that died.
STALE_SECONDS = 30
# Names exchanged at once, the busiest first.
MOST_NAMES = 2000
_PREFIX = "perennial:flood"


class Sharing:
    """What one process knows of the others. buckets: by kind; sockets: its count of open ones."""

    def __init__(self, *, buckets: Mapping[str, limits.Buckets], sockets: limits.OpenSockets) -> None:
        self._buckets, self._sockets = buckets, sockets
        self._process = f"{os.getpid()}-{secrets.token_hex(4)}"
        # Of the counters of the present window: kind, name -> the highest total seen.
        self._seen: dict[tuple[str, str], int] = {}
        self._window = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def serve_from(self, loop: asyncio.AbstractEventLoop) -> None:
        """Exchange from this loop as long as it runs; a second call with the same loop does nothing."""
        if self._loop is not loop:
            self._loop, self._task = loop, loop.create_task(self._run())

    async def _run(self) -> None:
        client = redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)
        turn = 0
        try:
            while True:
                await asyncio.sleep(EVERY_SECONDS)
                turn += 1
                try:
                    await self.exchange(client, now=time.time())
                    if turn % SOCKETS_EVERY == 0:
                        await self.exchange_sockets(client, now=time.time())
                except (RedisError, OSError):
                    # Also what others had open: better too many for a while than a visitor refused for sockets long closed.
                    self._sockets.elsewhere.clear()
                    logger.warning("flood limits count for this process alone", exc_info=True)
        finally:
            await client.aclose()

    async def exchange(self, client: "redis.Redis", *, now: float) -> None:
        """Tell what this process let through since the last time and take out what the others did. One round trip. now: Unix seconds."""
        window = int(now // limits.BURST_SECONDS)
        if window != self._window:
            self._window, self._seen = window, {}
        used = [(kind, name, count) for kind, buckets in self._buckets.items() for name, count in buckets.handed_out(MOST_NAMES)]
        if not used:
            return
        async with client.pipeline(transaction=False) as pipe:
            for kind, name, count in used:
                key = f"{_PREFIX}:{kind}:{window}:{name}"
                pipe.incrby(key, count)
                pipe.expire(key, 2 * limits.BURST_SECONDS)
            totals = (await pipe.execute())[::2]
        for (kind, name, count), total in zip(used, totals, strict=True):
            others = int(total) - count - self._seen.get((kind, name), 0)
            self._seen[kind, name] = int(total)
            if others > 0:
                self._buckets[kind].drain(name, others)

    async def exchange_sockets(self, client: "redis.Redis", *, now: float) -> None:
        """Tell how many sockets addresses have open here and learn how many elsewhere. One round trip."""
        mine = self._sockets.busiest(FEWEST_SOCKETS, MOST_NAMES)
        async with client.pipeline(transaction=False) as pipe:
            for address, count in mine:
                key = f"{_PREFIX}:sockets:{address}"
                pipe.hset(key, self._process, f"{count} {now:.0f}")
                pipe.expire(key, 2 * STALE_SECONDS)
                pipe.hgetall(key)
            found = (await pipe.execute())[2::3]
        self._sockets.elsewhere = {address: self._of_others(counts, now) for (address, _), counts in zip(mine, found, strict=True)}

    def _of_others(self, counts: Mapping[bytes, bytes], now: float) -> int:
        total = 0
        for process, told in counts.items():
            count, _, at = told.decode().partition(" ")
            if process.decode() != self._process and float(at) > now - STALE_SECONDS:
                total += int(count)
        return total
