"""Rows of the customer's record. `place_order` also keeps the customer's running totals, as ingest does."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import factory
from django.db.models import F
from factory.django import DjangoModelFactory

from customers.models import (
    Activity,
    Category,
    ConsentEntry,
    Customer,
    Identity,
    Order,
    OrderLine,
    Portrait,
    Product,
    Return,
    Review,
    Segment,
)
from customers.models.activity import ActivityKind
from customers.models.consent import Channel, ConsentState, Purpose
from customers.models.identity import IdentityKind
from tests.factories.kernel import SourceFactory

NOW = datetime(2026, 6, 15, 4, 0, tzinfo=UTC)


class CustomerFactory(DjangoModelFactory):
    """A person with a name and an address who has bought nothing yet."""

    class Meta:
        model = Customer

    name = factory.Sequence(lambda n: f"Person {n}")
    email = factory.Sequence(lambda n: f"person{n}@mail.example")
    locale = "en"
    country = "CN"
    currency = "CNY"
    source = factory.SubFactory(SourceFactory)
    first_seen_at = NOW - timedelta(days=400)
    last_seen_at = NOW - timedelta(days=1)


class IdentityFactory(DjangoModelFactory):
    class Meta:
        model = Identity

    customer = factory.SubFactory(CustomerFactory)
    kind = IdentityKind.USER
    namespace = ""
    value = factory.Sequence(lambda n: f"user-{n}")
    first_seen_at = NOW - timedelta(days=400)


class CategoryFactory(DjangoModelFactory):
    class Meta:
        model = Category

    slug = factory.Sequence(lambda n: f"category-{n}")
    names = factory.LazyAttribute(lambda category: {"en": category.slug.title(), "zh-hans": f"分类{category.slug}"})


class ProductFactory(DjangoModelFactory):
    class Meta:
        model = Product

    source = factory.SubFactory(SourceFactory)
    external_id = factory.Sequence(lambda n: f"P{n:05d}")
    name = factory.Sequence(lambda n: f"Product {n}")
    category = factory.SubFactory(CategoryFactory)
    price_amount = Decimal("100.00")
    currency = "CNY"
    first_seen_at = NOW - timedelta(days=700)


class OrderFactory(DjangoModelFactory):
    class Meta:
        model = Order

    customer = factory.SubFactory(CustomerFactory)
    source = factory.LazyAttribute(lambda order: order.customer.source if order.customer and order.customer.source else SourceFactory())
    external_id = factory.Sequence(lambda n: f"O{n:06d}")
    placed_at = NOW - timedelta(days=10)
    currency = "CNY"
    total_amount = Decimal("100.00")


class OrderLineFactory(DjangoModelFactory):
    class Meta:
        model = OrderLine

    order = factory.SubFactory(OrderFactory)
    product = factory.SubFactory(ProductFactory)
    quantity = 1
    unit_amount = Decimal("100.00")


class ReturnFactory(DjangoModelFactory):
    class Meta:
        model = Return

    order = factory.SubFactory(OrderFactory)
    source = factory.LazyAttribute(lambda row: row.order.source)
    customer = factory.LazyAttribute(lambda row: row.order.customer)
    external_id = factory.Sequence(lambda n: f"R{n:06d}")
    returned_at = NOW - timedelta(days=5)
    currency = "CNY"
    total_amount = Decimal("100.00")


class ActivityFactory(DjangoModelFactory):
    class Meta:
        model = Activity

    customer = factory.SubFactory(CustomerFactory)
    source = factory.LazyAttribute(lambda row: row.customer.source if row.customer and row.customer.source else SourceFactory())
    message_id = factory.Sequence(lambda n: f"message-{n}")
    kind = ActivityKind.TRACK
    name = "Product Viewed"
    occurred_at = NOW - timedelta(days=3)
    received_at = factory.SelfAttribute("occurred_at")


class ReviewFactory(DjangoModelFactory):
    class Meta:
        model = Review

    customer = factory.SubFactory(CustomerFactory)
    product = factory.SubFactory(ProductFactory)
    source = factory.LazyAttribute(lambda row: row.product.source)
    external_id = factory.Sequence(lambda n: f"V{n:06d}")
    rating = 5
    body = "Lovely, arrived quickly and works well."
    language = "en"
    written_at = NOW - timedelta(days=8)


class ConsentFactory(DjangoModelFactory):
    """By default: e-mail marketing granted."""

    class Meta:
        model = ConsentEntry

    customer = factory.SubFactory(CustomerFactory)
    channel = Channel.EMAIL
    purpose = Purpose.MARKETING
    state = ConsentState.GRANTED
    origin = "test"
    recorded_at = NOW - timedelta(days=200)


class SegmentFactory(DjangoModelFactory):
    """Everybody who ever ordered, unless another rule is given."""

    class Meta:
        model = Segment

    name = factory.Sequence(lambda n: f"Segment {n}")
    rule = {"op": "all", "rules": [{"field": "orders_count", "operator": "at_least", "value": 1}]}


class PortraitFactory(DjangoModelFactory):
    class Meta:
        model = Portrait

    customer = factory.SubFactory(CustomerFactory)
    recency_score = 4
    frequency_score = 3
    monetary_score = 3
    rfm_group = "potential_loyal"
    stage = "growing"
    p_active = 0.8
    expected_orders_90 = 0.9
    value_365 = Decimal("360.00")
    currency = "CNY"
    versions = {"value": 0, "lifecycle": 0, "sentiment": 0}
    as_of = NOW
    refreshed_at = NOW


def place_order(
    customer: Customer | None,
    *,
    at: datetime,
    amount: Decimal | int | str = "100.00",
    product: Product | None = None,
    quantity: int = 1,
    currency: str = "CNY",
    **values: object,
) -> Order:
    """Return a new order of one line, with the customer's running totals moved along."""
    total = Decimal(str(amount))
    order = OrderFactory(customer=customer, placed_at=at, total_amount=total, currency=currency, **({} if customer else {"source": SourceFactory()}), **values)
    OrderLineFactory(order=order, product=product or ProductFactory(source=order.source), quantity=quantity, unit_amount=total / quantity)
    if customer is not None:
        first = min(filter(None, (customer.first_order_at, at)))
        last = max(filter(None, (customer.last_order_at, at)))
        Customer.objects.filter(pk=customer.pk).update(
            orders_count=F("orders_count") + 1,
            spent_amount=F("spent_amount") + total,
            currency=currency,
            first_order_at=first,
            last_order_at=last,
            first_seen_at=min(customer.first_seen_at, at),
            last_seen_at=max(customer.last_seen_at, at),
        )
        customer.refresh_from_db()
    return order
