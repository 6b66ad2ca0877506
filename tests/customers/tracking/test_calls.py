"""The /v1 surface as senders meet it: every call, in any wrapping, becomes one row with its own times, once however often it comes."""

import gzip
import json
from datetime import UTC, datetime, timedelta

import pytest

from crm.core.models import Source
from customers.models import Activity, Customer, Identity
from tests.customers.tracking.conftest import KEY, event, post

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
