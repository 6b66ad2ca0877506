"""Pages of the customers list: complete in every order and both directions, honest about numbers, and read through indexes."""

import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from django.core.cache import cache
from django.db import connection
from django.db.models import Q

from customers import buyers, consent, paging, pieces
from customers.features import streams
from customers.listing import Filters
from customers.models import Customer, Portrait
from customers.paging import ORDERS
from customers.reach import mailable
from tests.factories import ConsentFactory, CustomerFactory, PortraitFactory
from tests.world import NOW, build

pytestmark = pytest.mark.django_db


@pytest.fixture
def crowd() -> list[Customer]:
    """Thirty people with many equal keys, and with none, in no order."""
    dice = random.Random(5)
    people = []
    for number in range(30):
        ordered = dice.choice([None, NOW - timedelta(days=dice.randint(1, 4))])
        customer = CustomerFactory(
            name=dice.choice(["", "Ann", "ann", "Béla", "王"]), last_seen_at=NOW - timedelta(hours=dice.randint(1, 5)), first_seen_at=NOW - timedelta(days=9),
            orders_count=dice.randint(0, 2), spent_amount=Decimal(dice.randint(0, 3)), last_order_at=ordered,
        )  # fmt: skip
        if number % 3:
            PortraitFactory(customer=customer, value_365=dice.choice([None, Decimal("5.00"), Decimal("7.50")]))
        people.append(customer)
    return people


@pytest.mark.parametrize("name", ORDERS)
def test_pages_follow_each_other_and_lead_back(crowd: list[Customer], name: str) -> None:
    filters = Filters.read({"sort": name})
    whole = [customer.pk for customer in filters.queryset(at=NOW)]

    ahead, place, pages = [], "", 0
    while True:
        page = paging.page(filters.question(at=NOW), filters.order, size=7, after=place)
        ahead += [customer.pk for customer in page.customers]
        pages += 1
        if not page.next:
            break
        place = page.next
    back = [[customer.pk for customer in page.customers]]
    while page.previous:
        page = paging.page(filters.question(at=NOW), filters.order, size=7, before=page.previous)
        back.insert(0, [customer.pk for customer in page.customers])

    assert ahead == whole
    assert pages == 5
    assert [pk for page_of_ids in back for pk in page_of_ids] == whole
    assert (page.total, page.is_exact) == (30, True)


def test_people_without_an_order_need_no_date_to_stand_in_a_row(crowd: list[Customer]) -> None:
    for name in ("last_order", "-last_order"):
        filters = Filters.read({"sort": name, "orders": "no"})
        Customer.objects.filter(orders_count=0).update(last_order_at=None)

        page = paging.page(filters.question(at=NOW), filters.order, size=50)

        assert [customer.pk for customer in page.customers] == [customer.pk for customer in filters.queryset(at=NOW)]


def test_a_place_that_is_none_leads_to_the_beginning_or_nowhere(crowd: list[Customer]) -> None:
    for name in ("-seen", "-orders", "spent", "-value", "name"):
        filters = Filters.read({"sort": name})
        for text in ("", "x", "5", "5~", "~5", "5~yesterday", "5~2026-01-01", "9" * 30, "5~" + "9" * 40, "5~NaN", "5~\x00"):
            page = paging.page(filters.question(at=NOW), filters.order, size=3, after=text)

            assert len(page.customers) <= 3


