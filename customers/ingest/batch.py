"""A batch of tracking calls becomes rows, exactly once per message id, in one transaction."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import orjson
from django.db import DataError, transaction

from crm.core import locks, rows
from crm.core.events import publish
from customers import identity, totals
from customers.ecommerce import EventRejected
from customers.events import FactsRecorded, OrderRecorded
from customers.identity import Acquaintance, PersonKey
from customers.ingest import changes, events, returns, store, turns
from customers.ingest.events import EventFacts
from customers.ingest.store import Shelf

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why one item of a batch was not taken in. index: its place in the batch, from 0."""

    index: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class BatchReport:
    accepted: int
    duplicates: int
    rejections: tuple[Rejection, ...] = ()

    @property
    def rejected(self) -> int:
        return len(self.rejections)


def understand(
    *, events_sent: Sequence[object], kind: str = "", received_at: datetime, sent_at: object = None, currency: str, locale: str = ""
) -> tuple[list[EventFacts], list[Rejection]]:
    """Return the events that can be taken in and the reasons for the others. Runs no query."""
    good: list[EventFacts] = []
    bad: list[Rejection] = []
    for index, raw in enumerate(events_sent):
        try:
            good.append(events.read(raw, kind=kind, received_at=received_at, sent_at=sent_at, currency=currency, locale=locale))
        except EventRejected as error:
            bad.append(Rejection(index, error.code, error.text))
    return good, bad


def record_batch(
    *,
    source_id: int,
    events: Sequence[object],
    received_at: datetime,
    sent_at: object = None,
    kind: str = "",
    currency: str = "CNY",
    locale: str = "",
    cause: str = "track",
) -> BatchReport:
    """Take in tracking calls as sent (JSON objects); return how many were new, known already, and refused.

    kind: the call type fixed by the address; '' when each item names its own.  sent_at: the batch's own, as sent.
    Refused items are quarantined with their reason and do not hold up the others. Calling again with the same items, or
    from many threads at once, stores each message id once and its consequences (order, refund, review, consent) once.
    """
    good, bad = understand(events_sent=events, kind=kind, received_at=received_at, sent_at=sent_at, currency=currency, locale=locale)
    return record_understood(source_id=source_id, sent=events, good=good, bad=bad, received_at=received_at, cause=cause)


def record_understood(
    *, source_id: int, sent: Sequence[object], good: Sequence[EventFacts], bad: Sequence[Rejection], received_at: datetime, cause: str = "track"
) -> BatchReport:
    """Store what `understand` made of the sent items, and quarantine what it refused; all or nothing.

    Should the database refuse a value that `understand` let through, its event is quarantined, too: the sender would repeat
    the whole batch until it gives up, and the good ones would be lost with the bad.
    """

    def together(sent: Sequence[object], good: Sequence[EventFacts], bad: Sequence[Rejection]) -> BatchReport:
        return locks.again_if_it_gave_way(lambda: _record_together(source_id, sent, good, bad, received_at, cause))

    try:
        return together(sent, good, bad)
    except DataError as error:
        logger.exception("an event holds what the database refuses", extra={"source": source_id, "error": str(error.__cause__)[:200]})
    refused = {item.index: item for item in bad}
    accepted = duplicates = 0
    for index, event in zip((index for index in range(len(sent)) if index not in refused), good, strict=True):
        try:
            report = together((), [event], ())
            accepted, duplicates = accepted + report.accepted, duplicates + report.duplicates
        except DataError:
            refused[index] = Rejection(index, "invalid_value", "A value is too large or not of its kind to be stored.")
    rejections = tuple(refused[index] for index in sorted(refused))
    with transaction.atomic():
        _quarantine(source_id, sent, rejections, received_at)
    return BatchReport(accepted, duplicates, rejections)


