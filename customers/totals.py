"""Running totals on the customer row, so that lists and segments need no aggregation."""

from collections.abc import Iterable

from crm.core import rows
from customers.models.order import LARGEST_TOTAL


def refresh(customer_ids: Iterable[int]) -> None:
    """Recount orders, spend, first and last order of these customers in two statements.

    The rows are locked first, in order, by a statement of their own: the sums must be taken from a snapshot that is
    younger than the lock, or the later of two simultaneous batches would write the earlier one's totals.
    Each customer's rows are reached through the customer's index (LATERAL), whatever the planner believes of the tables' sizes.
    Cancelled orders and what came back from them do not count. Amounts in another currency than the customer's do not either.
    What the column cannot hold stays at its end: one absurd order must not make every later one of the person fail.
    """
    ids = sorted(set(customer_ids))
    if not ids:
        return
    rows.execute("SELECT id FROM customers_customer WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE", [ids])
    rows.execute(
        """
        WITH mine AS (
            SELECT c.id, coalesce(nullif(c.currency, ''),
                (SELECT o.currency FROM customers_order o WHERE o.customer_id = c.id ORDER BY o.placed_at DESC, o.id DESC LIMIT 1),
                (SELECT r.currency FROM customers_return r WHERE r.customer_id = c.id ORDER BY r.returned_at DESC, r.id DESC LIMIT 1), '') AS currency
            FROM customers_customer c WHERE c.id = ANY(%(ids)s)
        )
        UPDATE customers_customer c
        SET orders_count = bought.orders, spent_amount = greatest(least(bought.spent - returned.amount, %(most)s), -%(most)s),
            first_order_at = bought.first_at, last_order_at = bought.last_at, currency = mine.currency,
            first_seen_at = least(c.first_seen_at, bought.first_at), last_seen_at = greatest(c.last_seen_at, bought.last_at)
        FROM mine
        CROSS JOIN LATERAL (
            SELECT count(*) AS orders, min(o.placed_at) AS first_at, max(o.placed_at) AS last_at,
                   coalesce(sum(o.total_amount) FILTER (WHERE o.currency = mine.currency), 0) AS spent
            FROM customers_order o WHERE o.customer_id = mine.id AND o.status <> 'cancelled'
        ) bought
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(r.total_amount), 0) AS amount
            FROM customers_return r LEFT JOIN customers_order o ON o.id = r.order_id
            WHERE r.customer_id = mine.id AND r.currency = mine.currency AND coalesce(o.status, '') <> 'cancelled'
        ) returned
        WHERE c.id = mine.id
        """,
        {"ids": ids, "most": LARGEST_TOTAL},
    )
