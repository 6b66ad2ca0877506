"""Returns find what was bought: every returned piece is matched to a purchase line of the same customer and product."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from crm.core import rows
from customers.facts import CENT, ReturnFacts
from customers.models.order import LARGEST_TOTAL


@dataclass(slots=True)
class _Bought:
    """A purchase line with what is still out there of it."""

    line_id: int
    order_id: int
    placed_at: datetime
    remaining: int


@dataclass(frozen=True, slots=True)
class _Order:
    id: int
    customer_id: int | None
    currency: str
    total: Decimal
    returned: Decimal


def store(
    *, source_id: int, facts: Sequence[ReturnFacts], customer_ids: Sequence[int | None], product_ids: Mapping[str, int], import_job_id: int | None = None
) -> dict[str, int | None]:
    """Insert returns that are new, matched to their purchases; return their customers by external id.

    A return that names its order is matched within it and its amount is capped at what is left of the order; one whose order
    is not known yet waits for it (`attach`).
    Others take the customer's most recent purchase of the product before the return that still has pieces out, then the
    one before it. Pieces that find no purchase keep a line without one.
    """
    known = {
        row[0]
        for row in rows.query(
            "SELECT external_id FROM customers_return WHERE source_id = %s AND external_id = ANY(%s)", [source_id, [item.external_id for item in facts]]
        )
    }
    fresh: dict[str, tuple[ReturnFacts, int | None]] = {}
    for item, customer_id in zip(facts, customer_ids, strict=True):
        if item.external_id not in known:
            fresh.setdefault(item.external_id, (item, customer_id))
    if not fresh:
        return {}
    named_orders = _named_orders(source_id, {item.order_id for item, _ in fresh.values() if item.order_id})
    by_order, by_customer = _purchases(list(fresh.values()), named_orders, product_ids)

    values: list[dict[str, object]] = []
    lines: dict[str, list[tuple[int, int | None, int, Decimal]]] = {}
    refunded: dict[int, Decimal] = defaultdict(Decimal)
    for external_id, (item, resolved) in sorted(fresh.items(), key=lambda pair: (pair[1][0].returned_at, pair[0])):
        order = named_orders.get(item.order_id)
        # What came back belongs to who bought it: a shop's server often names the order and nobody, or itself.
        customer_id = order.customer_id if order and order.customer_id is not None else resolved
        matched: dict[int, Decimal] = defaultdict(Decimal)
        lines[external_id] = []
        for line in item.lines:
            product_id = product_ids[line.product.external_id]
            candidates = by_order.get((order.id, product_id), []) if order else [] if item.order_id else by_customer.get((customer_id, product_id), [])
            wanted = line.quantity
            for bought in candidates:
                if not wanted:
                    break
                if bought.remaining <= 0 or (order is None and bought.placed_at > item.returned_at):
                    continue
                pieces = min(wanted, bought.remaining)
                bought.remaining -= pieces
                wanted -= pieces
                matched[bought.order_id] += pieces * line.unit_amount
                lines[external_id].append((product_id, bought.line_id, pieces, line.unit_amount))
            if wanted:
                lines[external_id].append((product_id, None, wanted, line.unit_amount))
        total = (
            item.total_amount
            if item.total_amount is not None
            else min(sum((line.unit_amount * line.quantity for line in item.lines), Decimal(0)), LARGEST_TOTAL)
        )
        order_id = order.id if order else (max(matched, key=lambda key: (matched[key], key)) if matched else None)
        currency = item.currency
        if order is not None:
            left = max(order.total - order.returned - refunded[order.id], Decimal(0))
            total = left if item.total_amount is None and not item.lines else min(total, left)
            refunded[order.id] += total
            currency = order.currency
        values.append(
            {
                "external_id": external_id,
                "order_id": order_id,
                "order_number": "" if order else item.order_id,
                "customer_id": customer_id,
                "returned_at": item.returned_at,
                "currency": currency,
                "total": total.quantize(CENT),
                "reason": item.reason,
            }
        )
    made = dict(
        rows.with_rows(
            """
            INSERT INTO customers_return (source_id, external_id, order_id, order_number, customer_id, returned_at, currency, total_amount, reason, import_job_id)
            SELECT %s, r.external_id, r.order_id, r.order_number, r.customer_id, r.returned_at, r.currency, r.total, r.reason, %s
            FROM json_to_recordset(%s::json) AS r(external_id text, order_id bigint, order_number text, customer_id bigint, returned_at timestamptz, currency text, total numeric, reason text)
            ON CONFLICT (source_id, external_id) DO NOTHING RETURNING external_id, id
            """,
            values,
            before=[source_id, import_job_id],
        )
    )
    parts = [(return_id, *part) for external_id, return_id in made.items() for part in lines[external_id]]
    if parts:
        rows.copy("customers_returnline", ("return_record_id", "product_id", "order_line_id", "quantity", "unit_amount"), parts)
    return {str(value["external_id"]): value["customer_id"] for value in values if value["external_id"] in made}  # type: ignore[misc]


def attach(*, source_id: int, orders: Mapping[str, int]) -> set[int]:
    """Join returns that came before their orders to them; return the customers they belong or belonged to. One query where none waits.

    orders: new order ids by external id.  A return without lines and amount takes what is left of its order.
    """
    if not orders:
        return set()
    waiting = rows.query(
        """
        SELECT r.id, r.order_number, r.total_amount, r.customer_id, EXISTS (SELECT 1 FROM customers_returnline l WHERE l.return_record_id = r.id) FROM customers_return r
        WHERE r.source_id = %s AND r.order_number = ANY(%s) AND r.order_number <> '' AND r.order_id IS NULL ORDER BY r.returned_at, r.id FOR UPDATE
        """,
        [source_id, list(orders)],
    )
    if not waiting:
        return set()
    named = _named_orders(source_id, {row[1] for row in waiting})
    waiting = [row for row in waiting if row[1] in named]
    left = {number: max(order.total - order.returned, Decimal(0)) for number, order in named.items()}
    joined = []
    for return_id, number, total, _told, has_lines in waiting:
        amount = left[number] if not total and not has_lines else min(total, left[number])
        left[number] -= amount
        joined.append(
            {"id": return_id, "order_id": named[number].id, "customer_id": named[number].customer_id, "currency": named[number].currency, "total": amount}
        )
    found = rows.with_rows(
        """
        UPDATE customers_return t SET order_id = r.order_id, order_number = '', customer_id = coalesce(r.customer_id, t.customer_id), currency = r.currency, total_amount = r.total
        FROM json_to_recordset(%s::json) AS r(id bigint, order_id bigint, customer_id bigint, currency text, total numeric) WHERE t.id = r.id RETURNING t.customer_id
        """,
        joined,
    )
    find_lines(order_ids=[order.id for order in named.values()])
    # Whom it was counted for until now, too.
    return {customer_id for customer_id in [*(row[0] for row in found), *(row[3] for row in waiting)] if customer_id is not None}


def attach_late() -> set[int]:
    """Join returns to orders that are there by now; return the customers they belong to.

    Whoever stores an order looks for its returns, and the other way round. An import and a tracking call that do so in the
    same moment see nothing of each other: what they missed is found here.
    """
    found = rows.query(
        """
        SELECT o.source_id, o.external_id, o.id FROM customers_return r JOIN customers_order o ON o.source_id = r.source_id AND o.external_id = r.order_number
        WHERE r.order_id IS NULL AND r.order_number <> ''
        """
    )
    orders: dict[int, dict[str, int]] = defaultdict(dict)
    for source_id, number, order_id in found:
        orders[source_id][number] = order_id
    touched: set[int] = set()
    for source_id, missed in orders.items():
        touched |= attach(source_id=source_id, orders=missed)
    return touched


def find_lines(*, order_ids: Sequence[int]) -> None:
    """Match lines of these orders' returns that found no purchase yet."""
    if not order_ids:
        return
    rows.execute(
        """
        UPDATE customers_returnline b SET order_line_id = (
            SELECT l.id FROM customers_orderline l WHERE l.order_id = r.order_id AND l.product_id = b.product_id AND l.quantity >= b.quantity ORDER BY l.position LIMIT 1
        ) FROM customers_return r WHERE r.id = b.return_record_id AND r.order_id = ANY(%s) AND b.order_line_id IS NULL
        """,
        [list(order_ids)],
    )


