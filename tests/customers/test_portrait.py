"""Portraits on the tiny named world: exact scores from facts, honest baselines, reasons that add up."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.utils import translation

from crm.core import events
from crm.core.learning import modelstore
from customers import portrait
from customers.events import ScoresRefreshed
from customers.ml.lifecycle import Lifecycle
from customers.ml.value import EmpiricalRate, ShrunkenMean, ValueModel
from customers.models import Customer, Portrait, Review
from customers.portrait import serving
from customers.portrait_words import likelihood, mood, words
from tests.factories import CustomerFactory, ReturnFactory, ReviewFactory, place_order
from tests.world import NOW, World, build

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_models(settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.CRM_MODEL_DIR = tmp_path
    modelstore.forget()
    yield
    modelstore.forget()


@pytest.fixture
def world() -> World:
    return build()


def of(customer: Customer) -> Portrait:
    return Portrait.objects.get(customer=customer)


def save_model(task: str, config: dict[str, Any]) -> None:
    version = modelstore.save(
        task=task, algorithm="test", tensors={}, config=config, metrics={}, baseline={}, report={}, data_hash="0", rows=0, as_of=NOW, trained_at=NOW, seconds=0
    )
    modelstore.promote(version.pk, actor=None, at=NOW)


def test_without_models_the_stated_baselines_serve(world: World) -> None:
    report = portrait.refresh(as_of=NOW)

    loyal, lapsing, brand_new = of(world.loyal), of(world.lapsing), of(world.brand_new)
    assert (report.customers, report.buyers) == (3, 3)
    assert report.versions == dict.fromkeys(serving.TASKS, 0)
    assert len(report.notes) == len(serving.TASKS)
    # Three orders in the last 90 days (days 10, 40, 70), twelve in the last 365 at 160 each.
    assert (loyal.expected_orders_90, loyal.value_365) == (3, Decimal("1920.00"))
    assert (lapsing.expected_orders_90, lapsing.value_365) == (0, Decimal("480.00"))
    assert (brand_new.expected_orders_90, brand_new.value_365) == (1, Decimal("300.00"))
    assert loyal.p_active is None
    assert (loyal.stage, lapsing.stage, brand_new.stage) == ("loyal", "lapsed", "new")
    assert (loyal.currency, loyal.as_of) == ("CNY", NOW)


def test_rfm_scores_are_shares_of_the_shop(world: World) -> None:
    portrait.refresh(as_of=NOW)

    scores = {
        row.customer.name: (row.recency_score, row.frequency_score, row.monetary_score, row.rfm_group) for row in Portrait.objects.select_related("customer")
    }
    # Of three buyers, none, a third and two thirds lie below: scores 1, 2 and 4.
    assert scores == {
        "Lin Loyal": (2, 4, 4, "at_risk"),
        "王旧友": (1, 2, 2, "lost"),
        "Nora New": (4, 1, 1, "promising"),
    }


def test_customer_without_orders_is_a_prospect(world: World) -> None:
    somebody = CustomerFactory()

    portrait.refresh(as_of=NOW)

    row = of(somebody)
    assert (row.stage, row.rfm_group, row.recency_score, row.p_active, row.value_365) == ("prospect", "", None, None, None)
    assert [reason.text for reason in words(row).stage] == ["No order yet"]


def test_nothing_later_than_as_of_enters(world: World) -> None:
    before = NOW - timedelta(days=300)

    portrait.refresh(as_of=before)

    loyal = of(world.loyal)
    assert loyal.reasons["value"][1]["data"]["orders"] == 2  # days 310 and 340 before NOW
    assert of(world.brand_new).stage == "prospect"
    assert of(world.lapsing).reasons["value"][1]["data"]["orders"] == 2


def test_returns_and_cancelled_orders_lower_the_value(world: World) -> None:
    order = place_order(world.brand_new, at=NOW - timedelta(days=5), amount=100)
    ReturnFactory(order=order, total_amount=Decimal("100.00"))
    place_order(world.brand_new, at=NOW - timedelta(days=4), amount=999, status="cancelled")

    portrait.refresh(as_of=NOW)

    assert of(world.brand_new).value_365 == Decimal("300.00")  # two order days, 150 each


def test_promoted_models_serve_and_leave_their_version(world: World) -> None:
    brand_new_gap = round(float(np.exp(Lifecycle().fit([], []).log_gap_)))
    rate = EmpiricalRate()
    rate.r_, rate.alpha_, rate.log_likelihood_, rate.customers_ = 1.0, 10.0, 0.0, 3
    spend = ShrunkenMean()
    spend.mean_, spend.k_, spend.customers_ = 200.0, 2.0, 3
    save_model("value", {"model": ValueModel(rate, spend).to_config()})
    save_model("lifecycle", {"model": Lifecycle().fit([1] * 24 + [2] * 24, [7 * n for n in range(24)] * 2).to_config()})

    report = portrait.refresh(as_of=NOW)

    row = of(world.brand_new)
    assert report.versions == dict.fromkeys(serving.TASKS, 0) | {"value": 1, "lifecycle": 1}
    assert row.versions == report.versions
    # (r + x) / (alpha + T) per week with r=1, x=0, alpha=10, T=1 week.
    assert row.expected_orders_90 == pytest.approx((1 / 11) * 90 / 7, rel=1e-4)
    # One order of 300, shop mean 200 with weight 2: (300 + 400) / 3 per order.
    assert float(row.value_365) == pytest.approx((1 / 11) * 365 / 7 * 700 / 3, abs=0.01)
    assert row.p_active == pytest.approx(10 / 11, rel=1e-4)
    # The shop's rhythm is now a week, against the general shop's two months.
    assert brand_new_gap == 60
    assert row.stage == "new"
    assert of(world.lapsing).reasons["stage"][0]["data"]["expected_gap_days"] < 30


def test_value_reasons_add_up_to_the_value(world: World) -> None:
    portrait.refresh(as_of=NOW)

    for row in Portrait.objects.all():
        effects = [reason.effect for reason in words(row).value]
        assert sum(effects) == pytest.approx(float(row.value_365), abs=0.05)
        assert effects[0] > 0


def test_damaged_model_is_noted_and_the_baseline_serves(world: World, settings: Any) -> None:
    save_model("lifecycle", {"model": Lifecycle().fit([], []).to_config()})
    (Path(settings.CRM_MODEL_DIR) / "lifecycle" / "1" / "config.json").write_text("{}")
    modelstore.forget()

    report = portrait.refresh(as_of=NOW)

    assert report.versions["lifecycle"] == 0
    assert any("not the file that was saved" in note for note in report.notes)
    assert of(world.loyal).stage == "loyal"


def test_reviews_count_by_their_stars_without_a_model(world: World) -> None:
    ReviewFactory(customer=world.loyal, rating=5)
    ReviewFactory(customer=world.loyal, rating=2)
    ReviewFactory(customer=world.loyal, rating=1, written_at=NOW + timedelta(days=1))

    portrait.refresh(as_of=NOW)

    row = of(world.loyal)
    assert (row.sentiment, row.reviews_count) == (0.25, 2)
    assert of(world.lapsing).sentiment is None
    assert not Review.objects.exclude(sentiment=None).exists()


def test_only_named_customers_are_written_but_scores_stay_the_shops(world: World) -> None:
    report = portrait.refresh(as_of=NOW, customer_ids=[world.brand_new.pk, 987654321])

    assert report.customers == 1
    assert (of(world.brand_new).recency_score, Portrait.objects.count()) == (4, 1)


def test_merged_customers_lose_their_portrait_and_a_refresh_is_repeatable(world: World) -> None:
    portrait.refresh(as_of=NOW)
    Customer.objects.filter(pk=world.lapsing.pk).update(merged_into=world.loyal)

    portrait.refresh(as_of=NOW + timedelta(days=1))

    assert set(Portrait.objects.values_list("customer_id", flat=True)) == {world.loyal.pk, world.brand_new.pk}
    assert of(world.loyal).as_of == NOW + timedelta(days=1)


def test_refresh_uses_a_fixed_number_of_statements(world: World, django_assert_max_num_queries: Any) -> None:
    for _index in range(30):
        place_order(CustomerFactory(), at=NOW - timedelta(days=20))

    with django_assert_max_num_queries(48):
        portrait.refresh(as_of=NOW)


def test_refresh_of_an_empty_shop_says_nothing_was_done() -> None:
    report = portrait.refresh(as_of=NOW)

    assert (report.customers, report.buyers) == (0, 0)


def test_refresh_tells_the_others_after_commit(world: World, django_capture_on_commit_callbacks: Any) -> None:
    heard: list[ScoresRefreshed] = []
    events.listen(ScoresRefreshed, heard.append)

    with django_capture_on_commit_callbacks(execute=True):
        portrait.refresh(as_of=NOW, cause="test")

    assert heard == [ScoresRefreshed(as_of=NOW, customers=3, cause="test")]


def test_progress_is_reported_and_stopping_writes_nothing(world: World) -> None:
    seen: list[tuple[int, int]] = []
    portrait.refresh(as_of=NOW, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(3, 3)]

    def stop(_done: int, _total: int) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        portrait.refresh(as_of=NOW + timedelta(days=50), on_progress=stop)
    assert of(world.loyal).as_of == NOW


def test_foreign_currency_is_measured_against_its_own_orders(world: World) -> None:
    tokyo = CustomerFactory(currency="JPY")
    for day in (5, 40):
        place_order(tokyo, at=NOW - timedelta(days=day), amount=3200, currency="JPY")

    portrait.refresh(as_of=NOW)

    row = of(tokyo)
    assert (row.currency, row.value_365) == ("JPY", Decimal("6400.00"))
    # Typical for the shop in yen: its mean spend per order relative to the median order, in units of a median yen order.
    assert row.reasons["value"][3]["data"]["amount"] == 3200


def test_reasons_are_sentences_in_the_readers_words(world: World) -> None:
    portrait.refresh(as_of=NOW)

    lapsing = words(of(world.lapsing))
    assert lapsing.stage[0].text.startswith("Silent for 200 days; usually orders again after about ")
    assert lapsing.value[2].text == "Silent for 200 days"
    assert (likelihood(0.62), likelihood(0.05), mood(0.8), mood(-0.9), mood(0)) == ("likely", "very unlikely", "positive", "negative", "mixed")
    with translation.override("zh-hans"):
        assert "¥" in words(of(world.loyal)).value[3].text
