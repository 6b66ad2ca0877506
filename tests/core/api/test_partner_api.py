"""Keys, scopes, other shops' objects, cursors, idempotency and ETags of the partner API."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone

from crm.core.api import keys
from crm.core.models import AuditEntry, IdempotencyRecord, Source
from customers.models import Customer, Product, Segment
from recommendations.models import RecommendationFeedback

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Source:
    return Source.objects.create(name="Shop", write_key="wk-shop")


@pytest.fixture
def other_shop() -> Source:
    return Source.objects.create(name="Other", write_key="wk-other")


def customer_of(source: Source, name: str = "Ada") -> Customer:
    now = timezone.now()
    return Customer.objects.create(name=name, source=source, first_seen_at=now, last_seen_at=now)


def client_with(*scopes: str, source: Source | None = None) -> Client:
    _key, text = keys.create(name="test", scopes=list(scopes), sources=[source] if source else [])
    return Client(headers={"Authorization": f"Bearer {text}"})


def post(client: Client, path: str, body: object, **headers: str):
    return client.post(path, json.dumps(body), content_type="application/json", headers=headers)


def test_without_a_key_the_answer_is_401_with_code_and_message(client: Client) -> None:
    answer = client.get("/api/v1/customers")

    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"
    assert {"code", "message", "request_id"} <= set(answer.json())


@pytest.mark.parametrize("text", ["Bearer nonsense", "Bearer prn_000000000000_x", "Basic abc", "Bearer \x00"])
def test_a_wrong_key_is_refused(client: Client, text: str) -> None:
    assert client.get("/api/v1/customers", headers={"Authorization": text}).status_code == 401


def test_an_expired_or_revoked_key_is_refused() -> None:
    key, text = keys.create(name="old", scopes=["customers:read"], expires_at=timezone.now() - timedelta(seconds=1))

    assert Client(headers={"Authorization": f"Bearer {text}"}).get("/api/v1/customers").status_code == 401
    assert text.split("_", 2)[2] not in key.secret_hash


def test_a_key_without_the_scope_gets_403() -> None:
    answer = client_with("orders:read").get("/api/v1/customers")

    assert answer.status_code == 403
    assert "customers:read" in answer.json()["message"]


def test_another_shops_customer_is_not_there(shop: Source, other_shop: Source) -> None:
    theirs = customer_of(other_shop)
    client = client_with("customers:read", "customers:write", source=shop)

    assert client.get(f"/api/v1/customers/{theirs.public_id}").status_code == 404
    assert client.get(f"/api/v1/customers/{theirs.public_id}/portrait").status_code == 404
    assert client.patch(f"/api/v1/customers/{theirs.public_id}", '{"name":"x"}', content_type="application/json").status_code == 404
    assert client.get("/api/v1/customers").json()["data"] == []
    theirs.refresh_from_db()
    assert theirs.name == "Ada"


def test_walking_the_list_neither_repeats_nor_hides_while_rows_arrive(shop: Source) -> None:
    before = {str(customer_of(shop, f"c{number}").public_id) for number in range(25)}
    client = client_with("customers:read")
    seen: list[str] = []
    cursor = ""

    while True:
        page = client.get(f"/api/v1/customers?limit=10{cursor}").json()
        seen += [row["id"] for row in page["data"]]
        customer_of(shop, "late")
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"

    assert len(seen) == len(set(seen))
    assert before <= set(seen)


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "cursor=!!", "cursor=YWJj", "updated_since=later"])
def test_bad_query_parameters_are_named(query: str) -> None:
    answer = client_with("customers:read").get(f"/api/v1/customers?{query}")

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == f"/{query.split('=')[0]}"


def test_a_moment_far_from_greenwich_is_understood() -> None:
    answer = client_with("customers:read").get("/api/v1/customers?updated_since=0417-01-25T22:58:54-18:36")

    assert answer.status_code == 200


def test_the_same_idempotency_key_creates_once_and_replays(shop: Source) -> None:
    client = client_with("customers:write", source=shop)

    first = post(client, "/api/v1/customers", {"name": "Bo"}, **{"Idempotency-Key": "k1"})
    again = post(client, "/api/v1/customers", {"name": "Bo"}, **{"Idempotency-Key": "k1"})

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again["Idempotent-Replayed"] == "true"
    assert Customer.objects.count() == 1


def test_the_same_idempotency_key_with_another_body_is_refused() -> None:
    client = client_with("customers:write")
    post(client, "/api/v1/customers", {"name": "Bo"}, **{"Idempotency-Key": "k1"})

    answer = post(client, "/api/v1/customers", {"name": "Cy"}, **{"Idempotency-Key": "k1"})

    assert answer.status_code == 422
    assert answer.json()["code"] == "idempotency_key_reused"
    assert Customer.objects.count() == 1


def test_a_failed_validation_stores_nothing() -> None:
    client = client_with("customers:write")

    answer = post(client, "/api/v1/customers", {"email": "no"}, **{"Idempotency-Key": "k1"})

    assert answer.status_code == 400
    assert IdempotencyRecord.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_twenty_twins_have_one_effect() -> None:
    _key, text = keys.create(name="twins", scopes=["customers:write"])

    def send(_number: int) -> int:
        try:
            return post(Client(headers={"Authorization": f"Bearer {text}"}), "/api/v1/customers", {"name": "Twin"}, **{"Idempotency-Key": "same"}).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(send, range(20)))

    assert Customer.objects.filter(name="Twin").count() == 1
    assert set(statuses) <= {201, 409}
    assert 201 in statuses


def test_if_match_guards_against_overwriting(shop: Source) -> None:
    customer = customer_of(shop)
    client = client_with("customers:read", "customers:write")
    path = f"/api/v1/customers/{customer.public_id}"
    tag = client.get(path)["ETag"]

    changed = client.patch(path, '{"city":"Rotterdam"}', content_type="application/json", headers={"If-Match": tag})
    late = client.patch(path, '{"city":"London"}', content_type="application/json", headers={"If-Match": tag})

    assert (changed.status_code, late.status_code) == (200, 412)
    assert changed["ETag"] != tag
    customer.refresh_from_db()
    assert customer.city == "Rotterdam"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["segments", "customers", "campaigns"])
def test_of_twelve_editors_with_the_same_tag_one_wins_and_the_others_are_told(kind: str) -> None:
    _key, text = keys.create(name="editors", scopes=list(keys.SCOPES))
    path = f"/api/v1/{kind}"
    made = post(Client(headers={"Authorization": f"Bearer {text}"}), path, {"name": "Spring", **({"rule": {}} if kind == "segments" else {})})
    ready = Barrier(12)

    def edit(number: int) -> int:
        client = Client(headers={"Authorization": f"Bearer {text}", "If-Match": made["ETag"]})
        ready.wait()
        try:
            return client.patch(f"{path}/{made.json()['id']}", json.dumps({"name": f"name {number}"}), content_type="application/json").status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(12) as pool:
        statuses = sorted(pool.map(edit, range(12)))

    assert statuses == [200] + [412] * 11


BAD_BODIES = [
    (b'{"name": "x", "rule": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "parse_error"),
    (b'{"name": "x", "rule": {"field": "\\ud83d"}}', 400, "parse_error"),
    (b'{"name": "\xe9", "rule": {}}', 400, "parse_error"),
    (b'{"name": "x", "rule": {}, "n": ' + b"9" * 5000 + b"}", 400, "parse_error"),
    (b'{"name": "x", "rule": {}, "n": NaN}', 400, "parse_error"),
    (b'{"name": "x", "rule": {}, "n": "' + b"x" * 6_000_000 + b'"}', 413, "body_too_large"),
]


@pytest.mark.parametrize(("body", "status", "code"), BAD_BODIES, ids=[f"{body[2]}-{number}" for number, body in enumerate(BAD_BODIES)])
def test_a_body_that_cannot_be_read_is_refused_as_a_problem(body: bytes, status: int, code: str) -> None:
    answer = client_with("segments:write").post("/api/v1/segments", body, content_type="application/json")

    assert (answer.status_code, answer["Content-Type"], answer.json()["code"]) == (status, "application/problem+json", code)
    assert Segment.objects.count() == 0


def test_an_emoji_written_as_a_pair_and_a_byte_order_mark_are_understood() -> None:
    answer = client_with("segments:write").post("/api/v1/segments", b'\xef\xbb\xbf{"name": "\\ud83d\\ude00", "rule": {}}', content_type="application/json")

    assert (answer.status_code, answer.json()["name"]) == (201, "\U0001f600")


@pytest.mark.parametrize("query", ["orders?customer=", "activity?customer=", "customers?email=", "customers?email=%00"])
def test_an_empty_filter_is_refused_instead_of_answered_with_everything(query: str) -> None:
    assert client_with("customers:read", "orders:read", "activity:read").get(f"/api/v1/{query}").status_code == 400


def test_a_customer_of_whom_nothing_is_said_is_not_made() -> None:
    answer = post(client_with("customers:write"), "/api/v1/customers", {"city": "Rotterdam"})

    assert answer.status_code == 400
    assert Customer.objects.count() == 0


def test_feedback_on_another_shops_product_is_refused(shop: Source, other_shop: Source) -> None:
    product = Product.objects.create(source=other_shop, external_id="p1", name="Pot", first_seen_at=timezone.now())
    said = {"customer": str(customer_of(shop).public_id), "product": product.pk, "kind": "clicked"}

    limited = post(client_with("recommendations:write", source=shop), "/api/v1/recommendations/feedback", said)

    assert limited.status_code == 404
    assert RecommendationFeedback.objects.count() == 0
    assert post(client_with("recommendations:write"), "/api/v1/recommendations/feedback", said).status_code == 201


def test_editing_a_campaign_needs_if_match() -> None:
    client = client_with("campaigns:read", "campaigns:write")
    made = post(client, "/api/v1/campaigns", {"name": "Spring", "texts": [{"language": "en", "subject": "Hi", "body": "Hello"}]})
    path = f"/api/v1/campaigns/{made.json()['id']}"

    without = client.patch(path, '{"name":"x"}', content_type="application/json")
    with_tag = client.patch(path, '{"name":"Summer"}', content_type="application/json", headers={"If-Match": made["ETag"]})

    assert (without.status_code, with_tag.status_code) == (428, 200)
    assert with_tag.json()["name"] == "Summer"
    assert AuditEntry.objects.filter(action="campaign.change").count() == 1


@pytest.mark.parametrize(
    "rule", [{"field": "password", "operator": "=", "value": 1}, {"op": "xor", "rules": []}, {"field": "name", "operator": "; drop table", "value": "x"}]
)
def test_a_bad_segment_rule_is_named(rule: dict[str, object]) -> None:
    answer = post(client_with("segments:write"), "/api/v1/segments", {"name": "s", "rule": rule})

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"].startswith("/rule")
    assert Segment.objects.count() == 0


def test_rate_limit_answers_429_with_retry_after(settings) -> None:
    settings.CRM_API_RATE_PER_MINUTE = 2
    client = client_with("customers:read")

    answers = [client.get("/api/v1/customers") for _ in range(5)]

    # A minute may turn over between two of the calls: of five, one minute then still holds three.
    assert answers[0]["RateLimit-Limit"] == "2"
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert 1 <= int(refused[0]["Retry-After"]) <= 61


def test_addresses_work_with_and_without_slash_and_never_redirect() -> None:
    client = client_with("customers:read")

    assert client.get("/api/v1/customers").status_code == 200
    assert client.get("/api/v1/customers/").status_code == 200
    for path in ("schema", "docs"):
        assert (client.get(f"/api/{path}").status_code, client.get(f"/api/{path}/").status_code) == (200, 200)


def test_docs_page_lists_every_operation(client: Client) -> None:
    page = client.get("/api/docs/").content.decode()

    assert "/api/v1/customers/{id}/portrait" in page
    assert "customers:read" in page
