"""Serving: what is left out, what comes first, what happens without a model."""

from datetime import timedelta

import pytest

from crm.core.errors import NotFound
from crm.core.learning import modelstore, registry
from crm.core.models import ModelVersion
from customers.events import ConsentWithdrawn
from customers.models import Customer, Order, OrderLine, Product
from customers.portrayal import profiling
from recommendations import feedback, listeners, lists, ranking, rules
from recommendations.models import CustomerRecommendation, ListState, PopularProduct, ProductRecommendation
from tests.factories import CustomerFactory


@pytest.fixture
def trained(shop):
    registry.run("recommendations", as_of=shop.now)
    return shop


def ids(found):
    return [item.product_id for item in found.items]


def test_a_known_customer_gets_their_own_list_with_reasons(trained):
    found = ranking.for_customer(customer_id=trained.customers[0].pk, limit=8, at=trained.now, language="en")

    assert (found.model_version, found.fallback, found.computed_at) == (1, "", trained.now)
    assert [item.rank for item in found.items] == list(range(1, 9))
    bought = {line.product_id for line in OrderLine.objects.filter(order__customer=trained.customers[0])}
    for item in found.items:
        assert item.reason["code"] == "bought_with"
        assert item.reason["product_id"] in bought
        assert item.reason["product_id"] != item.product_id
        assert item.why == f"Often bought with {Product.objects.get(pk=item.reason['product_id']).name}"


def test_who_refuses_profiling_gets_what_is_popular_at_once_and_loses_their_list(trained, django_capture_on_commit_callbacks):
    person = trained.customers[0]
    with django_capture_on_commit_callbacks(execute=False):
        profiling.refuse(customer_id=person.pk, actor=None, at=trained.now)

    assert CustomerRecommendation.objects.filter(customer=person).exists()
    found = ranking.for_customer(customer_id=person.pk, at=trained.now, language="en")
    assert (found.model_version, {item.reason["code"] for item in found.items}) == (0, {"popular"})
    printed = ranking.products_for_customers(customer_ids=[person.pk], limit=4, at=trained.now)[person.pk]
    assert [product.pk for product in printed] == ids(found)[:4]

    listeners.drop_list(ConsentWithdrawn(customer_id=person.pk, channel="any", purpose="profiling", at=trained.now, cause="track"))
    assert not CustomerRecommendation.objects.filter(customer=person).exists()


def test_names_and_reasons_follow_the_language(trained):
    first = ranking.for_customer(customer_id=trained.customers[0].pk, at=trained.now, language="zh-hans").items[0]

    assert first.name.startswith("东西")
    assert "东西" in first.why


def test_what_may_not_be_shown_is_left_out_at_once(trained):
    customer = trained.customers[0].pk
    gone, postage, blocked, refused, just_bought, *rest = ids(ranking.for_customer(customer_id=customer, limit=20, at=trained.now))
    Product.objects.filter(pk=gone).update(is_available=False)
    Product.objects.filter(pk=postage).update(is_goods=False)
    rules.set_rule(product_id=blocked, kind="block", actor=None)
    feedback.record(customer_id=customer, product_id=refused, kind="dismissed", origin="staff", at=trained.now)
    order = Order.objects.create(
        source=trained.source, external_id="now", customer_id=customer, placed_at=trained.now - timedelta(days=2), currency="CNY", total_amount=1
    )
    OrderLine.objects.create(order=order, product_id=just_bought, quantity=1, unit_amount=1)

    shown = ids(ranking.for_customer(customer_id=customer, limit=20, at=trained.now))

    assert not {gone, postage, blocked, refused, just_bought} & set(shown)
    assert shown[: len(rest)] == rest
    other = ids(ranking.for_customer(customer_id=trained.customers[2].pk, limit=40, at=trained.now))
    assert not {gone, postage, blocked} & set(other)
    assert refused in other or just_bought in other


def test_a_product_returns_after_the_rebuy_days(trained, settings):
    customer = trained.customers[0].pk
    product = ids(ranking.for_customer(customer_id=customer, at=trained.now))[0]
    order = Order.objects.create(source=trained.source, external_id="now", customer_id=customer, placed_at=trained.now, currency="CNY", total_amount=1)
    OrderLine.objects.create(order=order, product_id=product, quantity=1, unit_amount=1)

    late = trained.now + timedelta(days=settings.CRM_RECOMMEND_REBUY_DAYS)

    assert product not in ids(ranking.for_customer(customer_id=customer, at=late - timedelta(hours=1)))
    assert product in ids(ranking.for_customer(customer_id=customer, at=late + timedelta(hours=1)))


def test_a_boosted_product_comes_first_but_only_where_it_fits(trained):
    liked = ids(ranking.for_customer(customer_id=trained.customers[0].pk, limit=10, at=trained.now))
    rules.set_rule(product_id=liked[7], kind="boost", actor=None)

    found = ranking.for_customer(customer_id=trained.customers[0].pk, limit=10, at=trained.now)

    assert ids(found)[0] == liked[7]
    assert found.items[0].is_boosted
    assert ids(found)[1:8] == liked[:7]


def test_a_newcomer_gets_what_is_popular_and_is_told_so(trained):
    newcomer = CustomerFactory()

    found = ranking.for_customer(customer_id=newcomer.pk, limit=5, at=trained.now)

    assert (found.model_version, found.fallback) == (0, "no_history")
    assert ids(found) == list(PopularProduct.objects.order_by("rank").values_list("product_id", flat=True)[:5])
    assert {item.why for item in found.items} == {"Popular with customers now"}


