"""Recording facts that are not tracking calls: imports, the demo shop, programs. Each call is one transaction."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import transaction

from crm.core import locks
from crm.core.events import publish
from customers import identity, totals
from customers.events import FactsRecorded, OrderRecorded
from customers.facts import OrderFacts, PersonFacts, ProductFacts, Recorded, ReturnFacts, ReviewFacts
from customers.ingest import returns, store


def record_customers(*, source_id: int, people: Sequence[PersonFacts], at: datetime, import_job_id: int | None = None, cause: str = "import") -> Recorded:
    """Make or find each person and write what is known onto their row; consents go to the ledger."""
    with transaction.atomic():
        found = identity.resolve(
            source_id=source_id,
            keys=[item.key for item in people],
            at=at,
            seen=[item.first_seen_at or item.seen_at for item in people],
            import_job_id=import_job_id,
            cause=cause,
        )
        store.people(
            facts=people, customer_ids=found.customer_ids, at=at, origin=cause, cause=cause, proof=proof_of_import(import_job_id) if import_job_id else ""
        )
        ids = _known(found.customer_ids)
        publish(FactsRecorded(customer_ids=ids, order_ids=(), at=at, cause=cause))
    return Recorded(customers=len(found.created), customer_ids=ids)


def record_products(*, source_id: int, products: Sequence[ProductFacts], at: datetime, import_job_id: int | None = None) -> Recorded:
    """Make or overwrite products by external id."""
    with transaction.atomic():
        stored = store.products(source_id=source_id, facts=products, at=at, overwrite=True, import_job_id=import_job_id)
    return Recorded(products=stored.created)


def record_orders(
    *, source_id: int, orders: Sequence[OrderFacts], at: datetime, import_job_id: int | None = None, cause: str = "import", refresh_totals: bool = True
) -> Recorded:
    """Store orders that are new with their lines, people and products; known order numbers are skipped.

    refresh_totals False: the caller refreshes once at the end of many calls (customers.totals).
    OrderRecorded is published per order for cause 'track' only: listeners react to what happens, not to history.
    """
    with transaction.atomic():
        found = identity.resolve(
            source_id=source_id,
            keys=[order.person for order in orders],
            at=at,
            seen=[order.placed_at for order in orders],
            import_job_id=import_job_id,
            cause=cause,
        )
        products = store.products(source_id=source_id, facts=(line.product for order in orders for line in order.lines), at=at, import_job_id=import_job_id)
        made = store.orders(source_id=source_id, facts=orders, customer_ids=found.customer_ids, product_ids=products.ids, import_job_id=import_job_id)
        ids = _known([*found.customer_ids, *returns.attach(source_id=source_id, orders=made)])
        if refresh_totals:
            totals.refresh(ids)
        publish(FactsRecorded(customer_ids=ids, order_ids=tuple(made.values()), at=at, cause=cause))
        if cause == "track":
            owners = {order.external_id: customer_id for order, customer_id in zip(orders, found.customer_ids, strict=True)}
            for external_id, order_id in made.items():
                publish(OrderRecorded(order_id=order_id, customer_id=owners[external_id], at=at, cause=cause))
    lines = sum(len(order.lines) for order in {order.external_id: order for order in reversed(orders)}.values() if order.external_id in made)
    return Recorded(
        customers=len(found.created),
        products=products.created,
        orders=len(made),
        lines=lines,
        skipped=len(orders) - len(made),
        customer_ids=ids,
        order_ids=tuple(made.values()),
    )


def record_returns(
    *, source_id: int, returned: Sequence[ReturnFacts], at: datetime, import_job_id: int | None = None, cause: str = "import", refresh_totals: bool = True
) -> Recorded:
    """Store returns that are new, matched to their purchases (see ingest.returns); record the orders first."""
    with transaction.atomic():
        found = identity.resolve(
            source_id=source_id,
            keys=[item.person for item in returned],
            at=at,
            seen=[item.returned_at for item in returned],
            import_job_id=import_job_id,
            cause=cause,
        )
        products = store.products(source_id=source_id, facts=(line.product for item in returned for line in item.lines), at=at, import_job_id=import_job_id)
        made = returns.store(source_id=source_id, facts=returned, customer_ids=found.customer_ids, product_ids=products.ids, import_job_id=import_job_id)
        ids = _known([*found.customer_ids, *made.values()])
        if refresh_totals:
            totals.refresh(ids)
        publish(FactsRecorded(customer_ids=ids, order_ids=(), at=at, cause=cause))
    return Recorded(customers=len(found.created), products=products.created, returns=len(made), skipped=len(returned) - len(made), customer_ids=ids)


def join_late_returns(*, at: datetime, cause: str = "sweep") -> tuple[int, ...]:
    """Join returns to orders stored in the same moment as they were (see ingest.returns); return the customers changed."""

    def joined() -> tuple[int, ...]:
        with transaction.atomic():
            ids = _known(returns.attach_late())
            if ids:
                totals.refresh(ids)
                publish(FactsRecorded(customer_ids=ids, order_ids=(), at=at, cause=cause))
        return ids

    return locks.again_if_it_gave_way(joined)


def record_reviews(*, source_id: int, reviews: Sequence[ReviewFacts], at: datetime, cause: str = "import") -> Recorded:
    """Store reviews that are new, with their people and products."""
    with transaction.atomic():
        found = identity.resolve(source_id=source_id, keys=[item.person for item in reviews], at=at, seen=[item.written_at for item in reviews], cause=cause)
        products = store.products(source_id=source_id, facts=(item.product for item in reviews), at=at)
        made = store.reviews(source_id=source_id, facts=reviews, customer_ids=found.customer_ids, product_ids=products.ids)
        ids = _known(found.customer_ids)
        publish(FactsRecorded(customer_ids=ids, order_ids=(), at=at, cause=cause))
    return Recorded(customers=len(found.created), products=products.created, reviews=made, skipped=len(reviews) - made, customer_ids=ids)


def proof_of_import(job_id: int) -> str:
    """Return what the consent ledger names for a statement that came with an import."""
    return f"import {job_id}"


def _known(ids: Iterable[int | None]) -> tuple[int, ...]:
    return tuple(sorted({customer_id for customer_id in ids if customer_id is not None}))
