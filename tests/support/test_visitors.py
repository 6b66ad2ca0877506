import json
from datetime import timedelta
from typing import Any

import pytest
from django.core import signing
from django.test import Client

from crm.core import clock
from crm.core.models import AuditEntry, Source, User
from customers.models import Customer
from support import conversations, crowds, language, limits, visitors
from support.models import Conversation, TokenRevocation
from support.visitors import IdentityClaim, Visitor
from tests.factories import CustomerFactory, IdentityFactory, SourceFactory, UserFactory
from tests.support.conftest import NOW, VISITOR

ORIGIN = {"HTTP_ORIGIN": "http://testserver"}


def claim(shop: Source, *, user_id: str = "u1", email: str = "lin@mail.example", age: float = 0, key: str = "pepper", **changed: Any) -> IdentityClaim:
    timestamp = int(NOW.timestamp() - age)
    signed = visitors.signature(key, user_id=user_id, email=email, timestamp=timestamp)
    return IdentityClaim(**{"user_id": user_id, "email": email, "timestamp": timestamp, "signature": signed, **changed})


@pytest.mark.parametrize(
    ("origin", "accepted"),
    [
        ("https://tea.example", True),
        ("https://TEA.example:443", True),
        ("http://crm.example", True),
        ("https://crm.example", True),
        ("http://tea.example", False),
        ("https://tea.example:8443", False),
        ("https://tea.example.evil.example", False),
        ("https://evil.example/https://tea.example", False),
        ("https://tea.example@evil.example", False),
        ("https://evil.example#tea.example", False),
        ("null", False),
        ("", False),
        ("file://", False),
        ("https://tea.example\n", True),
        ("https://tea.exa mple", False),
        ("https://[", False),
    ],
)
def test_origin_must_be_this_installation_or_listed(shop: Source, origin: str, accepted: bool) -> None:
    try:
        visitors.check_origin(source=shop, origin=origin, own_host="crm.example")
        answer = True
    except visitors.OriginForeign:
        answer = False

    assert answer is accepted


def test_empty_list_admits_only_this_installation(shop: Source) -> None:
    shop.allowed_origins = []

    visitors.check_origin(source=shop, origin="https://crm.example", own_host="crm.example")
    with pytest.raises(visitors.OriginForeign):
        visitors.check_origin(source=shop, origin="https://tea.example", own_host="crm.example")


def test_token_says_who_it_was_issued_for_and_nothing_else_is_believed(shop: Source) -> None:
    visitor = Visitor(shop.pk, VISITOR)
    token = visitors.issue(visitor)

    assert visitors.read(token, now=NOW) == visitor
    for bad in (
        "",
        "x",
        token[:-1],
        token + "a",
        signing.dumps({"s": 1, "v": VISITOR}),
        signing.dumps([1], salt="support.visitor"),
        signing.dumps({}, salt="support.visitor"),
    ):
        with pytest.raises(visitors.TokenBad):
            visitors.read(bad, now=NOW)


def test_proven_identity_must_be_proven_again_after_a_day(shop: Source) -> None:
    token = visitors.issue(Visitor(shop.pk, VISITOR, 7, int(NOW.timestamp())))

    assert visitors.read(token, now=NOW + timedelta(hours=23)).customer_id == 7
    with pytest.raises(visitors.TokenBad):
        visitors.read(token, now=NOW + timedelta(hours=25))


@pytest.mark.parametrize(
    "change",
    [
        {"key": "guess"},
        {"age": 3601},
        {"age": -301},
        {"signature": ""},
        {"signature": "é"},
        {"email": "boss@mail.example", "signature": "0" * 64},
        {"user_id": ""},
        {"user_id": "a\nb"},
        {"user_id": "a\x00b"},
    ],
)
def test_forged_or_stale_identity_is_refused_and_makes_nobody(shop: Source, change: dict[str, Any]) -> None:
    with pytest.raises(visitors.IdentityBad):
        visitors.enter(source=shop, now=NOW, visitor_id=VISITOR, claim=claim(shop, **change))

    assert not Customer.objects.exists()


