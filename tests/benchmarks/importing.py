"""Importing an order file, in rows per second, against reading the same file and inserting its lines with COPY."""

import csv
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from django.db import connection, transaction

from crm.core import clock
from crm.core.models import Source
from customers.importing import plan
from customers.importing.run import run as run_import
from tests.benchmarks.timing import line, paired

ROWS = 20_000
COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")


def run() -> Iterator[str]:
    """Yield one line: a file of ROWS lines in the public retailer's shape, four lines an order."""
    with tempfile.TemporaryDirectory() as folder:
        files = {number: _write(Path(folder) / f"{number}.csv", number) for number in range(4)}

        def ours(number: int) -> None:
            source = Source.objects.create(name=f"bench {uuid.uuid4().hex[:8]}", write_key=uuid.uuid4().hex)
            prepared = plan.prepare(path=files[number], options=plan.Options(preset="online-retail"))
            report = run_import(prepared, source_id=source.pk, currency="GBP", job_id=None, at=clock.now(), progress=lambda *_: None)
            assert report.orders_new == ROWS // 4, report

        def bare(number: int) -> None:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("CREATE TEMP TABLE bare (a text, b text, c text, d int, e timestamp, f numeric, g text, h text) ON COMMIT DROP")
                with files[number].open(encoding="utf-8") as opened, cursor.copy("COPY bare FROM STDIN") as copy:
                    for row in list(csv.reader(opened))[1:]:
                        copy.write_row(row)

        yield line(f"order import, {ROWS:,} rows", paired(ours=ours, bare=bare, units=ROWS, rounds=3), unit="rows/s", target=">= 5,000 rows/s")


def _write(path: Path, number: int) -> Path:
    with path.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(COLUMNS)
        for row in range(ROWS):
            order = row // 4
            writer.writerow(
                (
                    500_000 + order,
                    f"S{(row * 7) % 900}",
                    "A THING",
                    1 + row % 5,
                    f"2026-03-{1 + order % 28:02d} 10:{order % 60:02d}:00",
                    "2.55",
                    10_000 + order % 2500,
                    "United Kingdom",
                )
            )
    return path
