"""Whatever a shop sends: no figure of a portrait is ever stored or shown that is no number, nor a chance beyond 0 to 1."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import translation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm.core.learning import modelstore, registry
from customers import portrait, snapshots
from customers.insights import pages, sheets
from customers.models import Activity, Customer, Order, Portrait, PortraitFeatures, PortraitSnapshot, Return, Review
from customers.person_pages import find_customer
from customers.portrayal.card import portrait_card
from tests.factories import ProductFactory, SourceFactory
from tests.factories.customers import NOW

pytestmark = pytest.mark.django_db
CHANCES = ("p_active", "p_purchase_30", "p_churn", "p_return")
# "nan" as a word of its own: a name may have these letters.
NO_NUMBER = re.compile(r"(?<![\w])(nan|inf|-inf|infinity)(?![\w])|[∞]", re.IGNORECASE)


@pytest.fixture(autouse=True)
def _own_models(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.CRM_MODEL_DIR = tmp_path
    monkeypatch.setattr("crm.core.clock.now", lambda: NOW)
    modelstore.forget()
    yield
    modelstore.forget()


@dataclass(frozen=True)
class Bought:
    """days: before now, negative for the future.  amount: as a shop may send it."""

    days: float
    amount: float
    currency: str = "CNY"
    status: str = "paid"


Shop = Sequence[Sequence[Bought]]


def built(shop: Shop, *, back: float = 0.0, reviews: bool = False) -> list[Customer]:
    """Make the shop's rows. back: what everybody with an order sent back, of no known order."""
    Customer.objects.all().delete()
    PortraitSnapshot.objects.all().delete()
    source = SourceFactory()
    people = Customer.objects.bulk_create(
        Customer(source=source, name=f"Person {n}", currency=orders[0].currency if orders else "", first_seen_at=NOW - timedelta(days=4000), last_seen_at=NOW)
        for n, orders in enumerate(shop)
    )
    Order.objects.bulk_create(
        Order(
            source=source, external_id=f"o{n}-{m}", customer=person, placed_at=NOW - timedelta(days=order.days), currency=order.currency,
            total_amount=Decimal(str(round(order.amount, 2))), status=order.status,
        )
        for n, (person, orders) in enumerate(zip(people, shop, strict=True)) for m, order in enumerate(orders)
    )  # fmt: skip
    if back:
        Return.objects.bulk_create(
            Return(source=source, external_id=f"r{n}", customer=person, returned_at=NOW - timedelta(days=1), currency="CNY", total_amount=Decimal(str(round(back, 2))))
            for n, (person, orders) in enumerate(zip(people, shop, strict=True)) if orders
        )  # fmt: skip
    if reviews:
        product = ProductFactory(source=source)
        Review.objects.bulk_create(
            Review(
                source=source, external_id=f"v{n}", customer=person, product=product, rating=None if n % 2 else 1, body="\u3000 太慢了 bad" * n, written_at=NOW
            )
            for n, person in enumerate(people)
        )
        Activity.objects.bulk_create(
            Activity(
                source=source, message_id=f"m{n}", customer=person, kind="track", name="Product Viewed", occurred_at=NOW + timedelta(days=n), received_at=NOW
            )
            for n, person in enumerate(people)
        )
    return people


def check_portraits() -> None:
    """Every number stored is finite and within its bounds, and every word shown is of such numbers."""
    rows = list(Portrait.objects.select_related("customer"))
    assert rows
    for row in rows:
        for field in Portrait._meta.concrete_fields:
            _check_value(field.name, getattr(row, field.attname))
        assert all(getattr(row, name) is None or 0 <= getattr(row, name) <= 1 for name in CHANCES)
        assert row.value_365 is None or row.value_365 >= 0
        if row.value_365_low is not None:
            assert row.value_365_low <= row.value_365_high
        assert math.isclose(sum(row.stage_probabilities.values()) or 1.0, 1.0, abs_tol=0.01)
    for snapshot in PortraitSnapshot.objects.all():
        for name in ("p_active", "p_churn", "value_365"):
            _check_value(name, getattr(snapshot, name))
    assert PortraitFeatures.objects.count() == len(rows)
    for row in rows[:3]:
        for language in ("en", "zh-hans"):
            with translation.override(language):
                card = portrait_card(customer=find_customer(row.customer_id), viewer=None, reachable={"email": True}, at=NOW)
                assert card is not None
                shown = [card.paragraph.text, card.advice.text, card.advice.why, *(change.text for change in card.changes.lines)]
                shown += [f"{line.statement.word} {line.statement.number} {line.statement.interval}" for line in card.lines]
                shown += [claim.text for claim in (*card.risk_reasons, *card.stage_reasons)] + [taste.text for taste, _claim in card.tastes]
                shown += [card.value.svg] if card.value else []
                assert not [text for text in shown if NO_NUMBER.search(text)]