def test_a_shop_without_a_secret_proves_nobody(shop: Source) -> None:
    shop.identity_secret = ""

    with pytest.raises(visitors.IdentityBad):
        visitors.enter(source=shop, now=NOW, claim=claim(shop, key=""))


def test_identity_finds_the_customer_and_the_renewal_keeps_them(shop: Source) -> None:
    known = CustomerFactory(email="lin@mail.example")
    IdentityFactory(customer=known, kind="email", value="lin@mail.example")

    proven = visitors.enter(source=shop, now=NOW, visitor_id=VISITOR, claim=claim(shop))
    renewed = visitors.enter(source=shop, now=NOW, visitor_id=VISITOR, renewed=proven)
    other_browser = visitors.enter(source=shop, now=NOW, visitor_id="f" * 32, renewed=proven)
    other_shop = visitors.enter(source=SourceFactory(), now=NOW, visitor_id=VISITOR, renewed=proven)

    assert (proven.customer_id, renewed, other_browser.customer_id, other_shop.customer_id) == (known.pk, proven, None, None)


def test_an_unproven_visitor_never_sees_a_proven_conversation_of_the_same_browser(shop: Source) -> None:
    lin = CustomerFactory()
    proven = conversations.open(source_id=shop.pk, visitor_id=VISITOR, customer_id=lin.pk, is_verified=True, now=NOW)

    assert conversations.current(source_id=shop.pk, visitor_id=VISITOR, customer_id=None) is None
    assert conversations.current(source_id=shop.pk, visitor_id="f" * 32, customer_id=lin.pk) == proven


def test_typing_an_address_makes_nobody_a_known_customer(shop: Source, talk: Conversation) -> None:
    CustomerFactory(email="lin@mail.example")

    conversations.post(conversation_id=talk.pk, author="visitor", text="I am lin@mail.example", now=NOW)

    talk.refresh_from_db()
    assert (talk.customer, talk.is_verified) == (None, False)


# ---- The HTTP doors ------------------------------------------------------------------------------------------------


def post(client: Client, path: str, body: object, **headers: str) -> Any:
    return client.post(f"/widget/api/{path}", json.dumps(body), content_type="application/json", **{**ORIGIN, **headers})


def entered(client: Client) -> dict[str, str]:
    return {"HTTP_X_VISITOR_TOKEN": post(client, "token", {"key": "wk_tea"}).json()["token"]}