def test_many_are_told_about_and_few_exactly(crowd: list[Customer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "MOST_COUNTED", 10)
    filters = Filters.read({"contactable": "no"})

    page = paging.page(filters.question(at=NOW), filters.order, size=3)

    assert (page.is_exact, page.total) == (False, 30)
    assert len(page.customers) == 3
    few = Filters.read({"q": "Béla"})
    found = paging.page(few.question(at=NOW), few.order, size=30)
    assert (found.total, found.is_exact) == (Customer.objects.filter(name="Béla").count(), True)


def test_a_number_is_rounded_to_what_is_known() -> None:
    assert [paging.rounded(amount, figures=2) for amount in (1_000_000, 123_456, 98_700, 7)] == [1_000_000, 120_000, 99_000, 7]
    assert paging.rounded(16_400, figures=1) == 20_000


def test_mailable_is_what_the_gate_allows() -> None:
    dice = random.Random(7)
    for number in range(40):
        customer = CustomerFactory(email=dice.choice(["", f"gate{number}@mail.example"]))
        for _entry in range(dice.randint(0, 4)):
            ConsentFactory(
                customer=customer, channel=dice.choice(["email", "sms", "any"]), purpose=dice.choice(["marketing", "service"]),
                state=dice.choice(["granted", "granted", "withdrawn", "bounced", "complained"]), recorded_at=NOW - timedelta(days=dice.randint(-1, 3)),
            )  # fmt: skip
    everybody = set(Customer.objects.values_list("pk", flat=True))

    gate = consent.may_contact(customer_ids=everybody, channel="email", at=NOW)

    allowed = {customer_id for customer_id, verdict in gate.items() if verdict.allowed}
    assert allowed
    for willing in (True, False):
        found = set(Customer.objects.filter(mailable(NOW, willing=willing)).values_list("pk", flat=True))
        assert found == allowed
    assert set(Customer.objects.exclude(mailable(NOW, willing=False)).values_list("pk", flat=True)) == everybody - allowed


@pytest.mark.parametrize("text", ["a", "an", "Ann", "ANN B", "王", "王小", "小明", "@mail", "138000", "é", "nobody at all", "%", "_", "\\", "'; DROP"])
def test_pieces_find_whoever_contains_the_text(text: str) -> None:
    for name, mail, phone in (("Ann Béla", "ann@mail.example", ""), ("王小明", "", "+8613800000000"), ("100%_\\", "'; DROP@mail.example", ""), ("", "", "")):
        CustomerFactory(name=name, email=mail, phone=phone)
    plain = Q(name__icontains=text) | Q(email__icontains=text) | Q(phone__contains=text)

    found = set(Customer.objects.filter(pieces.containing(text)).values_list("pk", flat=True))

    assert found == set(Customer.objects.filter(plain).values_list("pk", flat=True))


def test_pieces_follow_the_customer() -> None:
    customer = CustomerFactory(name="Nora Stone", email="")
    visitor = CustomerFactory(name="", email="", is_anonymous=True)

    def names(text: str) -> list[int]:
        return list(Customer.objects.filter(pieces.containing(text)).values_list("pk", flat=True))

    Customer.objects.filter(pk=customer.pk).update(name="Nora Rivers")
    Customer.objects.filter(pk=visitor.pk).update(name="Quill Visitor", is_anonymous=False)

    assert (names("stone"), names("rivers"), names("quill")) == ([], [customer.pk], [visitor.pk])
    with connection.cursor() as cursor:
        cursor.execute("SELECT pieces FROM customers_pieces WHERE customer_id = %s", [customer.pk])
        (kept,) = cursor.fetchone()
    assert set(pieces.of("Nora Rivers")) <= set(kept)
    customer.delete()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM customers_pieces")
        assert cursor.fetchone() == (1,)


def test_stage_and_group_on_the_customer_follow_the_portrait() -> None:
    portrait = PortraitFactory(stage="loyal", rfm_group="champions")
    customer_id = portrait.customer_id

    def standing() -> tuple[str, str]:
        return Customer.objects.values_list("stage", "rfm_group").get(pk=customer_id)

    assert standing() == ("loyal", "champions")
    Portrait.objects.filter(pk=portrait.pk).update(stage="at_risk")
    assert standing() == ("at_risk", "champions")
    portrait.delete()
    assert standing() == ("", "")


def test_buyers_are_few_or_too_many_to_begin_with(monkeypatch: pytest.MonkeyPatch) -> None:
    world = build()

    assert buyers.few(product_id=world.teapot.pk) == [world.brand_new.pk]
    assert buyers.few(product_id=0) == []
    monkeypatch.setattr(buyers, "MOST_REMEMBERED", 0)
    assert buyers.few(product_id=world.teapot.pk) is None


def test_buyers_of_a_product_sold_often_are_remembered(monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any) -> None:
    world = build()
    cache.delete(f"customers:buyers:{world.teapot.pk}")
    monkeypatch.setattr(buyers, "MOST_LINES", 0)
    with django_assert_num_queries(1):
        found = [buyers.few(product_id=world.teapot.pk) for _page in range(2)]
    assert found == [[world.brand_new.pk]] * 2

    cache.delete(f"customers:buyers:{world.teapot.pk}")
    monkeypatch.setattr(buyers, "MOST_REMEMBERED", 0)
    with django_assert_num_queries(1):
        assert [buyers.few(product_id=world.teapot.pk) for _page in range(2)] == [None, None]
    cache.delete(f"customers:buyers:{world.teapot.pk}")


@pytest.mark.parametrize("others", [{}, {"contactable": "yes"}, {"contactable": "no"}, {"country": "China"}, {"orders": "yes"}, {"q": "an"}])
def test_a_large_shop_lists_the_same_buyers(monkeypatch: pytest.MonkeyPatch, others: dict[str, str]) -> None:
    world = build()
    for product in (world.teapot, world.green_tea):
        assert buyers.few(product_id=product.pk)
        filters = Filters.read({"product": str(product.pk), **others})
        whole = [customer.pk for customer in filters.queryset(at=NOW)]

        monkeypatch.setattr(paging, "LARGE_SHOP", -1)
        page = paging.page(filters.question(at=NOW), filters.order, size=100)

        assert [customer.pk for customer in page.customers] == whole
        assert (page.total, page.is_exact) == (len(whole), True)


def test_more_buyers_than_are_listed_by_their_ids_are_walked_among(monkeypatch: pytest.MonkeyPatch) -> None:
    world = build()
    filters = Filters.read({"product": str(world.green_tea.pk)})
    whole = [customer.pk for customer in filters.queryset(at=NOW)]
    monkeypatch.setattr(paging, "LARGE_SHOP", -1)
    monkeypatch.setattr(paging, "MOST_COUNTED", 0)
    # Nobody is found by looking through all customers' orders: that is for products sold too often.
    question = replace(filters.question(at=NOW), people=Customer.objects.none(), walked=Customer.objects.none())
    try:
        first = paging.page(question, filters.order, size=1)
        rest = paging.page(question, filters.order, size=100, after=first.next or None)
    finally:
        cache.delete(paging._key(question.text))

    assert len(whole) > 1
    assert [customer.pk for customer in (*first.customers, *rest.customers)] == whole
    assert (first.total, first.is_exact) == (len(whole), False)


def test_columns_travel_whole() -> None:
    sql = """SELECT * FROM (VALUES (1::bigint, NULL::int, 1.5::numeric, timestamptz '2026-01-02 03:04:05.25Z'),
             (%(big)s, -7, NULL, NULL)) given(a, b, c, d)"""
    read = streams.read(sql, {"big": 2**40}, {"a": "i8", "b": "i4", "c": "f8", "d": "at"})

    assert read["a"].tolist() == [1, 2**40]
    assert read["b"].tolist() == [0, -7]
    assert np.array_equal(read["c"], [1.5, np.nan], equal_nan=True)
    assert np.array_equal(read["d"], [1767323045.25, np.nan], equal_nan=True)
    assert {name: len(values) for name, values in streams.read(f"{sql} WHERE a < 0", {"big": 1}, {"a": "i8", "d": "at"}).items()} == {"a": 0, "d": 0}