def _record_together(
    source_id: int, sent: Sequence[object], good: Sequence[EventFacts], bad: Sequence[Rejection], received_at: datetime, cause: str
) -> BatchReport:
    if good and not bad and all(event.person is None and event.shop.has_no_consequences for event in good):
        accepted = _record_plain(_look(source_id, good), received_at, cause)
        return BatchReport(accepted, len(good) - accepted)
    with transaction.atomic():
        accepted = _record_events(_look(source_id, good), received_at, cause) if good else 0
        _quarantine(source_id, sent, bad, received_at)
    return BatchReport(accepted, len(good) - accepted, tuple(bad))


@dataclass(frozen=True, slots=True)
class _Looked:
    """Events with what the database knows of their people and products; by message id and in the order they happened."""

    source_id: int
    unique: list[EventFacts]
    in_time: list[EventFacts]
    keys: list[PersonKey]
    met: Acquaintance
    shelf: Shelf


def _look(source_id: int, good: Sequence[EventFacts]) -> _Looked:
    """Two reads, without a transaction."""
    by_message = {event.message_id: event for event in good}
    # Sorted by message id, so that two batches that overlap wait for each other instead of deadlocking.
    unique = sorted(by_message.values(), key=lambda event: event.message_id)
    # In the order they happened, so that a browser id seen before its identify belongs to the person afterwards.
    in_time = sorted(unique, key=lambda event: (event.occurred_at, event.message_id))
    keys = [key for event in in_time for key in (event.key, event.also)]
    return _Looked(
        source_id,
        unique,
        in_time,
        keys,
        identity.acquaint(source_id=source_id, keys=keys),
        store.shelf(source_id=source_id, facts=(product for event in unique for product in event.shop.products)),
    )


def _record_plain(looked: _Looked, received_at: datetime, cause: str) -> int:
    """Store events without consequences; return how many message ids were new.

    Where every person and product is known already, one statement does it and is its own transaction.
    """
    customer_ids = identity.settled(met=looked.met, keys=looked.keys)
    if customer_ids is None or not looked.shelf.is_complete:
        with transaction.atomic():
            return _record_events(looked, received_at, cause)
    by_message = {event.message_id: customer_id for event, customer_id in zip(looked.in_time, customer_ids[::2], strict=True)}
    new_ids = _insert_activity(looked.source_id, looked.unique, by_message, looked.shelf.ids, received_at)
    _tell(new_ids, by_message, (), received_at, cause)
    return len(new_ids)


def _record_events(looked: _Looked, received_at: datetime, cause: str) -> int:
    """Store understood events and what they mean; return how many message ids were new. Must run in a transaction.

    The order of the steps is what makes repetition harmless: people and products are made first (both idempotent), then
    the message ids decide which events are new, and only those have consequences.
    """
    source_id = looked.source_id
    looked = _wait_for_turn(looked)
    product_ids = store.products(source_id=source_id, at=received_at, looked=looked.shelf).ids
    moments = [event.occurred_at for event in looked.in_time for _ in range(2)]
    resolved = identity.resolve(source_id=source_id, keys=looked.keys, at=received_at, seen=moments, cause=cause, met=looked.met)
    customer_ids = {event.message_id: customer_id for event, customer_id in zip(looked.in_time, resolved.customer_ids[::2], strict=True)}

    new_ids = _insert_activity(source_id, looked.unique, customer_ids, product_ids, received_at)
    if not new_ids:
        return 0
    new = [event for event in looked.in_time if event.message_id in new_ids]
    described = [event for event in new if event.person is not None]
    store.people(
        facts=[event.person for event in described if event.person],
        customer_ids=[customer_ids[event.message_id] for event in described],
        at=received_at,
        origin="identify",
        cause=cause,
    )
    order_ids = _shop_consequences(source_id, new, customer_ids, product_ids, received_at, cause)
    _tell(new_ids, customer_ids, order_ids, received_at, cause)
    return len(new_ids)


