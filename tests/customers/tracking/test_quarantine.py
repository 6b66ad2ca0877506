"""Bad events in a good batch: set aside with their reason, while their neighbours and whatever is only unusual are stored."""

import json
from decimal import Decimal

import pytest

from crm.core.models import Source
from customers.models import Activity, Customer, QuarantinedEvent
from tests.customers.tracking.conftest import KEY, event, post


def test_one_bad_event_in_a_hundred_is_quarantined_with_its_reason(source):
    batch = [event(number) for number in range(100)]
    del batch[41]["event"]

    response = post("/v1/batch", {"batch": batch})

    assert response.status_code == 200
    assert response.json() == {
        "success": True,
        "accepted": 99,
        "duplicates": 0,
        "rejected": 1,
        "errors": [{"index": 41, "code": "missing_event", "message": "track needs event."}],
    }
    assert Activity.objects.count() == 99
    kept = QuarantinedEvent.objects.get()
    assert (kept.message_id, kept.code, kept.source_id) == ("m41", "missing_event", source.pk)
    assert json.loads(kept.payload)["messageId"] == "m41"


BAD_EVENTS = [
    ({"type": "dance"}, "invalid_type"),
    ({"userId": None}, "missing_id"),
    ({"userId": "undefined", "anonymousId": " "}, "missing_id"),
    ({"userId": {"a": 1}}, "invalid_id"),
    ({"userId": "x" * 256}, "invalid_id"),
    ({"event": 5.5, "properties": "text"}, "invalid_event"),
    ({"context": []}, "invalid_event"),
    ({"timestamp": "yesterday"}, "invalid_timestamp"),
    ({"timestamp": "1890-01-01T00:00:00Z"}, "invalid_timestamp"),
    ({"properties": {"text": "x" * 33_000}}, "event_too_large"),
    ({"properties": {"text": "a\0b"}}, "invalid_text"),
    ({"event": "Order Completed"}, "missing_order_id"),
    ({"event": "Order Completed", "properties": {"order_id": "1"}}, "missing_total"),
    ({"event": "Order Completed", "properties": {"order_id": "1", "total": -5}}, "invalid_amount"),
    ({"event": "Order Completed", "properties": {"order_id": "1", "total": "1e999999"}}, "invalid_amount"),
    ({"event": "Order Completed", "properties": {"order_id": "1", "total": 5, "currency": "EURO"}}, "invalid_currency"),
    ({"event": "Order Completed", "properties": {"order_id": "1", "products": [{"name": "x"}]}}, "missing_product_id"),
    ({"event": "Order Completed", "properties": {"order_id": "1", "products": [{"sku": "x", "quantity": 0}]}}, "invalid_quantity"),
    ({"event": "Product Reviewed", "properties": {"product_id": "1", "rating": 9}}, "invalid_rating"),
    ({"event": "Order Completed", "properties": {"order_id": "1", "total": 10**10}}, "invalid_amount"),
    (
        {"event": "Order Completed", "properties": {"order_id": "1", "products": [{"sku": "x", "price": 9_999_999_999, "quantity": 1_000_000}]}},
        "invalid_amount",
    ),
    ({"event": "Order Refunded", "properties": {"order_id": "1", "products": [{"sku": "x", "price": 9_999_999_999, "quantity": 1_000_000}]}}, "invalid_amount"),
    ({"event": "Order Completed", "properties": {"order_id": "1", "revenue": 9_999_999_999, "tax": 1}}, "invalid_amount"),
    ({"userId": 2**53 + 2.0}, "invalid_id"),
    ({"userId": 123456789012345678901234}, "invalid_id"),
    ({"userId": 1.5}, "invalid_id"),
]


@pytest.mark.parametrize(("fault", "code"), BAD_EVENTS)
def test_bad_events_are_named_by_code_and_good_neighbours_stay(source, fault, code):
    response = post("/v1/batch", {"batch": [event(1), {**event(2), **fault}, 7]})

    assert response.status_code == 200
    assert [(item["index"], item["code"]) for item in response.json()["errors"]] == [(1, code), (2, "invalid_event")]
    assert list(Activity.objects.values_list("message_id", flat=True)) == ["m1"]
    assert QuarantinedEvent.objects.count() == 2


LARGE_BUT_FINE = [
    {"event": "Product Viewed", "properties": {"product_id": "p", "price": 10**10}},
    {"event": "Product Viewed", "properties": {"product_id": "p", "price": "9999999999.999"}},
    {"event": "Order Completed", "properties": {"order_id": "1", "products": [{"sku": "x", "price": 9_999_999_999, "quantity": 1}]}},
    {"event": "Order Refunded", "properties": {"order_id": "1", "products": [{"sku": "x", "price": 9_999_999_999, "quantity": 1}]}},
    {"timestamp": "2026-01-01T00:00:00+23:59"},
    {"timestamp": "2026-01-01T00:00:00+23:59", "sentAt": "2026-01-01T00:00:00-18:36"},
    {"properties": {"text": "the visible text \\u0000"}},
]


@pytest.mark.parametrize("unusual", LARGE_BUT_FINE)
def test_unusual_values_that_can_be_stored_are(source, unusual):
    assert post("/v1/batch", {"batch": [event(1), {**event(2), **unusual}]}).json()["accepted"] == 2


def test_a_customer_whose_orders_come_to_more_than_the_column_holds_keeps_being_served(source):
    orders = [event(number, event="Order Completed", properties={"order_id": f"O{number}", "total": 9_999_999_999}) for number in range(102)]

    assert post("/v1/batch", {"batch": orders}).json()["accepted"] == 102
    assert (Customer.objects.get().orders_count, Customer.objects.get().spent_amount) == (102, Decimal("999999999999.99"))


@pytest.mark.django_db(transaction=True)
def test_a_value_that_only_the_database_refuses_costs_its_own_event(monkeypatch):
    Source.objects.create(name="Shop", write_key=KEY, currency="EUR")
    monkeypatch.setattr("customers.ecommerce.LARGEST_AMOUNT", Decimal(10) ** 12)
    bad = event(2, event="Product Viewed", properties={"product_id": "p", "price": 10**11})

    response = post("/v1/batch", {"batch": [event(1), {"type": "dance"}, bad, event(3)]})

    assert response.status_code == 200
    assert (response.json()["accepted"], [(item["index"], item["code"]) for item in response.json()["errors"]]) == (
        2,
        [(1, "invalid_type"), (2, "invalid_value")],
    )
    assert set(Activity.objects.values_list("message_id", flat=True)) == {"m1", "m3"}
    assert set(QuarantinedEvent.objects.values_list("code", flat=True)) == {"invalid_type", "invalid_value"}


def test_event_nested_too_deep_to_store_is_quarantined(source):
    deep = {}
    for _ in range(500):
        deep = {"d": deep}

    response = post("/v1/batch", json.dumps({"batch": [event(1), event(2, properties=deep)]}).encode())

    assert [item["code"] for item in response.json()["errors"]] == ["too_deep"]
    assert Activity.objects.count() == 1
