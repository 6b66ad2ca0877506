"""Features of the named world, checked one by one against what was put in; nothing later, nobody who refused."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from crm.core import registries
from customers import features, models
from customers.models import Customer, PortraitFeatures
from tests.factories import ActivityFactory, CategoryFactory, ConsentFactory, CustomerFactory, ProductFactory, ReturnFactory, ReviewFactory, place_order
from tests.world import NOW, World, build

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    return build()


def of(customer: Customer, as_of: datetime = NOW) -> dict[str, float]:
    table = features.build(as_of=as_of)
    place = int(np.flatnonzero(table.customer == customer.pk)[0])
    return {name: float(value) for name, value in zip(table.names, table.values[place], strict=True)}


def test_orders_are_counted_timed_and_summed(world: World) -> None:
    loyal, lapsing = of(world.loyal), of(world.lapsing)

    assert (loyal["orders"], loyal["orders_30"], loyal["orders_90"], loyal["orders_365"]) == (12, 1, 3, 12)
    assert (loyal["silence_days"], loyal["age_days"], loyal["spend_total"], loyal["mean_amount"]) == (10, 340, 1920, 160)
    assert loyal["mean_gap_days"] == pytest.approx(30)
    assert loyal["gap_spread"] == pytest.approx(0, abs=1e-6)
    assert lapsing["overdue"] == pytest.approx(200 / 30, rel=1e-5)
    assert (lapsing["orders_180"], lapsing["spend_90"], lapsing["spend_365"]) == (0, 0, 480)


def test_single_orders_have_no_rhythm_and_strangers_no_orders(world: World) -> None:
    nora, stranger = of(world.brand_new), of(CustomerFactory())

    assert nora["orders"] == 1
    assert np.isnan([nora["mean_gap_days"], nora["gap_spread"], nora["overdue"]]).all()
    assert stranger["orders"] == 0
    assert np.isnan([stranger["silence_days"], stranger["mean_amount"], stranger["discount_share"], stranger["seen_days"]]).all()


def test_discounts_coupons_hours_and_weekdays(world: World) -> None:
    customer = CustomerFactory(source=world.source)
    # Saturday 13 June 2026, 20:00 in Shanghai, and Monday 8 June, 02:00.
    place_order(customer, at=datetime(2026, 6, 13, 12, 0, tzinfo=UTC), amount=75, discount_amount=25, coupon="SUMMER")
    place_order(customer, at=datetime(2026, 6, 7, 18, 0, tzinfo=UTC), amount=100)

    found = of(customer)

    assert found["discount_share"] == pytest.approx(25 / 200)
    assert [found[name] for name in ("discounted_orders", "coupon_orders", "weekend_orders", "evening_orders", "night_orders")] == [0.5] * 5
    assert found["amount_trend"] == pytest.approx(75 / 87.5)


def test_goods_tell_categories_repeats_and_price_level(world: World) -> None:
    cups = CategoryFactory(slug="cups")
    cheap, middle, dear = (ProductFactory(source=world.source, category=cups, price_amount=price) for price in (10, 20, 30))
    customer = CustomerFactory(source=world.source)
    for product, days in ((dear, 1), (dear, 2), (middle, 3), (world.green_tea, 4)):
        place_order(customer, at=NOW - timedelta(days=days), amount=30, product=product)

    found = of(customer)

    assert cheap.pk
    assert (found["items"], found["products"], found["categories"]) == (4, 3, 2)
    assert found["top_category_share"] == pytest.approx(0.75)
    assert found["repeat_products"] == pytest.approx(1 / 3)
    # Tea has two products, too few to rank; of the cups two are the dearest (1) and one the middle (0.5).
    assert found["price_level"] == pytest.approx(2.5 / 3)


def test_browsing_counts_windows_and_days(world: World) -> None:
    customer = CustomerFactory(source=world.source)
    for days, name, product in (
        (2, "Product Viewed", world.teapot),
        (2, "Product Added", world.teapot),
        (20, "Product Viewed", None),
        (70, "Products Searched", None),
    ):
        ActivityFactory(customer=customer, occurred_at=NOW - timedelta(days=days), name=name, product=product)
    ActivityFactory(customer=customer, occurred_at=NOW - timedelta(days=400))
    ActivityFactory(customer=customer, occurred_at=NOW + timedelta(days=1))

    found = of(customer)

    assert [found[name] for name in ("events_30", "events_90", "views_7", "views_30", "baskets_30", "searches_90", "viewed_categories")] == [
        3,
        4,
        1,
        2,
        1,
        1,
        1,
    ]
    assert (found["active_days_30"], found["active_days_60"], found["seen_days"], found["view_days"]) == (2, 2, 2, 2)


def test_returns_reviews_and_consent(world: World) -> None:
    order = place_order(world.brand_new, at=NOW - timedelta(days=5), amount=100)
    ReturnFactory(order=order, total_amount=Decimal("40.00"), returned_at=NOW - timedelta(days=1))
    ReviewFactory(customer=world.brand_new, rating=2, written_at=NOW - timedelta(days=3))
    ReviewFactory(customer=world.brand_new, rating=5, written_at=NOW - timedelta(days=9))

    found = of(world.brand_new)

    assert (found["spend_total"], found["returns"], found["return_rate"], found["return_days"]) == (360, 1, 0.5, 1)
    assert found["returned_share"] == pytest.approx(0.1)
    assert (found["reviews"], found["stars"], found["last_stars"], found["bad_reviews"], found["mood"]) == (2, 3.5, 2, 1, 0.25)
    assert (found["mail_allowed"], of(world.lapsing)["mail_allowed"]) == (1, 0)


def test_nothing_later_than_as_of_enters(world: World) -> None:
    order = place_order(world.brand_new, at=NOW - timedelta(days=5), amount=100)
    ReturnFactory(order=order, returned_at=NOW - timedelta(days=1))
    ReviewFactory(customer=world.loyal, written_at=NOW - timedelta(days=1))
    ActivityFactory(customer=world.loyal, occurred_at=NOW - timedelta(days=1))
    ConsentFactory(customer=world.loyal, state="withdrawn", recorded_at=NOW - timedelta(days=1))
    before = NOW - timedelta(days=2)
    then = features.build(as_of=before)

    models.Return.objects.filter(returned_at__gt=before).delete()
    models.Review.objects.filter(written_at__gt=before).delete()
    models.Activity.objects.filter(occurred_at__gt=before).delete()
    models.ConsentEntry.objects.filter(recorded_at__gt=before).delete()
    models.Order.objects.filter(placed_at__gt=before).delete()

    np.testing.assert_array_equal(then.values, features.build(as_of=before).values)


def test_who_refused_merged_or_nameless_is_left_out(world: World) -> None:
    CustomerFactory(profiling_refused=True)
    CustomerFactory(is_anonymous=True)
    CustomerFactory(merged_into=world.loyal)

    assert set(features.build(as_of=NOW).customer) == {world.loyal.pk, world.lapsing.pk, world.brand_new.pk}


def test_ranges_and_samples_are_parts_of_the_whole(world: World) -> None:
    for _index in range(60):
        place_order(CustomerFactory(source=world.source), at=NOW - timedelta(days=20))
    whole = features.build(as_of=NOW)
    middle = int(whole.customer[30])

    low, high = features.build(as_of=NOW, customer_range=(0, middle)), features.build(as_of=NOW, customer_range=(middle, 2**62))
    half = features.build(as_of=NOW, sample=0.5)

    np.testing.assert_array_equal(np.concatenate([low.values, high.values]), whole.values)
    assert 10 < len(half) < 53
    np.testing.assert_array_equal(half.values, whole.only(np.isin(whole.customer, half.customer)).values)


def test_sensitive_traits_enter_only_when_allowed(world: World, settings: Any) -> None:
    Customer.objects.filter(pk=world.loyal.pk).update(gender="女", birth_date="1990-01-01")

    assert {feature.name for feature in features.catalogue() if feature.sensitive} == set()
    settings.CRM_SENSITIVE_TRAITS = True

    found = of(world.loyal)
    assert (found["age"], found["is_female"]) == (36, 1)


def test_currencies_are_measured_against_their_own_orders(world: World) -> None:
    tokyo = CustomerFactory(currency="JPY")
    for day in (5, 40):
        place_order(tokyo, at=NOW - timedelta(days=day), amount=3200, currency="JPY")

    # The typical order: 160 in yuan, 3200 in yen.
    assert of(tokyo)["spend_total"] == pytest.approx(320)


def test_bad_facts_give_no_infinity_and_no_error(world: World) -> None:
    odd = CustomerFactory(source=world.source, birth_date="0001-01-01", first_seen_at=NOW - timedelta(days=9))
    place_order(odd, at=NOW, amount=0)
    place_order(odd, at=NOW, amount=0)
    place_order(odd, at=datetime(1971, 1, 1, tzinfo=UTC), amount=Decimal("9999999999.99"))
    place_order(odd, at=NOW + timedelta(days=3650), amount=5)

    table = features.build(as_of=NOW)

    assert not np.isinf(table.values).any()
    assert of(odd)["orders"] == 3


def test_empty_shop_gives_an_empty_table() -> None:
    table = features.build(as_of=NOW)

    assert table.values.shape == (0, len(table.names))


def test_other_apps_features_are_there_and_missing_ones_are_columns_of_nan(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    table = features.build(as_of=NOW)
    assert {"chats_90", "clicks_90"} <= set(table.names)
    monkeypatch.setattr(registries, "feature_sources", {})

    wider = table.having(("orders", "no_such_number"))

    assert np.isnan(wider.column("no_such_number")).all()
    np.testing.assert_array_equal(wider.column("orders"), table.column("orders"))


def test_names_are_unique_and_every_feature_says_what_it_is() -> None:
    found = features.catalogue()

    assert len({feature.name for feature in found}) == len(found)
    assert all(str(feature.label) and feature.unit in {"count", "days", "share", "money", "rate", "flag"} for feature in found)


def test_kept_features_read_back_without_the_missing_ones(world: World) -> None:
    table = features.build(as_of=NOW)
    nora = int(np.flatnonzero(table.customer == world.brand_new.pk)[0])
    PortraitFeatures.objects.create(customer=world.brand_new, recipe=features.recipe_of(table.names), values=features.pack(table)[nora], as_of=NOW)

    back = features.stored(customer_id=world.brand_new.pk)

    assert back is not None
    assert back["spend_total"] == 300
    assert "mean_gap_days" not in back
    PortraitFeatures.objects.update(recipe="older")
    assert features.stored(customer_id=world.brand_new.pk) is None
    assert features.stored(customer_id=world.loyal.pk) is None


def test_a_build_asks_a_fixed_number_of_questions(world: World, django_assert_max_num_queries: Any) -> None:
    for _index in range(20):
        place_order(CustomerFactory(source=world.source), at=NOW - timedelta(days=20))

    with django_assert_max_num_queries(12):
        features.build(as_of=NOW)
