"""Pours the generated shop into the database, table by table, within one transaction."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from django.db import connection, transaction

from crm.core.errors import CrmError
from crm.core.models import Source
from crm.demo.names import ENGLISH_FAMILY, ENGLISH_GIVEN, HAN_FAMILY, HAN_GIVEN, PINYIN
from crm.demo.scale import binary, shop
from crm.demo.scale.bare import stripped
from customers.models import Category, Customer, Product

TABLES = ("customers_customer", "customers_order", "customers_orderline", "customers_return", "customers_activity", "customers_consententry")
Say = Callable[[str], None]


class ShopInUse(CrmError):
    code = "shop_in_use"
    status = 409
    message = "There are customers in this database who are not the demo's; generated ones would be mixed with them. Use an empty database, or --force."


@dataclass(frozen=True, slots=True)
class Ids:
    """First ids of the generated rows, and how many people and orders there are."""

    source: int
    customer: int
    order: int
    products: np.ndarray


def seed(*, customers: int, orders: int, events: int, until: datetime, number: int = 7, force: bool = False, say: Say = print) -> dict[str, int]:
    """Make the shop and return rows per table. Raises ShopInUse. 1,000,000 customers with 10,000,000 orders take about ten minutes."""
    if not force and Customer.objects.filter(is_demo=False).exists():
        raise ShopInUse
    began = time.monotonic()
    rng = np.random.default_rng(number)
    last = int(until.timestamp())
    crowd = shop.people(rng, customers, last)
    with transaction.atomic():
        source, products = _catalogue(rng)
        ids = Ids(source, _next("customers_customer"), _next("customers_order"), products)
        price = shop.prices(np.random.default_rng([number, 1]))
        who, at = shop.happenings(rng, crowd.rate, crowd, orders)
        seen_by, seen_at = shop.happenings(rng, crowd.looks, crowd, events)
        with stripped(TABLES):
            say(f"{time.monotonic() - began:6.1f} s  generated")
            total, lines = _lines(number, crowd, who, price, ids)
            say(f"{time.monotonic() - began:6.1f} s  {lines:,} order lines")
            back = _orders(who, at, total, ids)
            returns = _returns(who, at, total, back, last, ids)
            say(f"{time.monotonic() - began:6.1f} s  {orders:,} orders, {returns:,} returns")
            _activity(rng, seen_by, seen_at, ids)
            say(f"{time.monotonic() - began:6.1f} s  {events:,} events")
            _customers(crowd, who, at, total, seen_by, seen_at, ids)
            say(f"{time.monotonic() - began:6.1f} s  {customers:,} customers; now the indexes and keys")
        for table, used in (("customers_customer", ids.customer + customers), ("customers_order", ids.order + orders)):
            with connection.cursor() as cursor:
                cursor.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s, false)", [table, used])
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {', '.join((*TABLES, 'customers_product'))}")
    say(f"{time.monotonic() - began:6.1f} s  done")
    return {"customers": customers, "orders": orders, "lines": lines, "returns": returns, "events": events}


def _next(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT coalesce(max(id), 0) + 1 FROM {table}")  # noqa: S608 - our own names
        return int(cursor.fetchone()[0])


def _catalogue(rng: np.random.Generator) -> tuple[int, np.ndarray]:
    del rng
    key = uuid.uuid4().hex[:8]
    source = Source.objects.create(name=f"Scale shop {key}", write_key=f"wk_{uuid.uuid4().hex}", currency="CNY", is_demo=True)
    categories = Category.objects.bulk_create(
        Category(slug=f"scale-{key}-{n}", names={"en": f"Category {n}", "zh-hans": f"品类{n}"}) for n in range(shop.CATEGORIES)
    )
    price = shop.prices(np.random.default_rng([7, 1]))
    made = Product.objects.bulk_create(
        (
            Product(
                source=source, external_id=f"P{n:05d}", name=f"Article {n}", category=categories[n % shop.CATEGORIES], price_amount=int(price[n]) / 100,
                currency="CNY", first_seen_at=datetime(2020, 1, 1, tzinfo=UTC),
            )
            for n in range(shop.PRODUCTS)
        ),
        batch_size=1000,
    )  # fmt: skip
    return source.pk, np.array([product.pk for product in made])


def _lines(number: int, crowd: shop.People, who: np.ndarray, price: np.ndarray, ids: Ids) -> tuple[np.ndarray, int]:
    """Write the order lines; return each order's (total, discount) in cents, and how many lines there are."""
    totals, count = np.zeros((2, len(who)), dtype=np.int64), 0

    def chunks() -> Iterator[bytes]:
        nonlocal count
        for begin, order, product, quantity, discount in shop.baskets(number, crowd, who, price):
            gross = np.bincount(order, weights=price[product] * quantity, minlength=len(discount)).astype(np.int64)
            totals[0, begin : begin + len(discount)], totals[1, begin : begin + len(discount)] = gross - discount, discount
            count += len(order)
            yield binary.rows(
                {
                    "order_id": binary.integer(ids.order + begin + order), "product_id": binary.integer(ids.products[product]),
                    "quantity": binary.integer(quantity, 4), "unit_amount": binary.money(price[product]), "position": binary.integer(np.zeros(len(order)), 4),
                },
                len(order),
            )  # fmt: skip

    binary.copy("customers_orderline", ("order_id", "product_id", "quantity", "unit_amount", "position"), chunks())
    return totals, count


