"""A shop with two tastes, large enough to learn from and small enough to write in a second."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pytest

from crm.core.learning import modelstore
from crm.core.models import Source
from customers.models import Customer, Order, OrderLine, Product
from tests.factories import SourceFactory
from tests.factories.customers import NOW

PRODUCTS, CUSTOMERS = 40, 120


@dataclass(frozen=True, slots=True)
class Shop:
    """products: 0-19 of one taste, 20-39 of the other.  customers: even ones like the first, odd ones the second."""

    now: datetime
    source: Source
    products: list[Product]
    customers: list[Customer]


@pytest.fixture(autouse=True)
def models_elsewhere(settings, tmp_path):
    """Give every test its own model folder and no memory of another's models."""
    settings.CRM_MODEL_DIR = tmp_path / "models"
    modelstore.forget()
    yield
    modelstore.forget()


@pytest.fixture
def shop(db) -> Shop:
    """120 customers with four orders each; nine of ten products are of the customer's own taste."""
    return make_shop()


def make_shop(*, customers: int = CUSTOMERS, orders: int = 4, now: datetime = NOW, seed: int = 5) -> Shop:
    source = SourceFactory()
    draw = np.random.default_rng(seed)
    products = Product.objects.bulk_create(
        [
            Product(
                source=source,
                external_id=f"P{n:02d}",
                sku=f"SKU{n:02d}",
                name=f"Thing {n:02d}",
                names={"zh-hans": f"东西{n:02d}"},
                price_amount=10 + n,
                currency="CNY",
                first_seen_at=now - timedelta(days=900),
            )
            for n in range(PRODUCTS)
        ]
    )
    people = Customer.objects.bulk_create(
        [
            Customer(
                name=f"Person {n:03d}",
                email=f"p{n}@mail.example",
                source=source,
                first_seen_at=now - timedelta(days=800),
                last_seen_at=now,
                orders_count=orders,
            )
            for n in range(customers)
        ]
    )
    placed, lines = [], []
    for n, person in enumerate(people):
        for number in range(orders):
            at = now - timedelta(days=float(40 + 60 * (orders - number) + draw.integers(0, 50)))
            placed.append(Order(source=source, external_id=f"O{n:03d}-{number}", customer=person, placed_at=at, currency="CNY", total_amount=100))
            person.last_order_at = max(filter(None, (person.last_order_at, at)))
            person.first_order_at = min(filter(None, (person.first_order_at, at)))
            own = (n % 2) * 20
            picks = draw.choice(20, size=3, replace=False) + own
            if draw.random() < 0.1:
                picks[0] = draw.integers(0, PRODUCTS)
            lines.append([int(pick) for pick in picks])
    Customer.objects.bulk_update(people, ["first_order_at", "last_order_at"])
    placed = Order.objects.bulk_create(placed)
    OrderLine.objects.bulk_create(
        [
            OrderLine(order=order, product=products[pick], quantity=1, unit_amount=10, position=place)
            for order, picks in zip(placed, lines, strict=True)
            for place, pick in enumerate(dict.fromkeys(picks))
        ]
    )
    return Shop(now=now, source=source, products=products, customers=people)
