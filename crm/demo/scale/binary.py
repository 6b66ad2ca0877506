"""Rows for PostgreSQL's binary COPY, made from numpy columns without a Python object per value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from django.db import connection

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

_SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + b"\x00" * 8
_TRAILER = b"\xff\xff"
# PostgreSQL counts microseconds from 1 January 2000.
_EPOCH_2000 = 946_684_800


@dataclass(frozen=True, slots=True)
class Field:
    """Values of one column as bytes of equal length. values: (n,) array, or one bytes value for every row; None is NULL."""

    values: NDArray[Any] | bytes | None


def integer(values: NDArray[Any], bytes_each: int = 8) -> Field:
    return Field(values.astype(f">i{bytes_each}"))


def flag(value: bool) -> Field:
    return Field(b"\x01" if value else b"\x00")


def moment(seconds: NDArray[Any]) -> Field:
    """Return a timestamptz. seconds: (n,) since 1970."""
    return Field(((np.asarray(seconds, dtype=np.float64) - _EPOCH_2000) * 1_000_000).astype(">i8"))


def money(cents: NDArray[Any]) -> Field:
    """Return a numeric with two decimals, below 100 million. cents: (n,) whole, not negative."""
    cents = np.asarray(cents, dtype=np.int64)
    units = cents // 100
    made = np.zeros(len(cents), dtype=[("digits", ">i2"), ("weight", ">i2"), ("sign", ">u2"), ("scale", ">i2"), ("d", ">i2", (3,))])
    made["digits"], made["weight"], made["scale"] = 3, 1, 2
    made["d"][:, 0], made["d"][:, 1], made["d"][:, 2] = units // 10_000, units % 10_000, cents % 100 * 100
    return Field(made)


def numbered(prefix: str, numbers: NDArray[Any], digits: int = 9) -> Field:
    """Return texts such as S000000042."""
    return Field(np.char.add(prefix, np.char.zfill(numbers.astype(f"U{digits}"), digits)).astype(f"S{len(prefix) + digits}"))


def text(value: str) -> Field:
    return Field(value.encode())


def json(value: str) -> Field:
    """Return a jsonb; its binary form begins with a version byte."""
    return Field(b"\x01" + value.encode())


def null() -> Field:
    return Field(None)


def rows(columns: Mapping[str, Field], count: int) -> bytes:
    """Return `count` rows of these columns in COPY's binary form, without header and trailer."""
    layout: list[Any] = [("fields", ">i2")]
    for name, field in columns.items():
        layout.append((f"{name}.size", ">i4"))
        if isinstance(field.values, bytes) and field.values:
            layout.append((name, f"V{len(field.values)}"))
        elif isinstance(field.values, np.ndarray):
            layout.append((name, field.values.dtype))
    made = np.zeros(count, dtype=layout)
    made["fields"] = len(columns)
    for name, field in columns.items():
        if field.values is None:
            made[f"{name}.size"] = -1
        elif isinstance(field.values, bytes):
            made[f"{name}.size"] = len(field.values)
            if field.values:
                made[name] = np.void(field.values)
        else:
            made[f"{name}.size"] = field.values.dtype.itemsize
            made[name] = field.values
    return made.tobytes()


def copy(table: str, names: Iterable[str], chunks: Iterable[bytes]) -> None:
    """Append chunks made by `rows`. table and names are our own."""
    listed = ", ".join(names)
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({listed}) FROM STDIN (FORMAT binary)") as stream:
        stream.write(_SIGNATURE)
        for chunk in chunks:
            stream.write(chunk)
        stream.write(_TRAILER)
