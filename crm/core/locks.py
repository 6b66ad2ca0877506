"""Advisory locks in PostgreSQL, held to the end of the transaction and always taken in sorted order."""

import logging
import random
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import OperationalError, connection

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")
# SQLSTATEs with which PostgreSQL ends a transaction so that another may go on: deadlock, serialisation failure.
_GAVE_WAY = ("40P01", "40001")
TRIES = 5


def again_if_it_gave_way(work: Callable[[], Answer]) -> Answer:
    """Return what the work returns; it opens its own transaction and is run again when PostgreSQL ended that for another's sake.

    Within a transaction of the caller it is run once: that one is lost as a whole.
    """
    for attempt in range(1, TRIES):
        try:
            return work()
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) not in _GAVE_WAY or connection.in_atomic_block:
                raise
            logger.warning("transaction gave way to another", extra={"attempt": attempt})
            time.sleep(random.uniform(0.01, 0.05) * 2**attempt)  # noqa: S311 - so that the two do not meet again
    return work()


def take(*keys: str) -> None:
    """Wait for every named lock; sorting keeps two callers that need the same set from deadlocking."""
    for number in sorted(_number(key) for key in keys):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [number])


def try_take(key: str) -> bool:
    """Take the lock if it is free; False at once when someone else holds it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_number(key)])
        return bool(cursor.fetchone()[0])


@contextmanager
def held_by_session(key: str) -> Iterator[bool]:
    """Hold the lock for the block without a transaction around it; yields False when someone else holds it.

    For work of minutes, such as training: a transaction that long would keep old rows from being cleaned up.  A killed
    process loses its connection and with it the lock.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_number(key)])
        taken = bool(cursor.fetchone()[0])
    try:
        yield taken
    finally:
        if taken:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_number(key)])


def _number(key: str) -> int:
    # Two 32-bit halves: a collision only makes two unrelated callers wait for each other.
    raw = key.encode()
    return (zlib.crc32(raw) << 31) ^ zlib.adler32(raw)
