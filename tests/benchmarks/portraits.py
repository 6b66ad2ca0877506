"""The nightly refresh of every portrait, in customers per second, on generated buyers.

The bare side is the same write without any thinking: one INSERT … SELECT of constant scores for the same customers.
"""

import uuid
from collections.abc import Iterator

from django.db import connection

from crm.core import clock
from crm.core.models import Source
from customers import portrait
from tests.benchmarks.timing import line, paired

CUSTOMERS = 20_000


def run() -> Iterator[str]:
    """Yield one line: refresh of CUSTOMERS customers with four orders each on average."""
    _fill()
    as_of = clock.now()

    def ours(_round: int) -> None:
        report = portrait.refresh(as_of=as_of)
        assert report.customers >= CUSTOMERS, report

    def bare(_round: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM customers_portrait")
            cursor.execute(
                """INSERT INTO customers_portrait (customer_id, rfm_group, stage, currency, reviews_count, reasons, versions, as_of, refreshed_at)
                   SELECT id, 'new', 'new', 'CNY', 0, '{}', '{}', %s, %s FROM customers_customer WHERE merged_into_id IS NULL""",
                [as_of, as_of],
            )

    yield line(
        f"portrait refresh, {CUSTOMERS:,} customers",
        paired(ours=ours, bare=bare, units=CUSTOMERS, rounds=3),
        unit="customers/s",
        target="100,000 in 60 s (1,667/s)",
    )


def _fill() -> None:
    """Make the customers and their orders in set-based SQL; a benchmark's own rows, not the product's door."""
    source = Source.objects.create(name=f"bench {uuid.uuid4().hex[:8]}", write_key=uuid.uuid4().hex)
    with connection.cursor() as cursor:
        cursor.execute("SELECT setseed(0.5)")
        cursor.execute(
            """
            INSERT INTO customers_customer (public_id, name, email, phone, locale, country, city, time_zone, gender, tags, traits, source_id, is_anonymous, is_demo,
                                            first_seen_at, last_seen_at, currency, orders_count, spent_amount, version, created_at, updated_at)
            SELECT gen_random_uuid(), 'Bench ' || n, '', '', 'en', 'Elsewhere', '', '', '', '{}', '{}', %(source)s, false, false,
                   now() - interval '700 days' * random() - interval '30 days', now(), 'CNY', 0, 0, 1, now(), now()
            FROM generate_series(1, %(count)s) n
            """,
            {"source": source.pk, "count": CUSTOMERS},
        )
        cursor.execute(
            """
            INSERT INTO customers_order (source_id, external_id, customer_id, placed_at, status, currency, total_amount, discount_amount, shipping_amount, tax_amount, coupon, country, created_at)
            SELECT %(source)s, 'b' || c.id || '-' || k, c.id, c.first_seen_at + (now() - c.first_seen_at) * power(random(), 1.5), 'delivered', 'CNY', round((20 + 300 * random())::numeric, 2), 0, 0, 0, '', '', now()
            FROM customers_customer c, generate_series(1, 7) k WHERE c.source_id = %(source)s AND random() < 0.57
            """,
            {"source": source.pk},
        )
        cursor.execute(
            """
            UPDATE customers_customer c SET orders_count = t.n, spent_amount = t.total, first_order_at = t.first, last_order_at = t.last
            FROM (SELECT customer_id, count(*) n, sum(total_amount) total, min(placed_at) first, max(placed_at) last FROM customers_order WHERE source_id = %(source)s GROUP BY 1) t
            WHERE t.customer_id = c.id
            """,
            {"source": source.pk},
        )
        cursor.execute("ANALYZE")
