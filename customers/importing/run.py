"""Carrying an import out: rows are staged in the database, grouped into orders there, and recorded in chunks.

Staging lets an order's rows lie anywhere in the file, keeps memory flat, and hands orders over in the order they were
placed, returns after all orders. Every chunk is a transaction of its own; running again after an interruption finds
what is stored by its number and continues. Nothing is ever stored twice.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

import orjson
from django.db import connection, transaction

from crm.core import locks, rows
from customers import ingest, totals
from customers.facts import ConsentFacts, LineFacts, OrderFacts, PersonFacts, ProductFacts, ReturnFacts
from customers.identity import PersonKey
from customers.importing.faults import FaultFile, Reason
from customers.importing.lines import CANCELLED, RETURN
from customers.importing.plan import Plan

# 2,000 orders of 15 lines: about 20 MB and one second a chunk, so that progress moves and a cancel is felt.
ORDERS_PER_CHUNK = 2_000
ROWS_PER_REPORT = 20_000
FILLED = ("customers_customer", "customers_product", "customers_order", "customers_orderline", "customers_return", "customers_returnline")
Progress = Callable[[int, int, str], None]


@dataclass(slots=True)
class ImportReport:
    """What went in. The `new` numbers are rows made by this run; a second run of the same file has none."""

    rows: int = 0
    faulty_rows: int = 0
    left_out_rows: int = 0
    orders: int = 0
    orders_new: int = 0
    lines_new: int = 0
    returns: int = 0
    returns_new: int = 0
    customers_new: int = 0
    products_new: int = 0
    reasons: tuple[Reason, ...] = ()
    touched: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Staged:
    """One line as read back from the staging table. placed: seconds since 1970, made a datetime once per order."""

    rank: int
    kind: str
    order_id: str
    placed: float
    product_id: str
    quantity: int
    unit_amount: Decimal
    details: dict[str, str]


def run(
    plan: Plan, *, source_id: int, currency: str, job_id: int | None, at: datetime, progress: Progress, keep_faults: Callable[[Path], None] | None = None
) -> ImportReport:
    """Import the file and return what went in.

    progress(done, total, stage): called every few thousand rows; it may raise to stop, which leaves whole orders only.
    keep_faults: given the CSV of faulty rows, if there are any, before the first order is written.
    """
    report = ImportReport()
    with FaultFile() as faults:
        _stage(plan, faults, report, progress)
        faults.close()
        report.faulty_rows, report.left_out_rows, report.reasons = faults.rows, faults.left_out, faults.reasons()
        if keep_faults is not None and (faults.rows or faults.left_out):
            keep_faults(faults.path)
    good = report.rows - report.faulty_rows - report.left_out_rows
    done = 0
    try:
        for number, chunk in enumerate(_chunks(), start=1):
            report = locks.again_if_it_gave_way(partial(_record_chunk, chunk, plan, source_id, currency, job_id, at, report))
            done += len(chunk)
            # After chunks 1, 2, 4, 8 …: an import into an empty shop outgrows any statistics taken before it, and a
            # plan made for empty tables joins by nested loops.
            if number & (number - 1) == 0:
                rows.analyze(*FILLED)
            progress(done, good, "storing")
    finally:
        # Also after a cancel: what is stored must be counted on the customers' rows.
        _refresh_all(report.touched)
        rows.execute("DROP TABLE IF EXISTS import_rows")
    if job_id is not None:
        _price_products(job_id)
    return report


def _stage(plan: Plan, faults: FaultFile, report: ImportReport, progress: Progress) -> None:
    """Read the file into a temporary table and number its orders: orders before returns, each in time."""
    rows.execute("DROP TABLE IF EXISTS import_lines, import_rows")
    rows.execute(
        "CREATE TEMPORARY TABLE import_lines (kind text, order_id text, line int, placed_at timestamptz, product_id text, quantity int, unit_amount numeric, details text)"
    )
    columns = ("kind", "order_id", "line", "placed_at", "product_id", "quantity", "unit_amount", "details")

    def good() -> Iterator[tuple[object, ...]]:
        for line in lines:
            report.rows += 1
            if isinstance(line, list):
                faults.add(line)
            else:
                yield (
                    line.kind,
                    line.order_id,
                    line.line,
                    line.placed_at,
                    line.product_id,
                    line.quantity,
                    line.unit_amount,
                    orjson.dumps(line.details).decode(),
                )

    lines = plan.lines()
    good_lines = good()
    while True:
        first = next(good_lines, None)
        if first is None:
            break
        rows.copy("import_lines", columns, itertools.chain([first], itertools.islice(good_lines, ROWS_PER_REPORT - 1)))
        progress(report.rows, 0, "reading")
    rows.execute(
        """
        CREATE TEMPORARY TABLE import_rows AS
        SELECT numbered.rank, l.* FROM import_lines l JOIN (
            SELECT kind, order_id, row_number() OVER (ORDER BY kind, min(placed_at), min(line)) AS rank FROM import_lines GROUP BY kind, order_id
        ) numbered USING (kind, order_id)
        """
    )
    rows.execute("DROP TABLE import_lines")
    rows.execute("CREATE INDEX ON import_rows (rank)")
    rows.execute("ANALYZE import_rows")


def _chunks() -> Iterator[list[_Staged]]:
    last = rows.query("SELECT coalesce(max(rank), 0) FROM import_rows")[0][0]
    for start in range(1, last + 1, ORDERS_PER_CHUNK):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT rank, kind, order_id, extract(epoch FROM placed_at)::float8, product_id, quantity, unit_amount, details FROM import_rows WHERE rank BETWEEN %s AND %s ORDER BY rank, line",
                [start, start + ORDERS_PER_CHUNK - 1],
            )
            yield [_Staged(*row, details=orjson.loads(details)) for *row, details in cursor.fetchall()]  # type: ignore[misc]


def _record_chunk(chunk: list[_Staged], plan: Plan, source_id: int, currency: str, job_id: int | None, at: datetime, report: ImportReport) -> ImportReport:
    """Return the report with what this chunk added; the one given stays as it is, should the transaction not come through."""
    with transaction.atomic():
        # Imports of the same shop at once would end each other; batches of tracking calls are not held up (ingest.turns).
        locks.take("import")
        found = replace(report, touched=set(report.touched))
        _record(chunk, plan, source_id, currency, job_id, at, found)
    return found


def _record(chunk: list[_Staged], plan: Plan, source_id: int, currency: str, job_id: int | None, at: datetime, report: ImportReport) -> None:
    orders: list[OrderFacts] = []
    returned: list[ReturnFacts] = []
    people: dict[PersonKey, PersonFacts] = {}
    products: dict[str, ProductFacts] = {}
    for _, group in itertools.groupby(chunk, key=lambda staged: staged.rank):
        staged = list(group)
        if staged[0].kind == RETURN:
            returned.append(_return(staged, plan, currency, products))
            continue
        order = _order(staged, plan, currency, products)
        orders.append(order)
        if order.person:
            person = _person(staged, order)
            if person is not None:
                people[order.person] = person
        refunded = Decimal(staged[0].details.get("refunded", "0"))
        if refunded > 0:
            returned.append(
                ReturnFacts(
                    external_id=f"{order.external_id[:90]}:refund",
                    returned_at=order.placed_at,
                    currency=order.currency,
                    order_id=order.external_id,
                    total_amount=refunded,
                    person=order.person,
                )
            )
    if people:
        made = ingest.record_customers(source_id=source_id, people=list(people.values()), at=at, import_job_id=job_id)
        report.customers_new += made.customers
    if orders:
        made = ingest.record_orders(source_id=source_id, orders=orders, at=at, import_job_id=job_id, refresh_totals=False)
        report.orders += len(orders)
        report.orders_new += made.orders
        report.lines_new += made.lines
        report.customers_new += made.customers
        report.products_new += made.products
        report.touched.update(made.customer_ids)
    if returned:
        made = ingest.record_returns(source_id=source_id, returned=returned, at=at, import_job_id=job_id, refresh_totals=False)
        report.returns += len(returned)
        report.returns_new += made.returns
        report.customers_new += made.customers
        report.products_new += made.products
        report.touched.update(made.customer_ids)


def _key(details: dict[str, str]) -> PersonKey:
    return PersonKey(user_id=details.get("customer_id", ""), email=details.get("email", ""))


def _moment(staged: list[_Staged]) -> datetime:
    """Return when the order was placed: the earliest of its lines."""
    return datetime.fromtimestamp(min(item.placed for item in staged), UTC)


def _lines(staged: list[_Staged], currency: str, products: dict[str, ProductFacts]) -> tuple[LineFacts, ...]:
    return tuple(LineFacts(products.get(item.product_id) or _product(item, currency, products), item.quantity, item.unit_amount) for item in staged)


def _product(item: _Staged, currency: str, products: dict[str, ProductFacts]) -> ProductFacts:
    """Return the product as its first line of the chunk describes it, and remember it: making 300,000 takes seconds."""
    found = products[item.product_id] = ProductFacts(
        external_id=item.product_id, name=item.details.get("product_name", ""), sku=item.product_id, category=item.details.get("category", ""),
        price_amount=item.unit_amount, currency=currency, is_goods="no_goods" not in item.details, first_seen_at=datetime.fromtimestamp(item.placed, UTC),
    )  # fmt: skip
    return found


def _order(staged: list[_Staged], plan: Plan, default_currency: str, products: dict[str, ProductFacts]) -> OrderFacts:
    details = staged[0].details
    currency = details.get("currency", "") or plan.currency(default_currency)
    cancelled = bool(details.get("cancelled_at")) or details.get("status", "").lower().removeprefix("wc-") in CANCELLED
    return OrderFacts(
        external_id=staged[0].order_id,
        placed_at=_moment(staged),
        currency=currency,
        lines=_lines(staged, currency, products),
        person=_key(details),
        total_amount=Decimal(details["total"]) if "total" in details else None,
        discount_amount=Decimal(details.get("discount", "0")),
        shipping_amount=Decimal(details.get("shipping", "0")),
        tax_amount=Decimal(details.get("tax", "0")),
        coupon=details.get("coupon", ""),
        country=details.get("country", ""),
        status="cancelled" if cancelled else "paid",
    )


def _return(staged: list[_Staged], plan: Plan, default_currency: str, products: dict[str, ProductFacts]) -> ReturnFacts:
    details = staged[0].details
    currency = details.get("currency", "").upper() or plan.currency(default_currency)
    return ReturnFacts(
        external_id=staged[0].order_id, returned_at=_moment(staged), currency=currency, lines=_lines(staged, currency, products), person=_key(details)
    )


def _person(staged: list[_Staged], order: OrderFacts) -> PersonFacts | None:
    """Return what the rows say of the person beyond their key, None when nothing."""
    details = staged[0].details
    name = details.get("customer_name", "") or f"{details.get('first_name', '')} {details.get('last_name', '')}".strip()
    agreed = details.get("accepts_marketing", "").lower() in {"yes", "true", "1"}
    if not (name or details.keys() & {"phone", "country", "city", "email"} or agreed):
        return None
    return PersonFacts(
        key=order.person, seen_at=order.placed_at, name=name[:200], email=details.get("email", ""), phone=details.get("phone", ""), country=details.get("country", ""),
        city=details.get("city", ""), consents=(ConsentFacts("email", "granted"),) if agreed else (),
    )  # fmt: skip


def _refresh_all(touched: set[int]) -> None:
    ordered = sorted(touched)
    if ordered:
        rows.analyze(*FILLED)
    for start in range(0, len(ordered), 5_000):
        locks.again_if_it_gave_way(partial(_recount, ordered[start : start + 5_000]))


def _recount(customer_ids: list[int]) -> None:
    with transaction.atomic():
        totals.refresh(customer_ids)


def _price_products(job_id: int) -> None:
    """Give products this import made the price they were last sold at; their first was only the first seen."""
    rows.execute(
        """
        UPDATE customers_product p SET price_amount = last.unit_amount FROM (
            SELECT DISTINCT ON (l.product_id) l.product_id, l.unit_amount FROM customers_orderline l JOIN customers_order o ON o.id = l.order_id
            WHERE o.import_job_id = %s ORDER BY l.product_id, o.placed_at DESC, l.id DESC
        ) last WHERE p.id = last.product_id AND p.import_job_id = %s AND p.price_amount IS DISTINCT FROM round(last.unit_amount, 2)
        """,
        [job_id, job_id],
    )
