"""What later events change about an order that is stored already, and earlier ones about an order that is still to come.

Senders are free to deliver out of order: a cancellation, an update or a refund may arrive before the order itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from crm.core import rows
from customers.facts import OrderFacts
from customers.ingest import store


def update_orders(*, source_id: int, updates: Sequence[tuple[OrderFacts, frozenset[str]]], product_ids: Mapping[str, int]) -> set[int]:
    """Replace what the updates state, lines where they state any; return the customers of the changed orders.

    updates: each order with the names of what its update does not speak of.  The last update of an order in the batch
    wins. The moment it was placed stays. Lines that returns already point to are replaced too; those returns keep their
    product and lose the pointer.
    """
    last = {order.external_id: (order, unstated) for order, unstated in updates}
    if not last:
        return set()
    changed = rows.with_rows(
        """
        UPDATE customers_order o SET
            currency = coalesce(r.currency, o.currency), discount_amount = coalesce(r.discount, o.discount_amount),
            shipping_amount = coalesce(r.shipping, o.shipping_amount), tax_amount = coalesce(r.tax, o.tax_amount), coupon = coalesce(nullif(r.coupon, ''), o.coupon),
            total_amount = CASE WHEN r.total IS NOT NULL THEN r.total WHEN r.lines IS NULL THEN o.total_amount
                ELSE greatest(r.lines - coalesce(r.discount, o.discount_amount) + coalesce(r.shipping, o.shipping_amount) + coalesce(r.tax, o.tax_amount), 0) END
        FROM json_to_recordset(%s::json) AS r(external_id text, currency text, total numeric, lines numeric, discount numeric, shipping numeric, tax numeric, coupon text)
        WHERE o.source_id = %s AND o.external_id = r.external_id RETURNING o.external_id, o.id, o.customer_id
        """,
        (_update_row(*last[external_id]) for external_id in sorted(last)),
        after=[source_id],
    )
    with_lines = [(order_id, last[external_id][0].lines) for external_id, order_id, _ in changed if last[external_id][0].lines]
    if with_lines:
        ids = [order_id for order_id, _ in with_lines]
        rows.execute(
            "UPDATE customers_returnline SET order_line_id = NULL WHERE order_line_id IN (SELECT id FROM customers_orderline WHERE order_id = ANY(%s))", [ids]
        )
        rows.execute("DELETE FROM customers_orderline WHERE order_id = ANY(%s)", [ids])
        store.order_lines(with_lines, product_ids)
    return {customer_id for _, _, customer_id in changed if customer_id is not None}


def _update_row(order: OrderFacts, unstated: frozenset[str]) -> dict[str, object]:
    lines = sum((line.unit_amount * line.quantity for line in order.lines), Decimal(0)) if order.lines else None
    amounts = {"currency": order.currency, "discount": order.discount_amount, "shipping": order.shipping_amount, "tax": order.tax_amount}
    return {
        "external_id": order.external_id, "total": None if order.total_amount is None else order.total, "lines": lines, "coupon": order.coupon,
        **{name: None if name in unstated else value for name, value in amounts.items()},
    }  # fmt: skip


def complete_orders(*, source_id: int, orders: Sequence[OrderFacts], product_ids: Mapping[str, int]) -> dict[str, tuple[int, int | None]]:
    """Fill orders that an early update or cancellation made without lines; return (order id, customer) by external id.

    The order itself says when it was placed and what was bought; amounts that are known already stay, and so does its state.
    """
    stated = {order.external_id: order for order in reversed(orders) if order.lines}
    if not stated:
        return {}
    held = rows.query("SELECT id FROM customers_order WHERE source_id = %s AND external_id = ANY(%s) ORDER BY id FOR UPDATE", [source_id, list(stated)])
    # A statement of its own: its snapshot must be younger than the locks, or two at once would both add the lines.
    bare = rows.query(
        "SELECT external_id, id, customer_id FROM customers_order o WHERE id = ANY(%s) AND NOT EXISTS (SELECT 1 FROM customers_orderline l WHERE l.order_id = o.id)",
        [[row[0] for row in held]],
    )
    if not bare:
        return {}
    rows.with_rows(
        """
        UPDATE customers_order o SET placed_at = least(o.placed_at, r.placed_at), coupon = coalesce(nullif(o.coupon, ''), r.coupon),
            currency = CASE WHEN o.total_amount = 0 THEN r.currency ELSE o.currency END, discount_amount = CASE WHEN o.total_amount = 0 THEN r.discount ELSE o.discount_amount END,
            shipping_amount = CASE WHEN o.total_amount = 0 THEN r.shipping ELSE o.shipping_amount END, tax_amount = CASE WHEN o.total_amount = 0 THEN r.tax ELSE o.tax_amount END,
            total_amount = CASE WHEN o.total_amount = 0 THEN r.total ELSE o.total_amount END
        FROM json_to_recordset(%s::json) AS r(id bigint, placed_at timestamptz, coupon text, currency text, discount numeric, shipping numeric, tax numeric, total numeric)
        WHERE o.id = r.id RETURNING o.id
        """,
        (
            {
                "id": order_id, "placed_at": stated[external_id].placed_at, "coupon": stated[external_id].coupon, "currency": stated[external_id].currency,
                "discount": stated[external_id].discount_amount, "shipping": stated[external_id].shipping_amount, "tax": stated[external_id].tax_amount,
                "total": stated[external_id].total,
            }
            for external_id, order_id, _ in bare
        ),
    )  # fmt: skip
    store.order_lines([(order_id, stated[external_id].lines) for external_id, order_id, _ in bare], product_ids)
    return {external_id: (order_id, customer_id) for external_id, order_id, customer_id in bare}


def cancel_orders(*, source_id: int, orders: Sequence[tuple[OrderFacts, int | None]], product_ids: Mapping[str, int]) -> set[int]:
    """Mark orders as cancelled and return their customers.

    An order that is not known yet is stored as cancelled, so that it does not count when it arrives.
    """
    ordered = sorted(orders, key=lambda pair: pair[0].external_id)
    store.orders(
        source_id=source_id,
        facts=[replace(order, status="cancelled") for order, _ in ordered],
        customer_ids=[customer_id for _, customer_id in ordered],
        product_ids=product_ids,
    )
    changed = rows.query(
        "UPDATE customers_order SET status = 'cancelled' WHERE source_id = %s AND external_id = ANY(%s) AND status <> 'cancelled' RETURNING customer_id",
        [source_id, [order.external_id for order, _ in ordered]],
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
