"""Who bought a product, begun with its order lines: for products few of the shop's customers have bought."""

from __future__ import annotations

from django.core.cache import cache

from crm.core import rows

# Lines looked through for every page: 5,000 with their orders take about 20 ms.
MOST_LINES = 5_000
# Up to here the buyers are looked up once and remembered, as a number of matches is that is not counted; 40,000 take 140 ms.
# A product with more is bought by so many people that a page of them is soon met among all customers.
MOST_REMEMBERED = 40_000
REMEMBERED_SECONDS = 60


def few(*, product_id: int) -> list[int] | None:
    """Return the ids of everybody with an order of the product, None where it was sold too often; at most one query.

    Of a product with more than MOST_LINES lines the buyers may be those of up to REMEMBERED_SECONDS ago.
    """
    key = f"customers:buyers:{product_id}"
    known: str | None = cache.get(key)
    if known is not None:
        return [int(each) for each in known.split(",")] if known else None
    # Where there are more lines than can be looked through, the counting of them, in the index alone, is all that is done.
    found = rows.query(
        """
        WITH sold AS MATERIALIZED (SELECT order_id FROM customers_orderline WHERE product_id = %(product)s LIMIT %(most)s + 1)
        SELECT (SELECT count(*) FROM sold), array_agg(DISTINCT o.customer_id)
        FROM sold JOIN customers_order o ON o.id = sold.order_id
        WHERE (SELECT count(*) FROM sold) <= %(most)s AND o.customer_id IS NOT NULL
        """,
        {"product": product_id, "most": MOST_REMEMBERED},
    )
    lines, ids = found[0][0], found[0][1] or []
    if lines > MOST_LINES:
        cache.set(key, ",".join(map(str, ids)), REMEMBERED_SECONDS)
    return ids if lines <= MOST_REMEMBERED else None
