"""Feedback is stored once, credited to orders, and follows a merge."""

from datetime import timedelta

import pytest

from crm.core.errors import NotFound
from crm.core.events import deliver
from customers.events import CustomersMerged, OrderRecorded
from recommendations import feedback
from recommendations.models import FeedbackKind, RecommendationFeedback
from tests import world
from tests.factories import place_order


@pytest.fixture
def shop(db):
    return world.build()


def record(shop, kind, *, days_ago=1, product=None, **values):
    return feedback.record(
        customer_id=shop.loyal.pk,
        product_id=(product or shop.teapot).pk,
        kind=kind,
        origin=values.pop("origin", "shop"),
        at=shop.now - timedelta(days=days_ago),
        **values,
    )


def test_a_repeat_with_the_same_id_is_stored_once(shop):
    assert record(shop, "clicked", external_id="e1", model_version=3) is True
    assert record(shop, "clicked", external_id="e1", days_ago=0) is False
    assert record(shop, "shown", external_id="e1") is True

    row = RecommendationFeedback.objects.get(kind="clicked")
    assert (row.at, row.origin, row.model_version) == (shop.now - timedelta(days=1), "shop", 3)


def test_without_an_id_moment_and_place_tell_reactions_apart(shop):
    assert [record(shop, "clicked"), record(shop, "clicked"), record(shop, "clicked", days_ago=2), record(shop, "clicked", origin="campaign:7")] == [
        True,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize("wrong", [{"kind": "liked"}, {"kind": ""}])
def test_unknown_kinds_are_refused(shop, wrong):
    with pytest.raises(feedback.UnknownKind):
        feedback.record(customer_id=shop.loyal.pk, product_id=shop.teapot.pk, origin="shop", at=shop.now, **wrong)

    assert not RecommendationFeedback.objects.exists()


@pytest.mark.parametrize(("customer", "product"), [(10**9, None), (None, 10**9)])
def test_unknown_customers_and_products_are_refused(shop, customer, product):
    with pytest.raises(NotFound):
        feedback.record(customer_id=customer or shop.loyal.pk, product_id=product or shop.teapot.pk, kind="clicked", origin="shop", at=shop.now)

    assert not RecommendationFeedback.objects.exists()


def test_an_order_credits_the_latest_click_rather_than_a_showing(shop):
    record(shop, "clicked", days_ago=5, origin="campaign:1", model_version=2)
    record(shop, "clicked", days_ago=3, origin="campaign:2", model_version=4)
    record(shop, "shown", days_ago=1, origin="shop", model_version=5)
    order = place_order(shop.loyal, at=shop.now, product=shop.teapot)

    assert feedback.mark_bought(order_id=order.pk) == 1
    assert feedback.mark_bought(order_id=order.pk) == 0

    bought = RecommendationFeedback.objects.get(kind=FeedbackKind.BOUGHT)
    assert (bought.product, bought.origin, bought.model_version, bought.at, bought.external_id) == (shop.teapot, "campaign:2", 4, shop.now, f"order:{order.pk}")


def test_only_touches_of_this_customer_and_product_in_the_window_count(shop, settings):
    record(shop, "shown", days_ago=settings.CRM_RECOMMEND_CREDIT_DAYS + 1)
    record(shop, "shown", product=shop.green_tea)
    record(shop, "dismissed")
    feedback.record(customer_id=shop.lapsing.pk, product_id=shop.teapot.pk, kind="clicked", origin="shop", at=shop.now)
    feedback.record(customer_id=shop.loyal.pk, product_id=shop.teapot.pk, kind="clicked", origin="shop", at=shop.now + timedelta(minutes=1))
    order = place_order(shop.loyal, at=shop.now, product=shop.teapot)

    assert feedback.mark_bought(order_id=order.pk) == 0
    assert feedback.mark_bought(order_id=10**9) == 0


def test_a_recorded_order_is_credited_by_its_event(shop):
    record(shop, "shown")
    order = place_order(shop.loyal, at=shop.now, product=shop.teapot)

    deliver(OrderRecorded(order_id=order.pk, customer_id=shop.loyal.pk, at=shop.now, cause="track"))

    assert RecommendationFeedback.objects.filter(kind="bought", customer=shop.loyal).count() == 1


def test_a_merge_takes_the_feedback_along_once(shop):
    record(shop, "clicked", external_id="both")
    feedback.record(customer_id=shop.brand_new.pk, product_id=shop.teapot.pk, kind="clicked", origin="shop", at=shop.now, external_id="both")
    feedback.record(customer_id=shop.brand_new.pk, product_id=shop.green_tea.pk, kind="dismissed", origin="staff", at=shop.now, external_id="staff")

    deliver(CustomersMerged(gone_id=shop.brand_new.pk, kept_id=shop.loyal.pk, at=shop.now, cause="staff"))

    assert not RecommendationFeedback.objects.filter(customer=shop.brand_new).exists()
    assert sorted(RecommendationFeedback.objects.filter(customer=shop.loyal).values_list("kind", flat=True)) == ["clicked", "dismissed"]


def test_counts_are_of_a_half_open_period(shop):
    record(shop, "shown", days_ago=2)
    record(shop, "shown", days_ago=1, product=shop.green_tea)
    record(shop, "clicked", days_ago=1)
    record(shop, "shown", days_ago=0)

    counted = feedback.counts(since=shop.now - timedelta(days=2), until=shop.now)

    assert (counted.shown, counted.clicked, counted.bought, counted.dismissed) == (2, 1, 0, 0)
    assert counted.click_rate == 0.5
    assert feedback.counts(since=shop.now + timedelta(days=1), until=shop.now + timedelta(days=2)).click_rate is None


def test_a_whole_list_shown_is_one_statement(shop, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert (
            feedback.record_shown(customer_id=shop.loyal.pk, product_ids=[shop.teapot.pk, shop.green_tea.pk], origin="shop", at=shop.now, external_id="view-1")
            == 2
        )

    assert (
        feedback.record_shown(customer_id=shop.loyal.pk, product_ids=[shop.teapot.pk, shop.green_tea.pk], origin="shop", at=shop.now, external_id="view-1") == 0
    )
