"""Building the demo shop through the front doors: ingest, conversations, labels, tickets, sending.

Everything is deterministic for one `as_of` day; the database's own ids aside, two runs give the same rows.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from django.db import connection, transaction

from crm.core import clock, demo_flag, events
from crm.core.models import Source, User
from crm.demo import catalogue, history, marketing, people, talks
from crm.demo.catalogue import DEPARTMENTS, DemoProduct
from crm.demo.history import DemoEvent, History
from crm.demo.logins import LOGINS
from crm.demo.people import DAYS, Person, agent_of
from crm.demo.review_texts import write
from customers import ingest, totals
from customers.ingest import ConsentFacts, LineFacts, OrderFacts, PersonFacts, PersonKey, ProductFacts, ReturnFacts, ReviewFacts
from customers.models import Category, Customer
from support import knowledge

SOURCE_NAME = "Maple & Moss"
# Public by nature: a write key can only write. Fixed so that the demo page's snippet works.
WRITE_KEY = "wk_demo_maple_and_moss"
CURRENCY = "CNY"
# Rows per call of the ingest door: about 30 MB of JSON at most; larger gains nothing measurable.
ORDERS_AT_ONCE = 2000
EVENTS_AT_ONCE = 5000

Progress = Callable[[int, int, str], None]
Item = TypeVar("Item")


@dataclass(slots=True)
class SeedReport:
    """Rows made and seconds per step."""

    rows: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def seed(*, as_of: datetime, progress: Progress, small: bool = False) -> SeedReport:
    """Build the shop with its history up to `as_of`. small: a tenth of the people and events, for tests.

    Idempotent by external ids: an interrupted run started again with the same day completes what is missing.
    """
    report = SeedReport()
    # Today's shop has people waiting in its chat now; an earlier day's had them at the end of that day.
    present = min(clock.now(), as_of + timedelta(days=1))
    first_day = as_of - timedelta(days=DAYS)
    products = catalogue.build()
    persons = people.build(first_day=first_day.date(), count=300 if small else 3000)
    past = history.build(persons, products, first_day_of_year=first_day.timetuple().tm_yday, events_target=15_000 if small else 150_000)
    steps: list[tuple[str, Callable[[Source], int]]] = [
        ("staff", lambda _source: _staff()),
        ("products", lambda source: _products(source, products, first_day)),
        ("customers", lambda source: _customers(source, persons, first_day, as_of)),
        ("orders", lambda source: _orders(source, past, first_day, as_of)),
        ("returns", lambda source: _returns(source, past, first_day, as_of)),
        ("reviews", lambda source: _reviews(source, past, first_day, as_of)),
        ("events", lambda source: _events(source, persons, past, first_day, as_of)),
        ("knowledge", lambda _source: knowledge.load_shipped(now=as_of, is_demo=True).examples),
        ("conversations", lambda source: talks.hold(source=source, as_of=as_of, present=present, small=small)),
        ("campaigns", lambda source: marketing.run(source=source, products=products, as_of=as_of)),
    ]
    source = _source()
    for number, (name, step) in enumerate(steps):
        progress(number, len(steps), name)
        began = time.perf_counter()
        with events.rebuilding_history():
            report.rows[name] = step(source)
        report.seconds[name] = round(time.perf_counter() - began, 1)
    Customer.objects.filter(source=source).update(is_demo=True)
    # Fresh statistics: the first pages would otherwise be planned for empty tables.
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    demo_flag.forget()
    progress(len(steps), len(steps), "done")
    return report


def _source() -> Source:
    source, _created = Source.objects.update_or_create(
        name=SOURCE_NAME,
        defaults={
            "write_key": WRITE_KEY,
            "currency": CURRENCY,
            "locale": "zh-hans",
            "is_demo": True,
            "is_active": True,
            "brand_colour": "#2f6f4e",
            "identity_secret": "demo-identity-secret",
        },
    )
    return source


def _staff() -> int:
    made = 0
    for login in LOGINS:
        if User.objects.filter(username=login.username).exists():
            # Closed by an earlier removal of the demo data.
            User.objects.filter(username=login.username, is_active=False).update(is_active=True)
            continue
        user = User(
            username=login.username,
            first_name=login.first_name,
            role=login.role,
            is_staff=login.role == "admin",
            is_superuser=login.role == "admin",
            email=f"{login.username}@maple-and-moss.example",
        )
        user.set_password(login.password)
        user.save()
        made += 1
    return made


def _products(source: Source, products: Sequence[DemoProduct], first_day: datetime) -> int:
    with transaction.atomic():
        for department in DEPARTMENTS:
            parent, _created = Category.objects.get_or_create(slug=department.slug, defaults={"names": _names(department.names)})
            for shelf in department.shelves:
                # The key that ingest gives the shelf's name, or every product would land in a nameless category of its own.
                Category.objects.get_or_create(slug=shelf.slug.replace("/", "-"), defaults={"names": _names(shelf.names), "parent": parent})
    facts = [_product(product, first_day) for product in products]
    return ingest.record_products(source_id=source.pk, products=facts, at=first_day).products


def _names(pair: tuple[str, str]) -> dict[str, str]:
    return {"en": pair[0], "zh-hans": pair[1]}


def _product(product: DemoProduct, first_day: datetime) -> ProductFacts:
    return ProductFacts(
        external_id=product.external_id,
        sku=product.external_id,
        name=product.names["en"],
        names=product.names,
        category=product.shelf_slug,
        price_amount=product.price,
        currency=CURRENCY,
        is_available=product.is_available,
        url=f"https://maple-and-moss.example/p/{product.external_id.lower()}",
        first_seen_at=first_day,
    )


def _key(person: Person) -> PersonKey:
    return PersonKey(user_id=person.user_id)


def _customers(source: Source, persons: Sequence[Person], first_day: datetime, as_of: datetime) -> int:
    facts = [
        PersonFacts(
            key=PersonKey(user_id=person.user_id, email=person.email),
            seen_at=first_day + timedelta(days=person.arrived_day),
            first_seen_at=first_day + timedelta(days=person.arrived_day),
            name=person.name,
            email=person.email,
            phone=person.phone,
            locale=person.language,
            country=person.country,
            city=person.city,
            time_zone=person.time_zone,
            gender=person.gender,
            birth_date=person.birth_date,
            currency=CURRENCY,
        )
        for person in persons
    ]
    made = ingest.record_customers(source_id=source.pk, people=facts, at=as_of, cause="demo").customers
    # The tick at sign-up: recorded on the day each person came, so that past campaigns see the consent of their day.
    by_day: dict[int, list[Person]] = {}
    for person in persons:
        if person.accepts_mail:
            by_day.setdefault(int(person.arrived_day), []).append(person)
    for day, group in by_day.items():
        moment = first_day + timedelta(days=day + 1)
        consents = [PersonFacts(key=_key(person), seen_at=moment, consents=(ConsentFacts(channel="email", state="granted"),)) for person in group]
        ingest.record_customers(source_id=source.pk, people=consents, at=min(moment, as_of), cause="demo")
    return made


def _orders(source: Source, past: History, first_day: datetime, as_of: datetime) -> int:
    made = 0
    for part in _chunks(past.orders, ORDERS_AT_ONCE):
        facts = [
            OrderFacts(
                external_id=order.number,
                placed_at=first_day + timedelta(days=order.day),
                currency=CURRENCY,
                lines=tuple(LineFacts(ProductFacts(external_id=line.product.external_id), line.quantity, line.unit_amount) for line in order.lines),
                person=_key(order.person),
                discount_amount=order.discount,
                shipping_amount=Decimal(0) if order.total >= 199 else Decimal(10),
                coupon=order.coupon,
                country=order.person.country,
                status="delivered" if order.day < DAYS - 6 else ("shipped" if order.day < DAYS - 1.5 else "paid"),
            )
            for order in part
        ]
        made += ingest.record_orders(source_id=source.pk, orders=facts, at=as_of, cause="demo", refresh_totals=False).orders
    totals.refresh(Customer.objects.filter(source=source).values_list("pk", flat=True))
    return made


def _returns(source: Source, past: History, first_day: datetime, as_of: datetime) -> int:
    made = 0
    for part in _chunks(past.returns, ORDERS_AT_ONCE):
        facts = [
            ReturnFacts(
                external_id=item.number,
                returned_at=first_day + timedelta(days=item.day),
                currency=CURRENCY,
                lines=(LineFacts(ProductFacts(external_id=item.line.product.external_id), item.line.quantity, item.line.unit_amount),),
                person=_key(item.order.person),
                order_id=item.order.number,
                reason=item.reason,
            )
            for item in part
        ]
        made += ingest.record_returns(source_id=source.pk, returned=facts, at=as_of, cause="demo").returns
    return made


def _reviews(source: Source, past: History, first_day: datetime, as_of: datetime) -> int:
    facts = [
        ReviewFacts(
            external_id=review.external_id,
            product=ProductFacts(external_id=review.product.external_id),
            written_at=first_day + timedelta(days=review.day),
            person=_key(review.order.person),
            rating=review.rating,
            body=write(review),
            language=review.order.person.language,
        )
        for review in past.reviews
    ]
    return ingest.record_reviews(source_id=source.pk, reviews=facts, at=as_of, cause="demo").reviews


def _events(source: Source, persons: Sequence[Person], past: History, first_day: datetime, as_of: datetime) -> int:
    """Send the clickstream as the shop's snippet would: a browser id until the first order, then the user id too."""
    made = 0
    for part in _chunks(past.events, EVENTS_AT_ONCE):
        sent = [_event(event, first_day) for event in part]
        last = min(first_day + timedelta(days=part[-1].day, hours=1), as_of)
        made += ingest.record_batch(source_id=source.pk, events=sent, received_at=last, currency=CURRENCY, cause="demo").accepted
    first_orders: dict[int, float] = {}
    for order in past.orders:
        first_orders.setdefault(order.person.index, order.day)
    identifies = [
        {
            "type": "identify",
            "messageId": f"demo-identify-{person.index}",
            "userId": person.user_id,
            "anonymousId": f"browser-{person.index:05d}",
            "timestamp": (first_day + timedelta(days=first_orders.get(person.index, min(person.arrived_day + 3, DAYS - 0.1)))).isoformat(),
            "traits": {},
        }
        for person in persons
    ]
    for some in _chunks(identifies, 1000):
        made += ingest.record_batch(source_id=source.pk, events=some, received_at=as_of, currency=CURRENCY, cause="demo").accepted
    return made


def _event(event: DemoEvent, first_day: datetime) -> dict[str, object]:
    is_page = event.product is None
    sent: dict[str, object] = {
        "type": "page" if is_page else "track",
        "messageId": event.message_id,
        "anonymousId": f"browser-{event.person.index:05d}",
        "timestamp": (first_day + timedelta(days=event.day)).isoformat(),
        "properties": {} if event.product is None else {"product_id": event.product.external_id},
        "name" if is_page else "event": event.name,
    }
    if not event.anonymous:
        sent["userId"] = event.person.user_id
    if is_page or event.name == "Checkout Started":
        sent["context"] = {"userAgent": agent_of(event.person)}
    return sent


def _chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
