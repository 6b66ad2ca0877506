"""The named world most tests live in: five members of staff, one shop, three customers whose lives differ.

    world = build()          rows as of NOW, 15 June 2026 12:00 in Shanghai

loyal has bought every month for a year, lapsing bought monthly and has been silent for 200 days, brand_new bought once
last week.  Only loyal and brand_new may be mailed; lapsing withdrew.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from crm.core.models import Source, User
from crm.core.models.people import Role
from customers.models import Category, Customer, Product
from customers.models.consent import ConsentState
from tests.factories import CategoryFactory, ConsentFactory, CustomerFactory, IdentityFactory, ProductFactory, SourceFactory, UserFactory, place_order
from tests.factories.customers import NOW

PASSWORD = "correct horse"

__all__ = ["NOW", "PASSWORD", "World", "build"]


@dataclass(frozen=True, slots=True)
class World:
    """Everyone and everything by name. outsider is logged in but has no role: every staff page refuses them."""

    now: datetime
    owner: User
    teammate: User
    marketer: User
    analyst: User
    outsider: User
    source: Source
    tea: Category
    teapot: Product
    green_tea: Product
    loyal: Customer
    lapsing: Customer
    brand_new: Customer


def build(*, now: datetime = NOW) -> World:
    """Return a freshly written world."""
    source = SourceFactory(name="The tea shop", write_key="wk_tea")
    tea = CategoryFactory(slug="tea", names={"en": "Tea", "zh-hans": "茶"})
    teapot = ProductFactory(
        source=source, external_id="POT", name="Iron teapot", names={"en": "Iron teapot", "zh-hans": "铁壶"}, category=tea, price_amount=300
    )
    green_tea = ProductFactory(
        source=source, external_id="GREEN", name="Green tea", names={"en": "Green tea", "zh-hans": "绿茶"}, category=tea, price_amount=80
    )
    people = {"source": source, "first_seen_at": now - timedelta(days=420)}
    loyal = CustomerFactory(name="Lin Loyal", email="loyal@mail.example", tags=["vip"], **people)
    lapsing = CustomerFactory(name="王旧友", email="lapsing@mail.example", locale="zh-hans", last_seen_at=now - timedelta(days=200), **people)
    brand_new = CustomerFactory(name="Nora New", email="new@mail.example", country="GB", source=source, first_seen_at=now - timedelta(days=7))
    for customer in (loyal, lapsing, brand_new):
        IdentityFactory(customer=customer, kind="email", value=customer.email)
    for month in range(12):
        place_order(loyal, at=now - timedelta(days=10 + 30 * month), amount=160, quantity=2, product=green_tea)
    for month in range(6):
        place_order(lapsing, at=now - timedelta(days=200 + 30 * month), amount=80, product=green_tea)
    place_order(brand_new, at=now - timedelta(days=7), amount=300, product=teapot)
    for customer in (loyal, lapsing, brand_new):
        ConsentFactory(customer=customer, recorded_at=customer.first_seen_at)
    ConsentFactory(customer=lapsing, state=ConsentState.WITHDRAWN, recorded_at=now - timedelta(days=100))
    return World(
        now=now,
        owner=UserFactory(username="owner", role=Role.ADMIN, is_staff=True, is_superuser=True),
        teammate=UserFactory(username="teammate", role=Role.AGENT),
        marketer=UserFactory(username="marketer", role=Role.MARKETER),
        analyst=UserFactory(username="analyst", role=Role.ANALYST),
        outsider=UserFactory(username="outsider", role=""),
        source=source,
        tea=tea,
        teapot=teapot,
        green_tea=green_tea,
        loyal=loyal,
        lapsing=lapsing,
        brand_new=brand_new,
    )
