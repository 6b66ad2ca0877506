"""A customer's history as one reads it: what belongs together in one line, codes in words."""

from datetime import timedelta

import pytest
from django.utils import translation

from customers import timeline
from tests.factories import ActivityFactory, CustomerFactory, ProductFactory, ReturnFactory, place_order
from tests.factories.customers import NOW

pytestmark = pytest.mark.django_db


def told(customer, kind=""):
    history = timeline.history(customer_id=customer.pk, before=NOW, kind=kind)
    return [[(str(entry.title), entry.detail) for entry in day.entries] for day in history.days]


def test_products_looked_at_in_a_row_are_one_line_a_day():
    customer = CustomerFactory()
    lamp, robe, kettle, cup = (ProductFactory(name=name) for name in ("Lamp", "Robe", "Kettle", "Cup"))
    for hours, product in ((100, lamp), (50, cup), (49, kettle), (48.5, robe), (48.2, lamp), (48.1, lamp)):
        ActivityFactory(customer=customer, product=product, occurred_at=NOW - timedelta(hours=hours))
    place_order(customer, at=NOW - timedelta(hours=48.3), product=lamp)

    days = told(customer)

    assert days[0][0] == ("Viewed a product", "Lamp")
    assert days[0][1][0].startswith("Order ")
    assert days[0][2] == ("Viewed a product", "Robe, Kettle, Cup")
    assert days[1] == [("Viewed a product", "Lamp")]


def test_more_than_three_are_counted_and_a_filtered_history_tells_each():
    customer = CustomerFactory()
    for number in range(5):
        ActivityFactory(customer=customer, product=ProductFactory(name=f"Lamp {number}"), occurred_at=NOW - timedelta(hours=48, minutes=number))

    assert told(customer) == [[("Viewed a product", "Lamp 0, Lamp 1, Lamp 2 and 2 more")]]
    assert [len(day) for day in told(customer, "activity")] == [5]


@pytest.mark.parametrize(("language", "known"), [("en", "not as expected"), ("zh-hans", "与预期不符")])
def test_why_something_came_back_is_told_in_words(language, known):
    customer = CustomerFactory()
    order = place_order(customer, at=NOW - timedelta(days=9))
    for number, reason in enumerate(("not_as_expected", "Le lampadaire est cassé")):
        ReturnFactory(customer=customer, order=order, reason=reason, returned_at=NOW - timedelta(days=1 + number))

    with translation.override(language):
        details = [detail for day in told(customer, "returns") for _title, detail in day]

    assert details == [known, "Le lampadaire est cassé"]
