"""Calls that are refused whole: bad bodies, keys, origins, addresses and sizes; nothing is stored of them."""

import gzip

import pytest
from django.test import Client

from customers.models import Activity, Customer, QuarantinedEvent
from tests.customers.tracking.conftest import event, post


def assert_refused(response, status, code):
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/json"
    body = response.json()
    assert body["code"] == code
    assert body["message"]
    assert Activity.objects.count() == 0
    assert Customer.objects.count() == 0
    assert QuarantinedEvent.objects.count() == 0


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


def test_more_events_than_a_library_would_send_are_refused_before_any_is_looked_at(source):
    assert_refused(post("/v1/batch", b'{"batch": [' + b"0," * 10_000 + b"0]}"), 413, "batch_too_large")


def test_strict_mode_answers_400_and_stores_nothing(source):
    assert_refused(post("/v1/batch", {"batch": [event(1), {"type": "track"}]}, headers={"X-Strict-Mode": "1"}), 400, "missing_id")
    assert_refused(post("/v1/track", {"userId": "u"}, headers={"X-Strict-Mode": "1"}), 400, "missing_event")


def test_single_event_over_32_kb_is_413_and_in_a_batch_it_is_set_aside(source):
    assert_refused(post("/v1/track", event(properties={"x": "y" * 33_000})), 413, "event_too_large")
