"""Training on a small invented shop whose truth is known: models beat their baselines, skip, promote and serve."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db import connection

from crm.core.learning import modelstore, registry
from crm.core.learning.registry import Outcome
from crm.core.models import ModelVersion
from crm.core.models.learning import ModelState
from customers import portrait
from customers.ml import dataset, training_value
from customers.ml.features import TooFewOrders, holdout_days, outcomes
from customers.models import Customer, Order, Portrait, Review
from tests.factories import CustomerFactory, ProductFactory, ReturnFactory, SourceFactory, place_order
from tests.world import NOW, build

pytestmark = pytest.mark.django_db

CUSTOMERS = 400
LIFE_DAYS = 700


@pytest.fixture(autouse=True)
def _own_models(settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.CRM_MODEL_DIR = tmp_path
    modelstore.forget()
    yield
    modelstore.forget()


@pytest.fixture
def shop() -> None:
    """400 customers who buy at gamma rates, stop for good with a chance of 8% after each order, and differ in basket size."""
    random = np.random.default_rng(5)
    source = SourceFactory()
    people = Customer.objects.bulk_create(
        Customer(name=f"c{index}", source=source, currency="CNY", first_seen_at=NOW - timedelta(days=LIFE_DAYS), last_seen_at=NOW) for index in range(CUSTOMERS)
    )
    orders = []
    for person in people:
        rate, basket, at = random.gamma(1.2, 1 / 60), random.gamma(3, 40), random.uniform(0, 500)
        while at < LIFE_DAYS:
            amount = round(float(basket * random.gamma(6, 1 / 6)), 2)
            orders.append(
                Order(
                    source=source,
                    external_id=f"S{len(orders)}",
                    customer=person,
                    placed_at=NOW - timedelta(days=LIFE_DAYS - at),
                    currency="CNY",
                    total_amount=max(amount, 1),
                )
            )
            if random.random() < 0.08:
                break
            at += random.exponential(1 / rate)
    Order.objects.bulk_create(orders)


@pytest.fixture
def reviews() -> None:
    """120 short reviews whose words say what their stars say."""
    praise = [
        "lovely and sturdy",
        "works perfectly, very happy",
        "beautiful quality, thank you",
        "质量很好，非常喜欢",
        "物流很快，包装精美",
        "would buy again, excellent",
    ]
    blame = [
        "broke after two days",
        "arrived damaged, terrible",
        "cheap and useless, want a refund",
        "质量太差，很失望",
        "收到就是坏的，退货",
        "never again, awful smell",
    ]
    random = np.random.default_rng(3)
    product = ProductFactory()
    customer = CustomerFactory()
    rows = []
    for index in range(120):
        is_good = index % 3 != 0
        text = (praise if is_good else blame)[int(random.integers(6))]
        rows.append(
            Review(
                source=product.source,
                external_id=f"V{index}",
                product=product,
                customer=customer,
                rating=int(random.choice([4, 5]) if is_good else random.choice([1, 2])),
                body=f"{text} {index}",
                written_at=NOW - timedelta(days=200 - index),
            )
        )
    Review.objects.bulk_create(rows)


# --- what enters ----------------------------------------------------------------------------------------------------


def test_dataset_lets_nothing_later_in_and_deducts_only_what_had_come_back() -> None:
    world = build()
    order = place_order(world.loyal, at=NOW - timedelta(days=100), amount=500)
    ReturnFactory(order=order, total_amount=200, returned_at=NOW - timedelta(days=50))
    known = dataset.currencies(as_of=NOW, default="CNY")

    early = dataset.order_rows(as_of=NOW - timedelta(days=60), known=known)
    late = dataset.order_rows(as_of=NOW, known=known)

    assert early.day.max() <= early.as_of_day
    assert 500.0 in early.amount
    assert 300.0 in late.amount
    assert 500.0 not in late.amount
    assert len(late) == 20
    assert list(late.customer) == sorted(late.customer)


def test_merged_anonymous_and_cancelled_stay_out() -> None:
    known = dataset.Currencies("CNY", {})
    kept = CustomerFactory()
    for customer, status in (
        (kept, "paid"),
        (kept, "cancelled"),
        (CustomerFactory(merged_into=kept), "paid"),
        (CustomerFactory(is_anonymous=True), "paid"),
        (None, "paid"),
    ):
        place_order(customer, at=NOW - timedelta(days=1), status=status)

    assert list(dataset.order_rows(as_of=NOW, known=known).customer) == [kept.pk]
    assert list(dataset.people(as_of=NOW, known=known, sentiment_version=0).customer) == [kept.pk]


def test_outcomes_of_a_period_are_counted_for_known_customers_only() -> None:
    ids = np.repeat(np.arange(40), 2)
    rows = dataset.OrderRows(ids, np.tile([0, 100], 40), np.tile([10.0, 30.0], 40), dataset.Currencies("CNY", {}), 120)
    known = dataset.OrderRows(np.arange(39), np.zeros(39, dtype=np.int64), np.full(39, 10.0), dataset.Currencies("CNY", {}), 90)

    split = outcomes(known, rows, days=30)

    assert (split.orders.sum(), split.spend.sum(), split.last_orders.sum()) == (39, 39 * 30, 0)
    assert holdout_days(np.array([0, 100]), 400) == 90
    assert holdout_days(np.array([0, 100]), 60) == 20
    with pytest.raises(TooFewOrders):
        holdout_days(np.array([0]), 10)
    with pytest.raises(TooFewOrders):
        outcomes(dataset.OrderRows(ids[:4:2], rows.day[:4:2], rows.amount[:4:2], rows.currencies, 90), rows, days=30)


# --- value and lifecycle --------------------------------------------------------------------------------------------


def test_value_beats_repeating_the_last_period_and_serves(shop: None) -> None:
    outcome = registry.run("value", as_of=NOW)

    assert outcome.state is Outcome.TRAINED, outcome.message
    version = outcome.version
    assert version is not None
    assert version.metrics["spearman_spend"] > version.baseline["spearman_spend"] + 0.03
    assert version.metrics["mae_orders"] < version.baseline["mae_orders"]
    assert 0.7 < version.metrics["total_orders_ratio"] < 1.4
    assert version.report["figures"][0]["low"] < version.metrics["spearman_spend"] < version.report["figures"][0]["high"]
    assert Portrait.objects.filter(versions__value=1).count() == CUSTOMERS
    assert Portrait.objects.filter(p_active__gte=0, p_active__lte=1).count() == CUSTOMERS


def test_lifecycle_beats_recency_and_names_stages_in_order(shop: None) -> None:
    outcome = registry.run("lifecycle", as_of=NOW)

    assert outcome.state is Outcome.TRAINED, outcome.message
    version = outcome.version
    assert version is not None
    assert version.metrics["auroc"] > version.baseline["auroc"]
    rates = {row[0]: row[2] for row in version.report["tables"][0]["rows"]}
    assert rates["loyal"] > rates["at_risk"] > rates["lapsed"]
    assert Portrait.objects.values("stage").distinct().count() >= 4


def test_unchanged_data_skip_and_force_does_not(shop: None) -> None:
    registry.run("lifecycle", as_of=NOW)

    again = registry.run("lifecycle", as_of=NOW)
    forced = registry.run("lifecycle", as_of=NOW, force=True)

    assert again.state is Outcome.SKIPPED
    assert forced.state is Outcome.TRAINED  # as good as itself on the same rows
    assert ModelVersion.objects.filter(task="lifecycle").count() == 2
    assert ModelVersion.objects.get(task="lifecycle", state=ModelState.CHAMPION).version == 2


def test_two_runs_on_the_same_facts_give_the_same_model(shop: None) -> None:
    first, second = (registry.run("value", as_of=NOW, force=True).version for _round in range(2))

    assert first is not None
    assert second is not None
    assert first.files == second.files
    assert first.metrics == second.metrics


def test_as_of_hides_the_future_from_training(shop: None) -> None:
    early = registry.run("value", as_of=NOW - timedelta(days=100)).version
    Order.objects.filter(placed_at__gt=NOW - timedelta(days=100)).delete()
    same = registry.run("value", as_of=NOW - timedelta(days=100), force=True).version

    assert early is not None
    assert same is not None
    assert early.data_hash == same.data_hash


def test_a_worse_model_is_kept_back(shop: None, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.run("value", as_of=NOW)
    monkeypatch.setattr(training_value, "_champion", lambda _split: 0.999)

    outcome = registry.run("value", as_of=NOW, force=True)

    assert outcome.state is Outcome.KEPT
    assert ModelVersion.objects.get(task="value", state=ModelState.CHAMPION).version == 1


def test_a_young_shop_gets_a_reason_and_keeps_its_baseline() -> None:
    build()

    outcome = registry.run("value", as_of=NOW)
    report = portrait.refresh(as_of=NOW)

    assert outcome.state is Outcome.FAILED
    assert "30 are needed" in outcome.message
    assert report.versions["value"] == 0


def test_training_takes_a_fixed_number_of_statements(shop: None, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(72):
        registry.run("value", as_of=NOW)


# --- sentiment ------------------------------------------------------------------------------------------------------


def test_sentiment_reads_both_languages_and_fills_the_reviews(reviews: None) -> None:
    outcome = registry.run("sentiment", as_of=NOW)

    assert outcome.state is Outcome.TRAINED, outcome.message
    version = outcome.version
    assert version is not None
    assert version.metrics["macro_f1"] > version.baseline["macro_f1"] + 0.3
    assert not Review.objects.exclude(sentiment_version=1).exists()
    with connection.cursor() as cursor:
        cursor.execute("SELECT avg(sentiment) FILTER (WHERE rating >= 4), avg(sentiment) FILTER (WHERE rating <= 2) FROM customers_review")
        good, bad = cursor.fetchone()
    assert good > 0.5
    assert bad < -0.5
    written = Review.objects.filter(customer__isnull=False).first()
    assert written is not None
    assert Portrait.objects.get(customer=written.customer_id).versions["sentiment"] == 1


def test_reviews_are_read_once_per_version(reviews: None) -> None:
    registry.run("sentiment", as_of=NOW)

    assert portrait.refresh(as_of=NOW).reviews_scored == 0
    Review.objects.filter(external_id="V3").update(sentiment=None, sentiment_version=None)
    assert portrait.refresh(as_of=NOW).reviews_scored == 1


def test_new_sentiment_is_judged_on_reviews_neither_has_seen(reviews: None) -> None:
    early = NOW - timedelta(days=150)
    registry.run("sentiment", as_of=early + timedelta(days=20))

    outcome = registry.run("sentiment", as_of=NOW)

    assert outcome.state in {Outcome.TRAINED, Outcome.KEPT}
    assert "on the same rows" in outcome.message


def test_too_few_reviews_are_told_apart_from_a_fault() -> None:
    outcome = registry.run("sentiment", as_of=NOW)

    assert outcome.state is Outcome.FAILED
    assert "20 of each are needed" in outcome.message
