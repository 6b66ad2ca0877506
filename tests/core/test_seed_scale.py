"""The generated shop: whole, the same every time, never mixed into somebody's data, and readable by a refresh."""

from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Sum

from crm.demo.scale import seed
from customers import portrait
from customers.models import Activity, Customer, Order, OrderLine, Portrait
from tests.factories import CustomerFactory
from tests.world import NOW

pytestmark = pytest.mark.django_db


def quiet(_line: str) -> None:
    return None


def _schema() -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename, indexdef FROM pg_indexes WHERE tablename LIKE 'customers_%%' ORDER BY 1, 2")
        indexes = cursor.fetchall()
        cursor.execute("SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint ORDER BY 1, 2")
        return [indexes, cursor.fetchall()]


def test_shop_is_whole_and_the_schema_as_before() -> None:
    before = _schema()

    made = seed.seed(customers=300, orders=2_000, events=3_000, until=NOW, say=quiet)

    assert _schema() == before
    assert (Customer.objects.count(), Order.objects.count(), Activity.objects.count(), OrderLine.objects.count()) == (300, 2_000, 3_000, made["lines"])
    assert not Order.objects.filter(placed_at__gt=NOW).exists()
    totals = Customer.objects.aggregate(orders=Sum("orders_count"), spent=Sum("spent_amount"))
    assert totals["orders"] == 2_000
    assert float(totals["spent"]) == pytest.approx(float(Order.objects.aggregate(n=Sum("total_amount"))["n"]), rel=1e-9)
    CustomerFactory()


def test_refresh_reads_it_and_no_number_is_missing_from_a_buyer() -> None:
    seed.seed(customers=300, orders=2_000, events=3_000, until=NOW, say=quiet)

    report = portrait.refresh(as_of=NOW)

    assert report.customers == 300
    buyers = Portrait.objects.filter(is_cold=False)
    assert buyers.count() == Customer.objects.filter(orders_count__gt=0).count()
    assert not buyers.filter(value_365=None).exists()
    assert buyers.exclude(tastes__categories=None).count() == buyers.count()


def test_somebody_elses_customers_are_not_mixed_with_it() -> None:
    CustomerFactory()

    with pytest.raises(CommandError, match="empty database"):
        call_command("seed_scale", customers=10)
    with pytest.raises(CommandError, match="1 or more"):
        call_command("seed_scale", customers=0)
