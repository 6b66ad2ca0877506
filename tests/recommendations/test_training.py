"""The training run: what it reads, how it judges, when it promotes, what it leaves behind."""

from datetime import timedelta

import numpy as np
import pytest

from crm.core.learning import modelstore, registry
from crm.core.learning.registry import Outcome
from crm.core.learning.reports import ModelReport
from crm.core.models import ModelVersion
from customers.models import Order, Product
from recommendations.ml import dataset, holdout, training
from recommendations.models import CustomerRecommendation, FeedbackKind, ListState, ProductRecommendation, RecommendationFeedback


def test_two_tastes_are_found_and_served(shop):
    outcome = registry.run("recommendations", as_of=shop.now)

    assert outcome.state == Outcome.TRAINED
    metrics, baseline = outcome.version.metrics, outcome.version.baseline
    assert metrics["ndcg_10"] > baseline["ndcg_10"]
    assert metrics["hit_rate_10"] > baseline["hit_rate_10"]
    first_taste = {product.pk for product in shop.products[:20]}
    listed = CustomerRecommendation.objects.filter(customer=shop.customers[0], rank__lte=10).values_list("product_id", flat=True)
    assert len(first_taste & set(listed)) >= 9
    beside = ProductRecommendation.objects.filter(product=shop.products[3], rank__lte=5).values_list("other_id", flat=True)
    assert set(beside) <= first_taste
    state = ListState.objects.get()
    assert (state.model_version, state.fallback, state.customers) == (1, "", len(shop.customers))


def test_report_holds_figures_with_intervals_beside_the_baseline(shop):
    version = registry.run("recommendations", as_of=shop.now).version

    report = ModelReport.from_dict(version.report)
    hits = report.figures[0]
    assert (report.baseline, hits.name) == ("popularity", "hit_rate_10")
    assert hits.low < hits.value < hits.high
    assert hits.baseline == pytest.approx(version.baseline["hit_rate_10"])
    assert {table.name for table in report.tables} == {"by_history", "candidates", "rows_read"}
    assert sum(row[-1] for row in next(table for table in report.tables if table.name == "candidates").rows) == 1


def test_unchanged_data_skips_and_force_trains_again(shop):
    registry.run("recommendations", as_of=shop.now)

    again = registry.run("recommendations", as_of=shop.now + timedelta(minutes=5))
    forced = registry.run("recommendations", as_of=shop.now, force=True)

    assert again.state == Outcome.SKIPPED
    assert forced.state == Outcome.TRAINED
    assert list(ModelVersion.objects.filter(task="recommendations").order_by("version").values_list("state", flat=True)) == ["retired", "champion"]


def test_the_same_data_give_the_same_model(shop):
    first = registry.run("recommendations", as_of=shop.now).version
    second = registry.run("recommendations", as_of=shop.now, force=True).version

    assert first.metrics == second.metrics
    assert first.files["model.safetensors"] == second.files["model.safetensors"]


def test_too_few_orders_are_refused_with_what_is_missing(shop):
    Order.objects.filter(customer__in=shop.customers[20:]).update(customer=None)

    outcome = registry.run("recommendations", as_of=shop.now)

    assert outcome.state == Outcome.FAILED
    assert "200" in outcome.message
    assert "80" in outcome.message
    assert not CustomerRecommendation.objects.exists()


def test_a_challenger_worse_than_the_champion_stays_a_candidate(shop, monkeypatch):
    registry.run("recommendations", as_of=shop.now)
    before = CustomerRecommendation.objects.values_list("computed_at", flat=True).first()
    # Everything is forgotten but what is popular: it cannot beat the champion's recipe on the same orders.
    worse = training.Recipe(transition_weight=0.0, fade=1.0, shrinkage=1e9, popularity=1000.0)
    monkeypatch.setattr(training, "RECIPES", (worse,))

    outcome = registry.run("recommendations", as_of=shop.now + timedelta(days=1))

    assert outcome.state == Outcome.KEPT
    assert modelstore.champion("recommendations").version == 1
    assert CustomerRecommendation.objects.values_list("computed_at", flat=True).first() == before


def test_nothing_later_than_as_of_enters(shop):
    as_of = shop.now - timedelta(days=150)
    RecommendationFeedback.objects.create(
        customer=shop.customers[0], product=shop.products[0], kind=FeedbackKind.CLICKED, origin="shop", at=as_of + timedelta(days=1), external_id="x"
    )

    rows = dataset.read(as_of=as_of)

    assert rows.day.max() <= dataset.day_number(as_of)
    assert len(rows.customer) == Order.objects.filter(placed_at__lte=as_of).values("lines").count()
    assert len(rows.clicked_customer) == 0


def test_cancelled_orders_and_postage_are_no_signs_of_taste(shop):
    total = len(dataset.read(as_of=shop.now).customer)
    cancelled = Order.objects.filter(customer=shop.customers[0]).first()
    Order.objects.filter(pk=cancelled.pk).update(status="cancelled")
    gone = cancelled.lines.count()
    Product.objects.filter(pk=shop.products[7].pk).update(is_goods=False)
    postage = shop.products[7].order_lines.exclude(order=cancelled).filter(order__customer__isnull=False).count()

    assert len(dataset.read(as_of=shop.now).customer) == total - gone - postage


@pytest.mark.parametrize("customers", [3, 30])
def test_reading_runs_one_query_per_kind_however_many_customers(shop, customers, django_assert_num_queries):
    with django_assert_num_queries(3):
        rows = dataset.read(as_of=shop.now, customer_ids=[person.pk for person in shop.customers[:customers]])

    assert len(np.unique(rows.customer)) == customers


def test_held_out_orders_are_later_than_everything_learnt(shop):
    rows = dataset.read(as_of=shop.now)
    cut = holdout.cut_day(rows)

    wanted = holdout.next_orders(rows, day=cut, rebuy_days=30)

    assert rows.before(cut).day.max() < cut
    assert len(wanted.baskets) > 30
    for customer, basket, history in zip(wanted.customers, wanted.baskets, wanted.histories, strict=True):
        own = rows.customer == customer
        first_after = rows.order[own & (rows.day >= cut)][0]
        assert set(basket) <= set(rows.product[rows.order == first_after].tolist())
        assert set(history) == set(rows.product[own & (rows.day < cut)].tolist())


def test_refused_products_weigh_less(shop):
    before = training.fit(training.RECIPES[0], dataset.read(as_of=shop.now))
    for n in range(10):
        RecommendationFeedback.objects.create(
            customer=shop.customers[n], product=shop.products[4], kind=FeedbackKind.DISMISSED, origin="staff", at=shop.now, external_id="staff"
        )

    after = training.fit(training.RECIPES[0], dataset.read(as_of=shop.now))

    refused = int(np.searchsorted(after.product_ids_, shop.products[4].pk))
    assert after.approval_[refused] == pytest.approx(5 / 15)
    assert np.all(np.delete(after.approval_, refused) == 1)
    assert after.scores([[0]])[0, refused] < before.scores([[0]])[0, refused]