def _wait_for_turn(looked: _Looked) -> _Looked:
    """Wait for batches that speak of the same people, orders or products, and look again at what they left. See ingest.turns."""
    shops = [event.shop for event in looked.unique]
    numbers = {number for shop in shops for number in shop.order_numbers}
    names = {"\x1f".join(triple) for key in looked.met.distinct for triple in key.triples(looked.source_id)}
    names |= {f"order:{looked.source_id}:{number}" for number in numbers}
    names |= {f"product:{looked.source_id}:{number}" for number in looked.shelf.wanted.keys() - looked.shelf.found.keys()}
    turns.take(names)
    met = identity.acquaint(source_id=looked.source_id, keys=looked.keys)
    turns.hold_customers(source_id=looked.source_id, customer_ids=met.customer_ids, order_numbers=numbers)
    return replace(looked, met=met)


def _tell(new_ids: set[str], customer_ids: Mapping[str, int | None], order_ids: tuple[int, ...], at: datetime, cause: str) -> None:
    if new_ids:
        customers = {customer_id for message_id in new_ids if (customer_id := customer_ids[message_id]) is not None}
        publish(FactsRecorded(customer_ids=tuple(sorted(customers)), order_ids=order_ids, at=at, cause=cause))


def _insert_activity(
    source_id: int, unique: Sequence[EventFacts], customer_ids: Mapping[str, int | None], product_ids: Mapping[str, int], received_at: datetime
) -> set[str]:
    """Insert the events that are new and return their message ids."""
    # The same statement widens the span in which each customer was seen: one round trip less on the busiest path.
    # "Last seen" is kept to the minute: it is indexed, and a visit of thirty pages need not rewrite the row thirty times.
    found = rows.with_rows(
        """
        WITH new AS (
            INSERT INTO customers_activity (source_id, message_id, customer_id, kind, name, product_id, properties, context, occurred_at, received_at, sent_at, original_at)
            SELECT %s, r.m, r.c, r.k, r.n, r.p, r.properties, r.context, r.o, %s, r.s, r.t
            FROM json_to_recordset(%s::json) AS r(m text, c bigint, k text, n text, p bigint, properties jsonb, context jsonb, o timestamptz, s timestamptz, t timestamptz)
            ON CONFLICT (source_id, message_id) DO NOTHING RETURNING message_id, customer_id, occurred_at
        ), spans AS (
            SELECT customer_id AS id, min(occurred_at) AS first_at, max(occurred_at) AS last_at FROM new WHERE customer_id IS NOT NULL GROUP BY customer_id
        ), held AS (
            SELECT c.id, s.first_at, s.last_at FROM (SELECT * FROM spans ORDER BY id) s
            CROSS JOIN LATERAL (
                SELECT id FROM customers_customer
                WHERE id = s.id AND (last_seen_at < s.last_at - interval '1 minute' OR first_seen_at > s.first_at) LIMIT 1 FOR NO KEY UPDATE
            ) c
        ), widened AS (
            UPDATE customers_customer c SET first_seen_at = least(c.first_seen_at, held.first_at), last_seen_at = greatest(c.last_seen_at, held.last_at) FROM held WHERE c.id = held.id
        )
        SELECT message_id FROM new
        """,
        (
            {
                "m": event.message_id, "c": customer_ids[event.message_id], "k": event.kind, "n": event.name, "p": product_ids.get(event.shop.product_id),
                "properties": orjson.Fragment(event.properties), "context": orjson.Fragment(event.context), "o": event.occurred_at, "s": event.sent_at, "t": event.original_at,
            }
            for event in unique
        ),
        before=[source_id, received_at],
        is_frequent=True,
    )  # fmt: skip
    return {row[0] for row in found}


