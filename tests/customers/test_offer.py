"""Who gets the offer: on a small invented shop whose truth is known, and what the decision rests on."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client, override_settings
from django.urls import reverse

from crm.core.errors import NotFound
from crm.core.learning import modelstore, registry
from crm.core.learning.registry import Outcome
from crm.core.models.people import Role
from customers import offer
from customers.ml import purchase
from customers.ml.network.influence import log_odds
from customers.models import Activity, Category, Customer, Order, OrderLine, Product
from tests.factories import CustomerFactory, ProductFactory, SourceFactory, UserFactory, place_order
from tests.world import NOW

pytestmark = pytest.mark.django_db

PEOPLE = 240
DAYS = 240


@pytest.fixture(autouse=True)
def _own_models(settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.CRM_MODEL_DIR = tmp_path
    modelstore.forget()
    yield
    modelstore.forget()


def shop() -> list[Category]:
    """Two departments of two shelves; everybody has one favourite shelf, looks there before buying, and buys monthly or hardly ever."""
    random = np.random.default_rng(4)
    source = SourceFactory()
    shelves = []
    for department in ("tea", "garden"):
        parent = Category.objects.create(slug=department, names={"en": department})
        shelves += [Category.objects.create(slug=f"{department}-{number}", names={"en": f"{department} {number}"}, parent=parent) for number in (1, 2)]
    products = [[ProductFactory(source=source, category=shelf, price_amount=20 * (1 + place)) for _two in range(2)] for place, shelf in enumerate(shelves)]
    people = Customer.objects.bulk_create(
        Customer(name=f"p{number}", source=source, currency="CNY", first_seen_at=NOW - timedelta(days=DAYS), last_seen_at=NOW) for number in range(PEOPLE)
    )
    orders, lines, views = [], [], []
    for number, person in enumerate(people):
        favourite, gap = number % 4, 25 if number % 3 else 400
        at = random.uniform(0, gap)
        while at < DAYS:
            shelf = favourite if random.random() < 0.85 else int(random.integers(4))
            product = products[shelf][int(random.integers(2))]
            placed = NOW - timedelta(days=DAYS - at)
            orders.append(Order(source=source, external_id=f"o{len(orders)}", customer=person, placed_at=placed, currency="CNY", total_amount=30))
            lines.append((len(orders) - 1, product))
            if random.random() < 0.6:
                views.append((person, product, placed - timedelta(days=float(random.uniform(0, 12)))))
            at += random.exponential(gap)
        views += [
            (person, products[int(random.integers(4))][0], NOW - timedelta(days=float(random.uniform(0, DAYS)))) for _idle in range(int(random.poisson(2)))
        ]
    Order.objects.bulk_create(orders)
    OrderLine.objects.bulk_create(OrderLine(order=orders[place], product=product, quantity=1, unit_amount=product.price_amount) for place, product in lines)
    Activity.objects.bulk_create(
        Activity(source=source, message_id=f"m{place}", customer=person, kind="track", name="Product Viewed", product=product, occurred_at=at, received_at=at)
        for place, (person, product, at) in enumerate(views)
    )
    return shelves


@dataclass(frozen=True)
class Learned:
    shelves: list[Category]
    outcome: registry.TrainingOutcome
    models: Path


@pytest.fixture(scope="class")
def learned(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Learned]:
    """The shop and what was learned from it, committed for a whole class and taken out again: learning takes half a minute."""
    models = tmp_path_factory.mktemp("models")
    with django_db_blocker.unblock(), override_settings(CRM_MODEL_DIR=models):
        cache.clear()
        shelves = shop()
        outcome = registry.run("purchase", as_of=NOW)
        assert outcome.state is Outcome.TRAINED, outcome.message
    yield Learned(shelves, outcome, models)
    with django_db_blocker.unblock():
        call_command("flush", verbosity=0, interactive=False)
        cache.clear()


@pytest.fixture
def trained(learned: Learned, db: None, settings: Any, _own_models: None) -> list[Category]:
    settings.CRM_MODEL_DIR = learned.models
    return learned.shelves


class TestLearned:
    """On the shop whose truth is known."""

    def test_the_network_beats_the_base_rate_and_the_naive_rule(self, trained: list[Category], learned: Learned) -> None:
        version = learned.outcome.version
        assert version is not None
        assert version.metrics["auroc"] > version.baseline["auroc"] + 0.03
        assert version.metrics["log_loss"] < version.baseline["log_loss"]
        assert version.metrics["brier"] < version.baseline["brier"]
        assert version.metrics["calibration_error"] < 0.06
        assert registry.run("purchase", as_of=NOW).state is Outcome.SKIPPED
        assert "gender" not in version.report["tables"][1]["rows"][0]
        names = {row[0] for row in version.report["tables"][1]["rows"]}
        assert not names & set(purchase.SENSITIVE)

    def test_the_favourite_shelf_gets_the_offer_and_the_one_beside_it_is_led_there(self, trained: list[Category]) -> None:
        buyers = [person for number, person in enumerate(Customer.objects.order_by("pk")) if number % 4 == 0 and number % 3]
        own, beside = (Product.objects.filter(category=shelf).order_by("pk").last() for shelf in trained[:2])
        assert own is not None
        assert beside is not None

        for_own = offer.decide(customer_ids=[person.pk for person in buyers], product_id=own.pk, at=NOW)
        for_beside = offer.decide(customer_ids=[person.pk for person in buyers], product_id=beside.pk, at=NOW)

        likely = [decision.why in {"likeliest", "clearly_likely", "just_bought"} for decision in for_own.values()]
        led = [decision for decision in for_beside.values() if decision.kind == "related"]
        assert np.mean(likely) > 0.85
        assert len(led) > len(buyers) / 2
        assert {Product.objects.get(pk=decision.product_id).category_id for decision in led if decision.why == "related_likelier"} == {trained[0].pk}
        assert all(decision.product_id != beside.pk for decision in led)
        ours = np.mean([decision.probability for decision in for_own.values() if decision.probability is not None])
        theirs = np.mean([decision.probability for decision in for_beside.values() if decision.probability is not None])
        assert ours > 2 * theirs

    def test_reasons_add_up_the_page_shows_the_same_and_newcomers_are_unknown(self, trained: list[Category]) -> None:
        person = Customer.objects.order_by("pk")[4]
        product = Product.objects.filter(category=trained[0]).first()
        assert product is not None

        decision = offer.offer_or_related(customer_id=person.pk, product_id=product.pk, at=NOW)
        page = offer.for_customer_page(customer_id=person.pk, at=NOW)

        assert decision.probability is not None
        assert decision.base is not None
        total = sum(reason.effect for reason in decision.reasons)
        assert total == pytest.approx(float(log_odds(decision.probability) - log_odds(decision.base)), abs=1e-6)
        best = page.likely[0]
        assert [one.probability for one in page.likely] == sorted((one.probability for one in page.likely), reverse=True)
        assert best.category_id == trained[0].pk
        same = next(one for one in page.likely if one.category_id == trained[0].pk)
        assert same.probability == pytest.approx(decision.probability)
        assert (page.version, page.horizon_days) == (1, 30)
        newcomer = CustomerFactory(first_seen_at=NOW - timedelta(days=1))
        unknown = offer.offer_or_related(customer_id=newcomer.pk, product_id=product.pk, at=NOW)
        assert unknown.probability is not None
        assert 0 < unknown.probability < 0.3
        assert "discounts" not in {reason.variable for reason in unknown.reasons}

    def test_refusal_recent_purchases_stock_and_the_number_of_queries(self, trained: list[Category], django_assert_max_num_queries: Any) -> None:
        person = Customer.objects.order_by("pk")[4]
        Customer.objects.filter(pk=person.pk).update(profiling_refused=True)
        product = Product.objects.filter(category=trained[1]).first()
        assert product is not None

        decision = offer.offer_or_related(customer_id=person.pk, product_id=product.pk, at=NOW)

        assert (decision.kind, decision.why, decision.probability, decision.reasons) == ("offer", "not_profiled", None, ())
        assert offer.for_customer_page(customer_id=person.pk, at=NOW).likely == ()

        buyer, product = Customer.objects.order_by("pk")[8], Product.objects.filter(category=trained[0]).first()
        assert product is not None
        order = place_order(buyer, at=NOW - timedelta(days=2))
        OrderLine.objects.create(order=order, product=product, quantity=1, unit_amount=9)
        everybody = list(Customer.objects.values_list("pk", flat=True))
        with django_assert_max_num_queries(9):
            bought = offer.offer_or_related(customer_id=buyer.pk, product_id=product.pk, at=NOW)
        with django_assert_max_num_queries(9):
            assert len(offer.decide(customer_ids=everybody, product_id=product.pk, at=NOW)) == PEOPLE
        with django_assert_max_num_queries(6):
            offer.for_customer_page(customer_id=buyer.pk, at=NOW)
        Product.objects.filter(pk=product.pk).update(is_available=False)
        gone = offer.offer_or_related(customer_id=Customer.objects.order_by("pk")[12].pk, product_id=product.pk, at=NOW)
        assert (bought.why, gone.why) == ("just_bought", "unavailable")
        for given in (bought, gone):
            assert given.kind == "related"
            assert given.product_id != product.pk

    @pytest.mark.parametrize("language", ["en", "zh-hans"])
    def test_the_panel_shows_chance_and_reasons_and_says_when_it_cannot(
        self, language: str, trained: list[Category], client: Client, django_assert_max_num_queries: Any
    ) -> None:
        client.cookies["django_language"] = language
        client.force_login(UserFactory(role=Role.ANALYST))
        person = Customer.objects.order_by("pk")[4]
        url = reverse("customers:likely-panel", args=[person.pk])
        client.get(url)

        with django_assert_max_num_queries(12):
            shown = client.get(url, headers={"HX-Request": "true"}).content.decode()
        Customer.objects.filter(pk=person.pk).update(profiling_refused=True)
        refused = client.get(url).content.decode()

        assert "tea 1" in shown
        assert "%" in shown
        assert shown.count("<li>") == 4
        if language == "en":
            assert "Earlier purchases in the category: repeatedly. Raises the odds" in shown
            assert "refuses to be profiled" in refused
        assert "tea 1" not in refused
        assert client.get(reverse("customers:likely-panel", args=[10**9])).status_code == 404

    def test_age_and_gender_enter_only_where_they_are_enabled(self, trained: list[Category], settings: Any) -> None:
        Customer.objects.filter(pk__in=Customer.objects.order_by("pk")[:100]).update(gender="female", birth_date="1990-05-05")
        settings.CRM_SENSITIVE_TRAITS = True
        outcome = registry.run("purchase", as_of=NOW)
        assert outcome.version is not None
        product = Product.objects.filter(category=trained[0]).first()
        assert product is not None
        customer_id = Customer.objects.order_by("pk")[4].pk
        told = {reason.variable: reason.value for reason in offer.offer_or_related(customer_id=customer_id, product_id=product.pk, at=NOW).reasons}

        assert (told["gender"], told["age_band"]) == ("female", "30_44")
        settings.CRM_SENSITIVE_TRAITS = False
        assert offer.offer_or_related(customer_id=customer_id, product_id=product.pk, at=NOW).why == "no_model"

    def test_nothing_after_the_moment_is_known(self, trained: list[Category]) -> None:
        cut = NOW - timedelta(days=60)
        of = purchase.categories(as_of=cut)
        early = purchase.grid(who=purchase.people(as_of=cut), of=of, as_of=cut, sensitive=False)
        Order.objects.filter(placed_at__gt=cut).delete()
        Activity.objects.filter(occurred_at__gt=cut).delete()

        same = purchase.grid(who=purchase.people(as_of=cut), of=purchase.categories(as_of=cut), as_of=cut, sensitive=False)

        assert np.array_equal(early.codes, same.codes)
        assert np.array_equal(early.customer, same.customer)


def test_without_a_model_everybody_gets_the_offer_and_a_missing_product_is_said() -> None:
    product, person = ProductFactory(), CustomerFactory()

    decision = offer.offer_or_related(customer_id=person.pk, product_id=product.pk, at=NOW)

    assert (decision.kind, decision.product_id, decision.why, decision.probability) == ("offer", product.pk, "no_model", None)
    with pytest.raises(NotFound):
        offer.offer_or_related(customer_id=person.pk, product_id=product.pk + 1000, at=NOW)


def test_a_young_shop_gets_a_reason() -> None:
    outcome = registry.run("purchase", as_of=NOW)

    assert outcome.state is Outcome.FAILED
    assert "50 purchases" in outcome.message
