"""The nightly refresh of every portrait on a generated shop: features, all scores, RFM groups, reasons, writes.

The bare side is the same write without any thinking: one INSERT … SELECT of constant scores for the same customers.
BENCH_CUSTOMERS sets the size (default 20,000; the targets are for 100000 and 1000000); ten orders and twenty events each.
The value model is trained first, so that forecasts and not baselines are timed.
"""

import os
import resource
import time
from collections.abc import Iterator

from django.db import connection

from crm.core import clock
from crm.core.learning import registry
from crm.demo.scale import seed
from customers import portrait
from tests.benchmarks.timing import line, paired

CUSTOMERS = int(os.environ.get("BENCH_CUSTOMERS", "20000"))


def run() -> Iterator[str]:
    """Yield the refresh's rate and its peak memory."""
    as_of = clock.now()
    seed.seed(customers=CUSTOMERS, orders=10 * CUSTOMERS, events=20 * CUSTOMERS, until=as_of, say=lambda _line: None)
    if os.environ.get("BENCH_MODELS", "1") == "1":
        registry.run("value", as_of=as_of)

    def ours(_round: int) -> None:
        report = portrait.refresh(as_of=as_of)
        assert report.customers == CUSTOMERS, report

    def bare(_round: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM customers_portrait")
            cursor.execute(
                """INSERT INTO customers_portrait (customer_id, rfm_group, stage, currency, reviews_count, reasons, versions, as_of, refreshed_at)
                   SELECT id, 'new', 'new', 'CNY', 0, '{}', '{}', %s, %s FROM customers_customer WHERE merged_into_id IS NULL""",
                [as_of, as_of],
            )

    if CUSTOMERS > 200_000:
        began = time.perf_counter()
        ours(0)
        seconds = time.perf_counter() - began
        yield f"portrait refresh, {CUSTOMERS:,} customers: {seconds:,.0f} s, {CUSTOMERS / seconds:,.0f} customers/s   target 1,000,000 in 720 s (1,389/s)"
    else:
        yield line(
            f"portrait refresh, {CUSTOMERS:,} customers",
            paired(ours=ours, bare=bare, units=CUSTOMERS, rounds=3),
            unit="customers/s",
            target="100,000 in 60 s (1,667/s)",
        )
    yield f"{'  peak memory of the process':<34} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:>10,.0f} MB"
