"""What later events change about an order that is stored already."""

from collections.abc import Mapping, Sequence

from crm.core import rows
from customers.facts import OrderFacts
from customers.ingest import store


def update_orders(*, source_id: int, updates: Sequence[tuple[OrderFacts, int | None]], product_ids: Mapping[str, int]) -> set[int]:
    """Replace amounts, and lines where the update states any; return the customers of the changed orders.

    The last update of an order in the batch wins. The moment it was placed stays. Lines that returns already point to
    are replaced too; those returns keep their product and lose the pointer.
    """
    last = {order.external_id: order for order, _ in updates}
    if not last:
        return set()
    changed = rows.with_rows(
        """
        UPDATE customers_order o SET currency = r.currency, total_amount = coalesce(r.total, o.total_amount), discount_amount = r.discount, shipping_amount = r.shipping,
            tax_amount = r.tax, coupon = coalesce(nullif(r.coupon, ''), o.coupon)
        FROM json_to_recordset(%s::json) AS r(external_id text, currency text, total numeric, discount numeric, shipping numeric, tax numeric, coupon text)
        WHERE o.source_id = %s AND o.external_id = r.external_id RETURNING o.external_id, o.id, o.customer_id
        """,
        (
            {
                "external_id": order.external_id, "currency": order.currency, "total": order.total if order.lines or order.total_amount is not None else None,
                "discount": order.discount_amount, "shipping": order.shipping_amount, "tax": order.tax_amount, "coupon": order.coupon,
            }
            for order in sorted(last.values(), key=lambda order: order.external_id)
        ),
        after=[source_id],
    )  # fmt: skip
    with_lines = [(order_id, last[external_id].lines) for external_id, order_id, _ in changed if last[external_id].lines]
    if with_lines:
        ids = [order_id for order_id, _ in with_lines]
        rows.execute(
            "UPDATE customers_returnline SET order_line_id = NULL WHERE order_line_id IN (SELECT id FROM customers_orderline WHERE order_id = ANY(%s))", [ids]
        )
        rows.execute("DELETE FROM customers_orderline WHERE order_id = ANY(%s)", [ids])
        store.order_lines(with_lines, product_ids)
    return {customer_id for _, _, customer_id in changed if customer_id is not None}


def cancel_orders(*, source_id: int, external_ids: Sequence[str]) -> set[int]:
    """Mark orders as cancelled and return their customers. Unknown numbers change nothing."""
    changed = rows.query(
        "UPDATE customers_order SET status = 'cancelled' WHERE source_id = %s AND external_id = ANY(%s) AND status <> 'cancelled' RETURNING customer_id",
        [source_id, list(external_ids)],
    )
    return {row[0] for row in changed if row[0] is not None}


def adopt_orders(*, source_id: int, orders: Sequence[tuple[str, int]]) -> set[int]:
    """Give anonymous orders that came before to the customers a repeated event names; return those customers."""
    if not orders:
        return set()
    changed = rows.query(
        """
        UPDATE customers_order o SET customer_id = r.customer_id FROM unnest(%s::text[], %s::bigint[]) AS r(external_id, customer_id)
        WHERE o.source_id = %s AND o.external_id = r.external_id AND o.customer_id IS NULL RETURNING o.customer_id
        """,
        [[order[0] for order in orders], [order[1] for order in orders], source_id],
    )
    return {row[0] for row in changed}
