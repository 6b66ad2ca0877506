"""What is printed in a message: the campaign's product or a related one, then the customer's own list by the shop's rules."""

from datetime import timedelta
from typing import Any

import pytest

from campaigns import facts, offers
from crm.core import clock
from customers import offer
from customers.models import Category
from customers.offer import Decision
from recommendations import ranking
from recommendations.models import RecommendationRule

pytestmark = pytest.mark.django_db


def test_lists_are_those_of_recommendations(make_customer: Any, make_product: Any, make_order: Any) -> None:
    now = clock.now()
    customer, other = make_customer(), make_customer()
    products = [make_product(f"Thing {number}") for number in range(6)]
    for number, product in enumerate(products):
        for _again in range(6 - number):
            make_order(other, at=now - timedelta(days=40), product=product)
    RecommendationRule.objects.create(product=products[0], kind="block")
    RecommendationRule.objects.create(product=products[4], kind="boost")

    printed = offers.for_customers(customer_ids=[customer.pk, other.pk], at=now)

    expected = ranking.for_customers(customer_ids=[customer.pk, other.pk], at=now, limit=4)
    assert {one: [product.pk for product in found] for one, found in printed.items()} == {
        one: [item.product_id for item in found.items] for one, found in expected.items()
    }
    assert printed[customer.pk][0] == products[4]
    assert products[0] not in printed[customer.pk]


def test_each_customer_gets_the_campaigns_product_or_the_related_one_first(make_customer: Any, make_product: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = make_customer(), make_customer()
    lamp, shade = make_product("Lamp"), make_product("Shade")
    monkeypatch.setattr(
        offer,
        "decide",
        lambda **_asked: {one.pk: Decision(one.pk, "offer", lamp.pk, "likeliest"), two.pk: Decision(two.pk, "related", shade.pk, "related_likelier")},
    )

    printed = offers.for_customers(customer_ids=[one.pk, two.pk], at=clock.now(), featured=(lamp.pk,))

    assert printed == {one.pk: (lamp,), two.pk: (shade,)}


def test_a_goal_that_names_a_category_makes_its_best_seller_the_campaigns_product(make_campaign: Any, make_product: Any) -> None:
    lamp = make_product("Lamp", price="20.00")
    lamp.category = Category.objects.create(slug="lamps", names={"en": "Lamps", "zh-hans": "灯具"})
    lamp.save()

    assert facts.featured(make_campaign(goal="Light for the dark months: lamps")) == (lamp.pk,)
    assert facts.featured(make_campaign(goal="新到的灯具")) == (lamp.pk,)
    assert facts.featured(make_campaign(goal="Spring greetings")) == ()