def test_many_customers_cost_as_many_queries_as_one(trained, django_assert_num_queries):
    with django_assert_num_queries(5):
        ranking.for_customer(customer_id=trained.customers[0].pk, at=trained.now)
    with django_assert_num_queries(5):
        many = ranking.for_customers(customer_ids=[customer.pk for customer in trained.customers], at=trained.now)

    assert len(many) == len(trained.customers)
    assert many[trained.customers[0].pk] == ranking.for_customer(customer_id=trained.customers[0].pk, at=trained.now)


def test_a_list_too_short_is_filled_with_what_is_popular(trained, django_assert_num_queries):
    customer = trained.customers[0]
    keep = CustomerRecommendation.objects.filter(customer=customer).order_by("rank")[:3].values_list("pk", flat=True)
    CustomerRecommendation.objects.filter(customer=customer).exclude(pk__in=list(keep)).delete()

    with django_assert_num_queries(6):
        found = ranking.for_customer(customer_id=customer.pk, limit=8, at=trained.now)

    assert [item.reason["code"] for item in found.items] == ["bought_with"] * 3 + ["popular"] * 5
    assert len(set(ids(found))) == 8


def test_beside_a_product_stands_what_the_same_customers_bought(trained):
    found = ranking.for_product(product_id=trained.products[3].pk, limit=5, at=trained.now)

    assert found.model_version == 1
    buyers = set(OrderLine.objects.filter(product=trained.products[3]).values_list("order__customer_id", flat=True))
    for item in found.items:
        both = OrderLine.objects.filter(product_id=item.product_id, order__customer_id__in=buyers).values("order__customer_id").distinct().count()
        assert item.together == both
    with pytest.raises(NotFound):
        ranking.for_product(product_id=10**9, at=trained.now)


def test_without_any_training_popularity_is_counted_on_the_spot(shop):
    newest = max(Order.objects.values_list("placed_at", flat=True))

    found = ranking.for_customer(customer_id=shop.customers[0].pk, limit=4, at=newest + timedelta(days=31))

    assert (len(found.items), found.fallback, found.model_version, found.computed_at) == (4, "never", 0, None)


def test_an_empty_shop_has_nothing_to_show_and_does_not_fail(db):
    assert ranking.for_customer(customer_id=1, at=lists.timezone.now()).items == ()
    assert ranking.popular(at=lists.timezone.now()).items == ()


def damage(version, content):
    (modelstore._folder(version) / "model.safetensors").write_bytes(content)
    modelstore.forget()


def test_a_damaged_model_file_gives_popularity_and_says_so(trained):
    damage(ModelVersion.objects.get(), b"not a model")

    report = lists.refresh(as_of=trained.now)
    found = ranking.for_customer(customer_id=trained.customers[0].pk, at=trained.now)

    assert (report.fallback, report.model_version) == ("corrupt", 0)
    assert (found.fallback, found.model_version) == ("corrupt", 0)
    assert len(found.items) == 8
    assert not CustomerRecommendation.objects.exists()
    assert ranking.for_product(product_id=trained.products[0].pk, at=trained.now).fallback == "corrupt"


def test_a_lost_model_folder_gives_popularity_and_retraining_mends_it(trained):
    folder = modelstore._folder(ModelVersion.objects.get())
    for file in folder.iterdir():
        file.unlink()
    modelstore.forget()

    assert lists.refresh(as_of=trained.now).fallback == "missing"
    assert registry.run("recommendations", as_of=trained.now).state == "trained"
    assert ranking.for_customer(customer_id=trained.customers[0].pk, at=trained.now).model_version == 2


def test_refreshing_some_leaves_the_others_alone(trained):
    later = trained.now + timedelta(hours=1)
    first, second = trained.customers[0].pk, trained.customers[1].pk

    report = lists.refresh(as_of=later, customer_ids=[first])

    assert report.customers == 1
    assert set(CustomerRecommendation.objects.filter(customer_id=first).values_list("computed_at", flat=True)) == {later}
    assert set(CustomerRecommendation.objects.filter(customer_id=second).values_list("computed_at", flat=True)) == {trained.now}
    assert ListState.objects.get().refreshed_at


def test_a_refresh_repeated_leaves_the_same_lists(trained):
    before = list(CustomerRecommendation.objects.order_by("customer_id", "rank").values_list("customer_id", "product_id", "rank", "score"))
    beside = ProductRecommendation.objects.count()

    lists.refresh(as_of=trained.now)

    assert list(CustomerRecommendation.objects.order_by("customer_id", "rank").values_list("customer_id", "product_id", "rank", "score")) == before
    assert ProductRecommendation.objects.count() == beside


def test_lists_older_than_the_newest_order_are_found(trained):
    assert lists.stale_customers(limit=10) == []
    Customer.objects.filter(pk=trained.customers[5].pk).update(last_order_at=trained.now + timedelta(hours=1))
    never = CustomerFactory(orders_count=1, last_order_at=trained.now + timedelta(hours=2))
    CustomerFactory(orders_count=1, last_order_at=trained.now - timedelta(hours=2))

    assert lists.stale_customers(limit=10) == [trained.customers[5].pk, never.pk]
    assert lists.stale_customers(limit=1) == [trained.customers[5].pk]


def test_a_customer_without_orders_any_more_loses_the_list(trained):
    customer = trained.customers[0]
    Order.objects.filter(customer=customer).delete()

    lists.refresh(as_of=trained.now + timedelta(hours=1), customer_ids=[customer.pk])

    assert not CustomerRecommendation.objects.filter(customer=customer).exists()