def _named_orders(source_id: int, external_ids: set[str]) -> dict[str, _Order]:
    """Return the orders by number; one of which only its early cancellation is known counts as unknown."""
    if not external_ids:
        return {}
    # Locked in order: two refunds of one order at once must see each other's amount.
    held = rows.query("SELECT id FROM customers_order WHERE source_id = %s AND external_id = ANY(%s) ORDER BY id FOR UPDATE", [source_id, list(external_ids)])
    found = rows.query(
        """
        SELECT o.external_id, o.id, o.customer_id, o.currency, o.total_amount, coalesce((SELECT sum(r.total_amount) FROM customers_return r WHERE r.order_id = o.id), 0)
        FROM customers_order o WHERE o.id = ANY(%s) AND (o.total_amount > 0 OR EXISTS (SELECT 1 FROM customers_orderline l WHERE l.order_id = o.id))
        """,
        [[row[0] for row in held]],
    )
    return {row[0]: _Order(*row[1:]) for row in found}


def _purchases(
    fresh: Sequence[tuple[ReturnFacts, int | None]], named_orders: Mapping[str, _Order], product_ids: Mapping[str, int]
) -> tuple[dict[tuple[int, int], list[_Bought]], dict[tuple[int | None, int], list[_Bought]]]:
    """Return purchase lines by (order, product) and by (customer, product), most recent first. At most two queries."""
    orders: set[tuple[int, int]] = set()
    customers: set[tuple[int, int]] = set()
    for item, customer_id in fresh:
        order = named_orders.get(item.order_id)
        for line in item.lines:
            product_id = product_ids[line.product.external_id]
            if order is not None:
                orders.add((order.id, product_id))
            elif customer_id is not None:
                customers.add((customer_id, product_id))
    by_order = _lines("o.id = asked.owner", orders)
    by_customer = _lines("o.customer_id = asked.owner AND o.status <> 'cancelled'", customers)
    # The same row reached both ways must share its count.
    shared = {bought.line_id: bought for found in by_order.values() for bought in found}
    return by_order, {pair: [shared.get(bought.line_id, bought) for bought in found] for pair, found in by_customer.items()}  # type: ignore[return-value]


def _lines(condition: str, pairs: set[tuple[int, int]]) -> dict[tuple[int, int], list[_Bought]]:
    answer: dict[tuple[int, int], list[_Bought]] = defaultdict(list)
    if pairs:
        ordered = sorted(pairs)
        found = rows.query(
            f"""
            SELECT asked.owner, asked.product_id, l.id, o.id, o.placed_at, l.quantity - coalesce((SELECT sum(b.quantity) FROM customers_returnline b WHERE b.order_line_id = l.id), 0)
            FROM unnest(%s::bigint[], %s::bigint[]) AS asked(owner, product_id)
            JOIN customers_order o ON {condition}
            JOIN customers_orderline l ON l.order_id = o.id AND l.product_id = asked.product_id
            ORDER BY o.placed_at DESC, l.id DESC
            """,  # noqa: S608 - condition is one of the two texts above
            [[pair[0] for pair in ordered], [pair[1] for pair in ordered]],
        )
        for owner, product_id, line_id, order_id, placed_at, remaining in found:
            answer[owner, product_id].append(_Bought(line_id, order_id, placed_at, int(remaining)))
    return answer