def _shop_consequences(
    source_id: int, new: Sequence[EventFacts], customer_ids: Mapping[str, int | None], product_ids: Mapping[str, int], at: datetime, cause: str
) -> tuple[int, ...]:
    """Store the orders, changes, cancellations, returns and reviews of new events, in that order; return new order ids."""
    shop = [(event.shop, customer_ids[event.message_id]) for event in new]
    bought = [(facts.order, customer) for facts, customer in shop if facts.order]
    cancelled = [(facts.cancelled, customer) for facts, customer in shop if facts.cancelled]
    returned = [(facts.returned, customer) for facts, customer in shop if facts.returned]
    reviewed = [(facts.review, customer) for facts, customer in shop if facts.review]
    touched: set[int] = {customer for _, customer in [*bought, *returned] if customer is not None}

    made: dict[str, int] = {}
    if bought:
        # Sorted by number: two batches with the same orders wait for each other instead of deadlocking.
        bought.sort(key=lambda pair: (pair[0].external_id, pair[0].placed_at))
        creating = [(order, customer) for order, customer in bought if order.lines or order.total_amount is not None]
        made = store.orders(
            source_id=source_id, facts=[order for order, _ in creating], customer_ids=[customer for _, customer in creating], product_ids=product_ids
        )
        first_placed = {order.external_id: order for order, _ in reversed(creating)}
        updates = [
            (facts.order, facts.unstated) for facts, _ in shop
            if facts.order and facts.replaces_order and not (facts.order.external_id in made and first_placed.get(facts.order.external_id) is facts.order)
        ]  # fmt: skip
        touched |= changes.update_orders(source_id=source_id, updates=updates, product_ids=product_ids)
        known = [facts.order for facts, _ in shop if facts.order and not facts.replaces_order and facts.order.external_id not in made]
        completed = changes.complete_orders(source_id=source_id, orders=known, product_ids=product_ids)
        touched |= {customer for _, customer in completed.values() if customer is not None}
        touched |= returns.attach(source_id=source_id, orders=made | {number: order_id for number, (order_id, _) in completed.items()})
        returns.find_lines(order_ids=[order_id for order_id, _ in completed.values()])
        touched |= changes.adopt_orders(
            source_id=source_id, orders=[(order.external_id, customer) for order, customer in bought if customer is not None and order.external_id not in made]
        )
    if cancelled:
        touched |= changes.cancel_orders(source_id=source_id, orders=cancelled, product_ids=product_ids)
    if returned:
        stored = returns.store(
            source_id=source_id, facts=[item for item, _ in returned], customer_ids=[customer for _, customer in returned], product_ids=product_ids
        )
        touched |= {customer for customer in stored.values() if customer is not None}
    if reviewed:
        store.reviews(source_id=source_id, facts=[item for item, _ in reviewed], customer_ids=[customer for _, customer in reviewed], product_ids=product_ids)
    if touched:
        totals.refresh(touched)
    owners = {order.external_id: customer for order, customer in reversed(bought)}
    for external_id, order_id in made.items():
        publish(OrderRecorded(order_id=order_id, customer_id=owners[external_id], at=at, cause=cause))
    return tuple(made.values())


def _quarantine(source_id: int, sent: Sequence[object], bad: Sequence[Rejection], received_at: datetime) -> None:
    if not bad:
        return
    rows.with_rows(
        """
        INSERT INTO customers_quarantinedevent (source_id, message_id, code, reason, payload, received_at)
        SELECT %s, r.m, r.code, r.reason, r.payload, %s FROM json_to_recordset(%s::json) AS r(m text, code text, reason text, payload text) RETURNING id
        """,
        (_quarantine_row(sent[item.index], item) for item in bad),
        before=[source_id, received_at],
    )


def _quarantine_row(raw: object, item: Rejection) -> dict[str, object]:
    message_id = raw.get("messageId") if isinstance(raw, Mapping) else ""
    try:
        payload = orjson.dumps(raw)[: events.LARGEST_EVENT].decode("utf-8", "ignore")
    except TypeError:
        payload = ""
    # U+0000 cannot be stored; what is kept is for a person to read.
    payload = payload.replace("\\u0000", "\\\\u0000")
    return {"m": str(message_id or "").replace("\0", "")[:100], "code": item.code[:40], "reason": item.message[:300], "payload": payload}
