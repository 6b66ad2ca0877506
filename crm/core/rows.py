"""Sets of rows as one statement: a JSON array in, `json_to_recordset` inside.

One parameter however many rows, parsed by PostgreSQL in C, and every value stays a bound parameter.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import orjson
import psycopg
from django.db import connection
from django.db.models import Model

Row = TypeVar("Row", bound=Model)
# Whatever psycopg can adapt; the stubs of Django's cursor list fewer types.
Params = Sequence[Any] | Mapping[str, Any]


def dumps(value: object) -> bytes:
    """Return JSON bytes; Decimals as strings, datetimes as ISO 8601 with offset."""
    return orjson.dumps(value, default=str)


def query(sql: str, params: Params = ()) -> list[tuple[Any, ...]]:
    """Run one statement and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def prepared(sql: str, params: Params = ()) -> list[tuple[Any, ...]]:
    """Run one statement that is run again and again, planned once per connection; return its rows.

    Django binds parameters on the client, so PostgreSQL plans every statement anew: half the time of a tracking call.
    While queries are logged (tests, DEBUG) it goes Django's way, so that it is seen and counted.
    """
    if connection.queries_logged:
        return query(sql, params)
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(sql, params, prepare=True)  # type: ignore[arg-type]
        return list(cursor.fetchall())


def prepared_first(model: type[Row], tail: str, params: Params = ()) -> Row | None:
    """Return the first row of `SELECT ... FROM its table AS t` and `tail`, by a prepared statement, or None.

    For rows that are read many times a second: building the same statement from a queryset and planning it costs
    several times what running it does.
    """
    columns, names, converters = _columns(model)
    found = prepared(f"SELECT {columns} FROM {model._meta.db_table} AS t {tail}", params)[:1]  # noqa: S608  (names and tail are our own)
    if not found:
        return None
    values = list(found[0])
    for place, convert in converters:
        values[place] = convert(values[place], None, connection)
    return model.from_db(connection.alias, names, values)


@cache
def _columns(model: type[Model]) -> tuple[str, list[str], list[tuple[int, Callable[..., object]]]]:
    fields = model._meta.concrete_fields
    converters = [(place, field.from_db_value) for place, field in enumerate(fields) if hasattr(field, "from_db_value")]
    return ", ".join(f"t.{field.column}" for field in fields), [field.attname for field in fields], converters


def execute(sql: str, params: Params = ()) -> int:
    """Run one statement and return how many rows it touched."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return int(cursor.rowcount)


def with_rows(
    sql: str, values: Iterable[dict[str, object]], *, before: Sequence[object] = (), after: Sequence[object] = (), is_frequent: bool = False
) -> list[tuple[Any, ...]]:
    """Run a statement with the values as one JSON text parameter (read it with json_to_recordset); return its rows.

    before, after: parameters that stand left and right of it in the statement.  is_frequent: worth a prepared statement.
    """
    run = prepared if is_frequent else query
    return run(sql, [*before, dumps(list(values)).decode(), *after])


def copy(table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Append rows with COPY. table and columns are our own names, never input."""
    names = ", ".join(columns)
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN") as stream:
        for row in rows:
            stream.write_row(row)


def analyze(*tables: str) -> None:
    """Renew the planner's statistics of these tables, rows of the running transaction included; names are our own.

    For work that multiplies a table faster than autovacuum looks: ANALYZE reads a sample, a fraction of a second each.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {', '.join(tables)}")


@contextmanager
def unhurried_commits() -> Iterator[None]:
    """Let commits inside the block return before they are on disk: for much that is written and can be made again.

    Commits reach the disk in their order, within a second: a crash of the server loses the last of them whole, and whoever
    finds a later commit on disk finds the earlier ones too.
    """
    with _set("synchronous_commit", "off"):
        yield


@contextmanager
def single_handed() -> Iterator[None]:
    """Let queries inside the block run in one process: for work that is shared among workers already.

    The database's helpers would take the cores from the other workers and from the pages, and their beginning costs time.
    """
    with _set("max_parallel_workers_per_gather", "0"):
        yield


@contextmanager
def _set(name: str, value: str) -> Iterator[None]:
    """Have a setting of our own, not of input, in this session inside the block."""
    execute(f"SET {name} = {value}")
    try:
        yield
    finally:
        # A broken transaction takes the setting back by itself, as a lost connection does.
        if not connection.needs_rollback and connection.is_usable():
            execute(f"RESET {name}")
