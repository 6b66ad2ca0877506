"""Portraits of a range of customers into the database: COPY into temporary tables, then one upsert each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.utils import timezone

from crm.core import rows
from crm.core.models import Source
from customers.features.scope import Scope
from customers.portrait.printing import COLUMNS, Printer

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from customers.features.builder import Parts
    from customers.portrait.printing import Before
    from customers.portrait.scoring import Scores
    from customers.portrait.yardstick import Yardstick

# Rows per COPY chunk: 5,000 rows of about 1,500 bytes keep the buffer near 8 MB.
CHUNK = 5_000
# "Last month" is the latest monthly snapshot at least this old; one of up to LONGEST days ago still serves.
LEAST_DAYS, LONGEST_DAYS = 20, 75
_FEATURE_COLUMNS = "customer_id, recipe, values, as_of"
_FRESH = "customers_portrait", "customers_portraitfeatures"


def write(parts: Parts, scores: Scores, yardstick: Yardstick, scope: Scope, *, refreshed_at: datetime, on_rows: Callable[[int], None] | None = None) -> int:
    """Store the portraits of the scope and return how many; one transaction, rows in the order of their ids.

    The order keeps two refreshes of the same customers from waiting for each other in a circle.  Rows of customers who
    were erased, merged or refused meanwhile are not written, and what was kept of them is deleted.  on_rows: told the
    number of rows handed over after each chunk; raising in it undoes the shard.
    """
    sources = dict(Source.objects.values_list("pk", "name"))
    printer = Printer(parts, scores, yardstick, _before(scope), sources, refreshed_at.isoformat())
    columns = ", ".join(COLUMNS)
    with transaction.atomic(), connection.cursor() as cursor:
        for table in _FRESH:
            cursor.execute(f"CREATE TEMPORARY TABLE fresh_{table} (LIKE {table} INCLUDING DEFAULTS) ON COMMIT DROP")
        done = 0
        with cursor.copy(f"COPY fresh_customers_portrait ({columns}) FROM STDIN") as stream:
            for chunk in printer.lines(CHUNK):
                stream.write(chunk)
                done = min(done + CHUNK, len(parts.table))
                if on_rows:
                    on_rows(done)
        with cursor.copy(f"COPY fresh_customers_portraitfeatures ({_FEATURE_COLUMNS}) FROM STDIN") as stream:
            for chunk in printer.feature_lines(CHUNK):
                stream.write(chunk)
        cursor.execute("SET LOCAL lock_timeout = '60s'")
        written = _upsert(cursor, "customers_portrait", columns)
        _upsert(cursor, "customers_portraitfeatures", _FEATURE_COLUMNS)
        _snapshot(cursor, yardstick)
        for table in (*_FRESH, "customers_portraitsnapshot"):
            cursor.execute(
                f"DELETE FROM {table} p USING customers_customer c WHERE c.id = p.customer_id AND {scope.where('c.id')} "  # noqa: S608 - our own words only
                "AND (c.merged_into_id IS NOT NULL OR c.is_anonymous OR c.profiling_refused)",
                scope.params,
            )
        for table in _FRESH:
            cursor.execute(f"DROP TABLE fresh_{table}")
    return written


def _upsert(cursor: Any, table: str, columns: str) -> int:
    assignments = ", ".join(f"{name} = EXCLUDED.{name}" for name in columns.split(", ")[1:])
    cursor.execute(
        f"INSERT INTO {table} ({columns}) SELECT {columns} FROM fresh_{table} "  # noqa: S608 - our own column names
        f"WHERE EXISTS (SELECT 1 FROM customers_customer c WHERE c.id = fresh_{table}.customer_id AND NOT c.profiling_refused) "
        f"ORDER BY customer_id ON CONFLICT (customer_id) DO UPDATE SET {assignments}"
    )
    return int(cursor.rowcount)


def _snapshot(cursor: Any, yardstick: Yardstick) -> None:
    """Keep the month's first portraits; later refreshes of the month leave them."""
    month = timezone.localtime(yardstick.as_of).date().replace(day=1)
    cursor.execute(
        """
        INSERT INTO customers_portraitsnapshot (customer_id, month, stage, rfm_group, p_active, p_churn, value_365, currency, as_of)
        SELECT f.customer_id, %s, f.stage, f.rfm_group, f.p_active, f.p_churn, f.value_365, f.currency, f.as_of
        FROM fresh_customers_portrait f JOIN customers_customer c ON c.id = f.customer_id AND NOT c.profiling_refused
        ORDER BY f.customer_id ON CONFLICT (customer_id, month) DO NOTHING
        """,
        [month],
    )


def _before(scope: Scope) -> Before:
    found = rows.query(
        f"""
        SELECT DISTINCT ON (s.customer_id) s.customer_id, (s.as_of AT TIME ZONE %(zone)s)::date, s.stage, s.rfm_group, s.p_active, s.p_churn, s.value_365, s.currency
        FROM customers_portraitsnapshot s
        WHERE {scope.where("s.customer_id")} AND s.as_of <= %(as_of)s - make_interval(days => {LEAST_DAYS})
          AND s.as_of >= %(as_of)s - make_interval(days => {LONGEST_DAYS})
        ORDER BY s.customer_id, s.month DESC
        """,  # noqa: S608 - our own words only
        {**scope.params, "zone": timezone.get_current_timezone_name()},
    )
    return {row[0]: row[1:] for row in found}
