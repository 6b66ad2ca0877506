"""Who bought a product, begun with its order lines: for products few have bought."""

from __future__ import annotations

from crm.core import rows

# Lines looked through: 12,000 with their orders take about 50 ms.  A product with more is bought by so many people that a
# page of them is soon met among all customers.
MOST_LINES = 12_000


def few(*, product_id: int) -> list[int] | None:
    """Return the ids of everybody with an order of the product, None where it was sold too often; one query."""
    found = rows.query(
        """
        SELECT count(*), array_agg(DISTINCT o.customer_id) FILTER (WHERE o.customer_id IS NOT NULL)
        FROM (SELECT order_id FROM customers_orderline WHERE product_id = %s LIMIT %s) sold JOIN customers_order o ON o.id = sold.order_id
        """,
        [product_id, MOST_LINES + 1],
    )
    lines, ids = found[0]
    return None if lines > MOST_LINES else ids or []