def check_insights() -> None:
    cache.clear()
    for name in pages.NAMES:
        for sheet in pages.insight_page(name=name, params={}, at=NOW).sheets:
            assert not NO_NUMBER.search(sheets.as_csv(sheet)), sheet.name
            assert not NO_NUMBER.search(re.sub(r"<[^>]*>", " ", sheet.chart.svg)), sheet.name


def _check_value(name: str, value: object) -> None:
    if isinstance(value, float | Decimal):
        assert math.isfinite(value), name
    elif isinstance(value, dict | list):
        # What PostgreSQL gave back as JSON cannot hold NaN as a number, but it could as a text.
        assert not NO_NUMBER.search(json.dumps(value, allow_nan=False)), name
    elif isinstance(value, date | datetime):
        assert 1990 < value.year < 2200, name


AMOUNTS = st.one_of(st.sampled_from([-500.0, -0.01, 0.0, 0.01, 9_999_999_999.99]), st.floats(0.01, 5_000))
BOUGHT = st.builds(
    Bought,
    days=st.one_of(st.sampled_from([0.0, 1.0, 30.0, 3650.0, -1.0, -400.0]), st.floats(0, 800)),
    amount=AMOUNTS,
    currency=st.sampled_from(["CNY", "CNY", "USD", "JPY"]),
    status=st.sampled_from(["paid", "paid", "delivered", "cancelled"]),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shop=st.lists(st.lists(BOUGHT, max_size=6), min_size=1, max_size=8), back=st.sampled_from([0.0, 10.0, 99_999_999.0]), reviews=st.booleans())
def test_no_shop_however_odd_gets_a_figure_that_is_none(shop: Shop, back: float, reviews: bool) -> None:
    built(shop, back=back, reviews=reviews)

    portrait.refresh(as_of=NOW)

    check_portraits()


def steady(people: int = 80) -> list[list[Bought]]:
    """People who order every 15 to 60 days for up to two years; some have stopped."""
    return [[Bought(float(days), 40 + n) for days in range(150 if n % 3 == 0 else n % 25, 700 - 5 * n, 15 + n % 45)] for n in range(people)]


ODD: dict[str, Shop] = {
    "one customer": steady(1),
    "all orders on one day": [[Bought(100.0, 20.0 + n)] * (1 + n % 4) for n in range(80)],
    "one giant buyer": [*steady(79), [Bought(float(day), 99_999_999.0) for day in range(0, 700, 2)]],
    "zero and negative amounts": [[Bought(each.days, (-50.0, 0.0)[n % 2]) for each in orders] for n, orders in enumerate(steady())],
    "ten-year gaps": [[*orders, Bought(3650.0, 30.0)] for orders in steady()],
    "orders of the future": [[*orders, Bought(-500.0, 30.0)] for orders in steady()],
    "currencies mixed": [
        [Bought(each.days, each.amount, ("CNY", "USD", "JPY")[(n + m) % 3]) for m, each in enumerate(orders)] for n, orders in enumerate(steady())
    ],
    "everybody the same": [[Bought(10.0, 50.0), Bought(40.0, 50.0), Bought(300.0, 50.0)]] * 80,
}


@pytest.mark.parametrize("name", ODD)
def test_odd_shops_with_trained_models_get_finite_figures_everywhere(name: str) -> None:
    built(ODD[name])

    outcomes = {task: registry.run(task, as_of=NOW) for task in ("value", "lifecycle")}
    portrait.refresh(as_of=NOW)
    list(snapshots.rebuild(as_of=NOW, months=2))
    portrait.refresh(as_of=NOW)

    assert all(outcome.message and "Error" not in outcome.message for outcome in outcomes.values()), outcomes
    check_portraits()
    check_insights()