def _orders(who: np.ndarray, at: np.ndarray, total: np.ndarray, ids: Ids) -> np.ndarray:
    """Write the orders; return which of them come back."""
    names = (
        "id", "source_id", "external_id", "customer_id", "placed_at", "status", "currency", "total_amount", "discount_amount", "shipping_amount",
        "tax_amount", "coupon", "country", "created_at",
    )  # fmt: skip

    def chunks() -> Iterator[bytes]:
        for begin in range(0, len(who), shop.CHUNK):
            part = slice(begin, begin + shop.CHUNK)
            size = len(who[part])
            number = ids.order + begin + np.arange(size)
            nothing = binary.money(np.zeros(size))
            values = (
                binary.integer(number), binary.integer(np.full(size, ids.source)), binary.numbered("S", number), binary.integer(ids.customer + who[part]),
                binary.moment(at[part]), binary.text("delivered"), binary.text("CNY"), binary.money(total[0, part]), binary.money(total[1, part]), nothing,
                nothing, binary.text(""), binary.text(""), binary.moment(at[part]),
            )  # fmt: skip
            yield binary.rows(dict(zip(names, values, strict=True)), size)

    binary.copy("customers_order", names, chunks())
    return np.flatnonzero(np.random.default_rng(len(who)).random(len(who)) < 0.04)


def _returns(who: np.ndarray, at: np.ndarray, total: np.ndarray, back: np.ndarray, last: int, ids: Ids) -> int:
    back = back[at[back] + 10 * shop.DAY <= last]
    names = ("source_id", "external_id", "order_id", "customer_id", "returned_at", "currency", "total_amount", "reason")
    size = len(back)
    values = (
        binary.integer(np.full(size, ids.source)), binary.numbered("R", ids.order + back), binary.integer(ids.order + back), binary.integer(ids.customer + who[back]),
        binary.moment(at[back] + 10 * shop.DAY), binary.text("CNY"), binary.money(total[0, back]), binary.text("size"),
    )  # fmt: skip
    binary.copy("customers_return", names, [binary.rows(dict(zip(names, values, strict=True)), size)])
    return size


def _activity(rng: np.random.Generator, who: np.ndarray, at: np.ndarray, ids: Ids) -> None:
    names = ("source_id", "message_id", "customer_id", "kind", "name", "product_id", "properties", "context", "occurred_at", "received_at")
    base = _next("customers_activity")

    def chunks() -> Iterator[bytes]:
        for begin in range(0, len(who), shop.CHUNK):
            part = np.arange(begin, min(begin + shop.CHUNK, len(who)))
            kind = rng.choice(len(shop.EVENTS), len(part), p=shop.EVENT_SHARES)
            product = ids.products[(rng.random(len(part)) ** 2 * shop.PRODUCTS).astype(np.int64)]
            for code, name in enumerate(shop.EVENTS):
                chosen = np.flatnonzero(kind == code)
                rows, size = part[chosen], len(chosen)
                values = (
                    binary.integer(np.full(size, ids.source)), binary.numbered("e", base + rows, 12), binary.integer(ids.customer + who[rows]),
                    binary.text("track" if name else "page"), binary.text(name), binary.integer(product[chosen]) if name.startswith("Product ") else binary.null(),
                    binary.json("{}"), binary.json("{}"), binary.moment(at[rows]), binary.moment(at[rows]),
                )  # fmt: skip
                yield binary.rows(dict(zip(names, values, strict=True)), size)

    binary.copy("customers_activity", names, chunks())