def test_a_foreign_page_gets_no_token(client: Client, shop: Source) -> None:
    answer = post(client, "token", {"key": "wk_tea"}, HTTP_ORIGIN="https://evil.example")

    assert (answer.status_code, answer.json()["code"]) == (403, "origin_foreign")


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("token", {"key": "wk\x00tea"}, "body_bad"),
        ("send", {"client_id": "a\x00", "text": "hello"}, "body_bad"),
        ("send", {"client_id": "a", "text": "hello", "choice": "\x00"}, "body_bad"),
        ("send", {"client_id": "a", "text": "hello", "choice": "x" * 61}, "body_bad"),
        ("send", {"client_id": "a", "text": "\x00 \x00"}, "text_empty"),
        ("act", {"email": "lin\x00@mail.example"}, "body_bad"),
    ],
)
def test_zero_bytes_are_refused_in_words(client: Client, shop: Source, path: str, body: object, code: str) -> None:
    client.raise_request_exception = False
    headers = {"Origin": "https://tea.example", "X-Visitor-Token": visitors.issue(Visitor(shop.pk, VISITOR))}
    client.post("/widget/api/send", {"client_id": "first", "text": "hello"}, content_type="application/json", headers=headers)

    answer = client.post(f"/widget/api/{path}", body, content_type="application/json", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_a_zero_byte_in_the_address_of_a_widget_is_an_unknown_widget(client: Client, shop: Source) -> None:
    client.raise_request_exception = False

    assert client.get("/w/wk_tea%00/").status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"key": "wk_nobody"}, 404, "key_unknown"),
        ({"key": 5}, 400, "body_bad"),
        ([], 400, "body_bad"),
        ({"key": "wk_tea", "identity": "me"}, 403, "identity_bad"),
        ({"key": "wk_tea", "identity": {"user_id": "u", "email": "", "timestamp": True, "signature": ""}}, 403, "identity_bad"),
        ({"key": "wk_tea", "visitor_id": {"$ne": 1}}, 400, "body_bad"),
    ],
)
def test_bad_token_requests(client: Client, shop: Source, body: object, status: int, code: str) -> None:
    answer = post(client, "token", body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_visitor_id_of_another_shape_is_replaced(client: Client, shop: Source) -> None:
    answer = post(client, "token", {"key": "wk_tea", "visitor_id": "1' OR 1=1"}).json()

    assert len(answer["visitor_id"]) == 32


def test_polling_sends_once_and_returns_the_rest(client: Client, shop: Source) -> None:
    headers = entered(client)
    first = post(client, "send", {"client_id": "a", "text": "hello"}, **headers).json()
    again = post(client, "send", {"client_id": "a", "text": "hello"}, **headers).json()

    news = client.get("/widget/api/since", {"seq": 0, "conversation": first["state"]["conversation"]}, **headers).json()

    assert (first["seq"], again["seq"]) == (1, 1)
    assert [(item["seq"], item["text"], item["client_id"]) for item in news["items"]] == [(1, "hello", "a")]
    assert news["upto"] == 1


def test_two_visitors_never_see_each_other(client: Client, shop: Source) -> None:
    one, other = entered(client), entered(client)
    conversation = post(client, "send", {"client_id": "a", "text": "secret"}, **one).json()["state"]["conversation"]

    news = client.get("/widget/api/since", {"seq": 0, "conversation": conversation}, **other).json()

    assert (news["items"], news["state"]["conversation"]) == ([], "")


@pytest.mark.parametrize("token", ["", "x", "eyJ:x:y"])
def test_without_a_valid_token_nothing_is_told(client: Client, shop: Source, token: str) -> None:
    answer = client.get("/widget/api/since", HTTP_X_VISITOR_TOKEN=token, **ORIGIN)

    assert (answer.status_code, answer.json()["code"]) == (401, "token_bad")


def test_a_closed_widget_takes_its_tokens_along(client: Client, shop: Source) -> None:
    headers = entered(client)
    Source.objects.update(is_active=False)

    assert client.get("/widget/api/since", **headers, **ORIGIN).status_code == 401


def test_a_revoked_token_is_refused_and_the_next_one_is_good(client: Client, shop: Source, agent: User) -> None:
    headers = entered(client)
    visitors.revoke(source=shop, by=agent, now=clock.now() + timedelta(seconds=1))

    refused = client.get("/widget/api/since", **headers, **ORIGIN)
    TokenRevocation.objects.update(at=clock.now() - timedelta(seconds=2))

    assert (refused.status_code, refused.json()["code"]) == (401, "token_bad")
    assert client.get("/widget/api/since", **entered(client), **ORIGIN).status_code == 200
    assert AuditEntry.objects.get(action="chat.revoke_tokens").actor == agent


def test_one_customers_tokens_are_revoked_without_the_others_and_cannot_be_renewed(client: Client, shop: Source) -> None:
    lin, chen = CustomerFactory(), CustomerFactory()
    now = int(clock.now().timestamp())
    tokens = {who: visitors.issue(Visitor(shop.pk, VISITOR, who.pk, now)) for who in (lin, chen)}
    visitors.revoke(source=shop, customer_id=lin.pk, by=None, now=clock.now() + timedelta(seconds=1))

    statuses = [client.get("/widget/api/since", HTTP_X_VISITOR_TOKEN=tokens[who], **ORIGIN).status_code for who in (lin, chen)]
    renewed = [post(client, "token", {"key": "wk_tea", "visitor_id": VISITOR}, HTTP_X_VISITOR_TOKEN=tokens[who]).json()["verified"] for who in (lin, chen)]

    assert statuses == [401, 200]
    assert renewed == [False, True]


def test_revoking_in_the_admin_is_dated_and_signed(client: Client, shop: Source) -> None:
    boss = UserFactory(role="admin", is_staff=True, is_superuser=True)
    client.force_login(boss)

    answer = client.post("/admin/support/tokenrevocation/add/", {"source": shop.pk, "customer": ""})

    assert answer.status_code == 302
    assert TokenRevocation.objects.values_list("source", "customer", "by").get() == (shop.pk, None, boss.pk)


@pytest.mark.parametrize("bucket", ["address_sends", "widget_sends"])
def test_many_visitors_of_one_address_or_widget_are_slowed_down_where_they_poll_too(
    client: Client, shop: Source, monkeypatch: pytest.MonkeyPatch, bucket: str
) -> None:
    monkeypatch.setattr(crowds, bucket, limits.Buckets(per_second=0.2))

    answers = [post(client, "send", {"client_id": "a", "text": "hello"}, **entered(client)).status_code for _ in range(4)]
    person = post(client, "act", {"person": True}, **entered(client))

    assert answers == [200, 200, 200, 429]
    assert (person.status_code, person.json()["code"]) == (429, "too_fast")
    assert Conversation.objects.count() == 3


@pytest.mark.parametrize("bucket", ["address_frames", "widget_frames", "visitor_requests"])
def test_requests_of_every_kind_are_counted(client: Client, shop: Source, monkeypatch: pytest.MonkeyPatch, bucket: str) -> None:
    headers = entered(client)
    monkeypatch.setattr(crowds, bucket, limits.Buckets(per_second=0.2))

    answers = [client.get("/widget/api/since", **headers, **ORIGIN).status_code for _ in range(3)]
    answers += [post(client, "act", {"got": 1}, **headers).status_code]

    assert answers == [200, 200, 200, 429]


def test_the_language_of_the_page_comes_before_the_browsers(client: Client, shop: Source) -> None:
    headers = entered(client)

    client.post("/widget/api/act?lang=zh-Hans", json.dumps({"person": True}), "application/json", **ORIGIN, **headers, HTTP_ACCEPT_LANGUAGE="en-GB")

    said = Conversation.objects.get()
    assert said.language == "zh-hans"
    assert "转接人工" in said.messages.get().text


def test_bodies_beyond_a_frame_are_refused(client: Client, shop: Source) -> None:
    answer = post(client, "send", {"client_id": "a", "text": "x" * 30_000}, **entered(client))

    assert (answer.status_code, answer.json()["code"]) == (400, "body_bad")


def test_the_widget_may_be_framed_by_the_listed_sites_alone(client: Client, shop: Source) -> None:
    answer = client.get("/w/wk_tea/?lang=zh-CN")

    policy = answer.headers["Content-Security-Policy"]
    assert "frame-ancestors 'self' https://tea.example;" in policy + ";"
    assert "X-Frame-Options" not in answer.headers
    assert '<html lang="zh-Hans">' in answer.content.decode()
    assert not answer.cookies


def test_an_unknown_widget_is_a_plain_404(client: Client, shop: Source) -> None:
    assert client.get("/w/wk_nobody/").status_code == 404


@pytest.mark.parametrize(
    ("header", "expected"),
    [("en-GB,en;q=0.8", "en"), ("de-DE,zh-TW;q=0.5,en;q=0.3", "zh-hans"), ("zh-CN", "zh-hans"), ("fr", ""), ("", ""), ("x" * 5000, "")],
)
def test_a_browser_names_its_language(header: str, expected: str) -> None:
    assert language.preferred(header) == expected
