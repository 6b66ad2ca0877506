"""The /v1 surface as senders meet it: what is accepted, what is refused, and that nothing is stored on refusal."""

import base64
import gzip
import json
import random
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client

from crm.core import rows
from crm.core.models import Source
from customers import totals
from customers.models import Activity, Customer, Identity, Order, QuarantinedEvent

KEY = "wk_tracking"


@pytest.fixture
def source(db):
    return Source.objects.create(name="Shop", write_key=KEY, currency="EUR")


def basic(key=KEY):
    return {"Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}


def post(path, body, *, key=KEY, content_type="application/json", headers=None):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Client().post(path, raw, content_type=content_type, headers={**(basic(key) if key else {}), **(headers or {})})


def event(number=1, **values):
    return {"type": "track", "event": "Looked", "userId": "u1", "messageId": f"m{number}", **values}


def assert_refused(response, status, code):
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/json"
    body = response.json()
    assert body["code"] == code
    assert body["message"]
    assert Activity.objects.count() == 0
    assert Customer.objects.count() == 0
    assert QuarantinedEvent.objects.count() == 0


CALLS = [
    ("identify", "i", {"userId": "u1", "traits": {"email": "a@b.example"}}),
    ("track", "t", {"userId": "u1", "event": "Looked"}),
    ("page", "p", {"anonymousId": "a1", "name": "Home"}),
    ("screen", "s", {"userId": "u1", "name": "Start"}),
    ("group", "g", {"userId": "u1", "groupId": "club"}),
    ("alias", "a", {"userId": "u1", "previousId": "a1"}),
]


@pytest.mark.parametrize(("name", "letter", "call"), CALLS)
@pytest.mark.parametrize("slash", ["", "/"])
def test_every_call_stores_one_row_under_its_name_and_its_letter(source, name, letter, call, slash):
    for number, path in enumerate((name, letter)):
        response = post(f"/v1/{path}{slash}", {**call, "messageId": f"m{number}"})

        assert response.status_code == 200
        assert response.json() == {"success": True, "accepted": 1, "duplicates": 0, "rejected": 0, "errors": []}
    assert list(Activity.objects.order_by("message_id").values_list("message_id", "kind")) == [("m0", name), ("m1", name)]


@pytest.mark.parametrize("path", ["batch", "b"])
def test_batch_takes_every_type(source, path):
    batch = [{"type": name, "messageId": name, **call} for name, _, call in CALLS]

    response = post(f"/v1/{path}", {"batch": batch, "sentAt": datetime.now(UTC).isoformat(), "writeKey": KEY})

    assert response.status_code == 200
    assert response.json()["accepted"] == 6
    assert Activity.objects.count() == 6


WRAPPINGS = [
    ("application/json", False, {}),
    ("application/json", True, {"Content-Encoding": "gzip"}),
    ("application/json", True, {}),
    ("application/x-www-form-urlencoded", True, {}),
    ("text/plain", False, {}),
    ("text/plain; charset=utf-8", True, {"Content-Encoding": "gzip"}),
]


@pytest.mark.parametrize(("content_type", "zipped", "headers"), WRAPPINGS)
def test_body_is_read_under_any_content_type_and_either_gzip_disguise(source, content_type, zipped, headers):
    raw = json.dumps({"batch": [event()]}).encode()

    response = post("/v1/batch", gzip.compress(raw) if zipped else raw, content_type=content_type, headers=headers)

    assert response.status_code == 200
    assert Activity.objects.get().message_id == "m1"


def test_key_in_body_alone_and_bearer_are_enough(source):
    assert post("/v1/track", {**event(1), "writeKey": KEY}, key=None).status_code == 200
    assert post("/v1/track", event(2), key=None, headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
    assert Activity.objects.count() == 2


REFUSALS = [
    (b'{"batch": [', 400, "invalid_json", {}),
    (b"[]", 400, "invalid_json", {}),
    (b"", 400, "invalid_json", {}),
    (b'{"a": NaN}', 400, "invalid_json", {}),
    (b'{"batch": {}}', 400, "invalid_batch", {}),
    (b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "invalid_json", {}),
    (b'{"x": "\xff"}', 400, "invalid_charset", {}),
    ('{"x": "é"}'.encode("latin-1"), 400, "invalid_charset", {}),
    (b"not gzip", 400, "invalid_gzip", {"Content-Encoding": "gzip"}),
    (gzip.compress(b'{"batch": []}' * 1000, mtime=0)[:-40], 400, "invalid_gzip", {"Content-Encoding": "gzip"}),
    (b"{}", 400, "unsupported_encoding", {"Content-Encoding": "br"}),
    (b'{"x": "' + b"x" * (4 * 1024 * 1024) + b'"}', 413, "batch_too_large", {}),
    (gzip.compress(b" " * 100_000_000, 9, mtime=0), 413, "batch_too_large", {"Content-Encoding": "gzip"}),
]


@pytest.mark.parametrize(("body", "status", "code", "headers"), REFUSALS, ids=[f"{refusal[2]}-{number}" for number, refusal in enumerate(REFUSALS)])
def test_bad_bodies_are_refused_in_json_and_store_nothing(source, body, status, code, headers):
    assert_refused(post("/v1/batch", body, headers=headers), status, code)


def test_other_charset_is_refused(source):
    assert_refused(post("/v1/track", event(), content_type="application/json; charset=gb18030"), 400, "unsupported_charset")


def test_wrong_missing_differing_and_inactive_keys_are_refused(source):
    assert_refused(post("/v1/track", event(), key="nope"), 401, "invalid_write_key")
    assert_refused(post("/v1/track", event(), key=None), 401, "missing_write_key")
    assert_refused(post("/v1/track", {**event(), "writeKey": "other"}), 401, "write_keys_differ")
    assert_refused(post("/v1/track", event(), key=None, headers={"Authorization": "Basic ???"}), 401, "invalid_authorization")
    source.is_active = False
    source.save()
    assert_refused(post("/v1/track", event()), 401, "source_inactive")


def test_browser_events_are_taken_from_allowed_origins_only(source):
    source.allowed_origins = ["https://shop.example"]
    source.save()

    assert_refused(post("/v1/t", event(), headers={"Origin": "https://evil.example"}), 403, "origin_not_allowed")
    assert post("/v1/t", event(1), headers={"Origin": "https://SHOP.example"}).status_code == 200
    assert post("/v1/t", event(2)).status_code == 200


@pytest.mark.parametrize("method", ["get", "put", "delete", "patch", "head"])
def test_other_methods_get_405_and_no_redirect(source, method):
    response = getattr(Client(), method)("/v1/batch")

    assert response.status_code == 405
    assert response["Allow"] == "POST, OPTIONS"


def test_unknown_address_answers_json(source):
    assert_refused(Client().post("/v1/nonsense", b"{}", content_type="application/json"), 404, "not_found")
    assert Client().get("/v1/x/y").json()["code"] == "not_found"


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


def test_more_events_than_a_library_would_send_are_refused_before_any_is_looked_at(source):
    assert_refused(post("/v1/batch", b'{"batch": [' + b"0," * 10_000 + b"0]}"), 413, "batch_too_large")


def test_event_nested_too_deep_to_store_is_quarantined(source):
    deep = {}
    for _ in range(500):
        deep = {"d": deep}

    response = post("/v1/batch", json.dumps({"batch": [event(1), event(2, properties=deep)]}).encode())

    assert [item["code"] for item in response.json()["errors"]] == ["too_deep"]
    assert Activity.objects.count() == 1


def test_strict_mode_answers_400_and_stores_nothing(source):
    assert_refused(post("/v1/batch", {"batch": [event(1), {"type": "track"}]}, headers={"X-Strict-Mode": "1"}), 400, "missing_id")
    assert_refused(post("/v1/track", {"userId": "u"}, headers={"X-Strict-Mode": "1"}), 400, "missing_event")


def test_single_event_over_32_kb_is_413_and_in_a_batch_it_is_set_aside(source):
    assert_refused(post("/v1/track", event(properties={"x": "y" * 33_000})), 413, "event_too_large")


def test_same_batch_twice_stores_each_message_once(source):
    body = {"batch": [event(number) for number in range(10)] + [event(3)]}

    first, second = post("/v1/batch", body).json(), post("/v1/batch", {**body, "sentAt": "2026-01-01T00:00:00Z"}).json()

    assert (first["accepted"], first["duplicates"]) == (10, 1)
    assert (second["accepted"], second["duplicates"]) == (0, 11)
    assert Activity.objects.count() == 10


def test_message_ids_are_per_source(source):
    Source.objects.create(name="Other", write_key="wk_other")

    post("/v1/track", event(1))
    post("/v1/track", event(1), key="wk_other")

    assert Activity.objects.count() == 2
    assert Customer.objects.count() == 2


def test_numeric_long_and_missing_message_ids_are_understood(source):
    post("/v1/track", event(messageId=12))
    post("/v1/track", event(messageId="x" * 300))
    post("/v1/track", event(messageId="x" * 300))
    post("/v1/track", {"userId": "u1", "event": "e"})
    post("/v1/track", {"userId": 12.0, "event": "e", "messageId": "n1"})
    post("/v1/track", {"userId": 12, "event": "e", "messageId": "n2"})

    assert set(Identity.objects.values_list("value", flat=True)) == {"u1", "12"}
    ids = list(Activity.objects.order_by("id").values_list("message_id", flat=True))
    assert ids[0] == "12"
    assert ids[1].startswith("sha256-")
    assert ids[2].startswith("none-")
    assert len(ids) == 5


def test_clock_is_corrected_by_sent_at_and_all_times_are_kept(source):
    slow = datetime(2020, 5, 1, 12, 0, tzinfo=UTC)

    post("/v1/batch", {"batch": [event(1, timestamp=slow.isoformat())], "sentAt": (slow + timedelta(seconds=90)).isoformat()})
    post("/v1/track", event(2, originalTimestamp=slow.isoformat(), sentAt=(slow + timedelta(seconds=30)).isoformat(), timestamp="2026-01-01T00:00:00Z"))
    post("/v1/track", event(3, timestamp="2024-02-03T04:05:06.789Z"))
    post("/v1/track", event(4, timestamp="2999-01-01T00:00:00Z"))
    post("/v1/track", event(5))
    post("/v1/track", event(6, timestamp=1_767_225_600))
    post("/v1/track", event(7, timestamp=1_767_225_600_000))

    by_id = {row.message_id: row for row in Activity.objects.all()}
    assert by_id["m1"].received_at - by_id["m1"].occurred_at == timedelta(seconds=90)
    assert by_id["m1"].original_at == slow
    assert by_id["m1"].sent_at == slow + timedelta(seconds=90)
    assert by_id["m2"].received_at - by_id["m2"].occurred_at == timedelta(seconds=30)
    assert by_id["m3"].occurred_at == datetime(2024, 2, 3, 4, 5, 6, 789000, tzinfo=UTC)
    assert by_id["m4"].occurred_at == by_id["m4"].received_at
    assert by_id["m5"].occurred_at == by_id["m5"].received_at
    assert by_id["m6"].occurred_at == by_id["m7"].occurred_at == datetime(2026, 1, 1, tzinfo=UTC)


def test_half_an_emoji_does_not_lose_the_batch(source):
    raw = b'{"batch": [{"type": "page", "userId": "u1", "messageId": "m1", "properties": {"title": "cut \\ud83d"}}, {"type": "page", "userId": "u1", "messageId": "m2"}]}'

    assert post("/v1/batch", raw).json()["accepted"] == 2
    assert Activity.objects.get(message_id="m1").properties["title"] == "cut ?"


def test_hostile_text_is_stored_as_text(source):
    hostile = "'); DROP TABLE customers_activity; -- <script>alert(1)</script> %s {0}"

    post("/v1/track", event(event=hostile, userId=hostile, properties={hostile: hostile}))

    row = Activity.objects.get()
    assert row.name == hostile
    assert row.properties == {hostile: hostile}
    assert Identity.objects.get().value == hostile


def test_replay_runs_few_queries(source, django_assert_max_num_queries):
    body = {"batch": [event(number, userId=f"u{number % 20}", properties={"product_id": f"p{number % 5}"}, event="Product Viewed") for number in range(100)]}
    with django_assert_max_num_queries(16):
        post("/v1/batch", body)
    with django_assert_max_num_queries(6):
        post("/v1/batch", body)


def entangled(thread, number):
    """A batch in which eight people, their browsers, mailboxes and orders meet in every possible way."""
    pick = random.Random(thread * 100 + number)
    events = []
    for item in range(20):
        user, browser, order = f"u{pick.randint(1, 8)}", f"a{pick.randint(1, 8)}", {"order_id": f"o{pick.randint(1, 30)}"}
        line = {"products": [{"product_id": f"p{pick.randint(1, 9)}", "price": 3, "quantity": 2}]}
        bought = {"type": "track", "userId": user}
        made = pick.choice(
            [
                {"type": "identify", "userId": user, "anonymousId": browser, "traits": {"email": f"{pick.randint(1, 6)}@mail.example", "emailOptIn": True}},
                {"type": "alias", "userId": user, "previousId": pick.choice([browser, user])},
                {"type": "page", "anonymousId": browser},
                {"type": "track", "event": "Product Viewed", "anonymousId": browser, "properties": {"product_id": f"p{pick.randint(1, 9)}", "name": "x"}},
                {**bought, "event": "Order Completed", "properties": order | line},
                {**bought, "event": "Order Updated", "properties": order | line},
                {**bought, "event": "Order Refunded", "properties": {**order, "total": 1}},
                {**bought, "event": "Order Cancelled", "properties": order},
            ]
        )
        events.append({**made, "messageId": f"{thread}-{number}-{item}"})
    return {"batch": events}


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_batches_that_speak_of_the_same_people_and_orders_take_turns(caplog):
    Source.objects.create(name="Knot", write_key="wk_knot", currency="EUR")
    start = threading.Barrier(12)
    answers = []

    def send(thread):
        start.wait()
        try:
            answers.extend(post("/v1/batch", entangled(thread, number), key="wk_knot").json().get("accepted") for number in range(6))
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=(thread,)) for thread in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [20] * 72
    # None was ended by PostgreSQL to free another, which would have cost it a second.
    assert "gave way" not in caplog.text
    before = list(Customer.objects.order_by("pk").values_list("pk", "orders_count", "spent_amount"))
    totals.refresh([pk for pk, *_ in before])
    assert list(Customer.objects.order_by("pk").values_list("pk", "orders_count", "spent_amount")) == before


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_postgresql_ended_for_anothers_sake_is_run_again(monkeypatch):
    Source.objects.create(name="Shop", write_key=KEY, currency="EUR")
    real, refused = totals.refresh, []

    def give_way_once(ids):
        if not refused:
            refused.append(ids)
            rows.execute("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40P01'; END $$")
        real(ids)

    monkeypatch.setattr("customers.totals.refresh", give_way_once)

    answer = post("/v1/track", event(1, event="Order Completed", properties={"order_id": "1", "total": 5}))

    assert (answer.status_code, answer.json()["accepted"], len(refused)) == (200, 1, 1)
    assert Order.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_twenty_threads_with_the_same_batch_store_it_once():
    source = Source.objects.create(name="Race", write_key="wk_race", currency="EUR")
    batch = [event(number, userId=f"u{number % 7}", anonymousId=f"a{number % 5}") for number in range(50)]
    batch += [
        {
            "type": "track",
            "event": "Order Completed",
            "userId": f"u{number}",
            "messageId": f"o{number}",
            "properties": {"order_id": f"{number}", "products": [{"product_id": "p", "price": 2, "quantity": 3}]},
        }
        for number in range(7)
    ]
    batch += [{"type": "identify", "userId": "u1", "messageId": "i1", "traits": {"email": "u1@mail.example", "emailOptIn": True}}]
    answers = []
    start = threading.Barrier(20)

    def send():
        start.wait()
        response = post("/v1/batch", {"batch": batch}, key="wk_race")
        answers.append((response.status_code, response.json().get("accepted")))
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [status for status, _ in answers] == [200] * 20
    assert sum(accepted for _, accepted in answers) == 58
    assert Activity.objects.filter(source=source).count() == 58
    assert Order.objects.count() == 7
    assert Customer.objects.filter(merged_into=None).count() == 7
    assert Identity.objects.count() == 13
    for customer in Customer.objects.filter(merged_into=None):
        assert customer.orders_count == 1
        assert customer.spent_amount == 6
    assert Customer.objects.get(email="u1@mail.example").consents.count() == 1