def _customers(crowd: shop.People, who: np.ndarray, at: np.ndarray, total: np.ndarray, seen_by: np.ndarray, seen_at: np.ndarray, ids: Ids) -> None:
    """Write the people with their running totals, and what mail each allows."""
    size = len(crowd)
    count, spent = np.bincount(who, minlength=size), np.bincount(who, weights=total[0], minlength=size) / 100
    first, last, seen = np.full(size, 2**62), np.zeros(size, dtype=np.int64), crowd.arrived.copy()
    np.minimum.at(first, who, at)
    np.maximum.at(last, who, at)
    np.maximum.at(seen, seen_by, seen_at)
    seen = np.maximum(seen, last)
    rng = np.random.default_rng([size, 3])
    chinese, pick, given, family = rng.random(size) < 0.6, rng.integers(0, 2, size), rng.integers(0, 20, size), rng.integers(0, 30, size)
    han, latin = (HAN_GIVEN["female"], HAN_GIVEN["male"]), (ENGLISH_GIVEN["female"], ENGLISH_GIVEN["male"])
    countries = ("United Kingdom", "Germany", "Netherlands", "United States", "Singapore")

    def moment(seconds: int) -> str:
        return datetime.fromtimestamp(seconds, tz=UTC).isoformat()

    def line(n: int) -> str:
        if chinese[n]:
            surname = HAN_FAMILY[family[n] % len(HAN_FAMILY)]
            name, mail, locale, country = surname + han[pick[n]][given[n] % 20], PINYIN[surname], "zh-hans", "China"
        else:
            surname = ENGLISH_FAMILY[family[n] % len(ENGLISH_FAMILY)]
            name, mail, locale, country = f"{latin[pick[n]][given[n] % 20]} {surname}", surname.lower().replace(" ", ""), "en", countries[n % len(countries)]
        tags = "{vip}" if spent[n] > 20_000 else "{}"
        ordered = f"{moment(int(first[n]))}\t{moment(int(last[n]))}" if count[n] else "\\N\t\\N"
        arrived = moment(int(crowd.arrived[n]))
        return (
            f"{ids.customer + n}\t{uuid.UUID(bytes=rng.bytes(16), version=4)}\t{name}\t{mail}{n}@mail.example\t\t{locale}\t{country}\t\t\t\t{tags}\t{{}}\t{ids.source}\tf\tt\t"
            f"{arrived}\t{moment(int(seen[n]))}\tCNY\t{count[n]}\t{spent[n]:.2f}\t{ordered}\t1\t{arrived}\t{arrived}\n"
        )

    columns = (
        "id, public_id, name, email, phone, locale, country, city, time_zone, gender, tags, traits, source_id, is_anonymous, is_demo, first_seen_at, last_seen_at, "
        "currency, orders_count, spent_amount, first_order_at, last_order_at, version, created_at, updated_at"
    )
    with connection.cursor() as cursor, cursor.copy(f"COPY customers_customer ({columns}) FROM STDIN") as stream:
        for begin in range(0, size, 5_000):
            stream.write("".join(line(n) for n in range(begin, min(begin + 5_000, size))))
    allowed = np.flatnonzero(rng.random(size) < 0.7)
    names = ("customer_id", "channel", "purpose", "state", "basis", "wording", "origin", "proof", "recorded_at")
    blank = binary.text("")
    values = (
        binary.integer(ids.customer + allowed), binary.text("email"), binary.text("marketing"), binary.text("granted"), blank, blank, binary.text("import"), blank,
        binary.moment(crowd.arrived[allowed]),
    )  # fmt: skip
    binary.copy("customers_consententry", names, [binary.rows(dict(zip(names, values, strict=True)), len(allowed))])
