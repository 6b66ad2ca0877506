"""Advisory locks in PostgreSQL, held to the end of the transaction and always taken in sorted order."""

import zlib

from django.db import connection


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




def _number(key: str) -> int:
    # Two 32-bit halves: a collision only makes two unrelated callers wait for each other.
    raw = key.encode()
    return (zlib.crc32(raw) << 31) ^ zlib.adler32(raw)
