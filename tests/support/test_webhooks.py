"""Webhooks: signed, in order, tried again with pauses, never at an inner address."""

import contextlib
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client

from crm.core import clock
from crm.core.api import keys
from crm.core.models import Source, User
from support import conversations, tickets, webhooks
from support.models import Conversation, Webhook, WebhookDelivery
from tests.factories import CustomerFactory, SourceFactory
from tests.support.conftest import NOW, VISITOR, later


class Receiver:
    """A small server that writes down what it is told. status: what it answers next."""

    def __init__(self) -> None:
        self.status = 200
        self.heard: list[tuple[dict[str, str], bytes]] = []
        self.paths: list[str] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.heard.append((dict(self.headers), body))
                receiver.paths.append(self.path)
                self.send_response(receiver.status)
                self.send_header("Location", "http://127.0.0.1:1/")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?shop=1"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def topics(self) -> list[str]:
        return [json.loads(body)["topic"] for _, body in self.heard]


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.CRM_WEBHOOK_PRIVATE = True
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def hook(receiver: Receiver, db: None) -> Webhook:
    webhooks.forget()
    return Webhook.objects.create(name="erp", url=receiver.url, secret="shh")


@pytest.fixture
def told(hook: Webhook, talk: Conversation, agent: User, django_capture_on_commit_callbacks: object) -> None:
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        conversations.post(conversation_id=talk.pk, author="visitor", text="你好", now=NOW, cause="api")
        conversations.post(conversation_id=talk.pk, author="agent", agent=agent, text="between us", is_note=True, now=NOW)
        conversations.close(conversation_id=talk.pk, by=agent, now=later(1))
        tickets.open(subject="lid", conversation_id=talk.pk, now=later(2))


def test_events_arrive_signed_and_in_order_without_private_notes(told: None, receiver: Receiver) -> None:
    assert webhooks.sweep(now=later(5)) == 4

    assert receiver.topics == ["message.posted", "message.posted", "conversation.changed", "ticket.opened"]
    assert "between us" not in b"".join(body for _, body in receiver.heard).decode()
    headers, body = receiver.heard[0]
    stamp = dict(part.split("=") for part in headers["Perennial-Signature"].split(","))
    expected = hmac.new(b"shh", f"{stamp['t']}.".encode() + body, hashlib.sha256).hexdigest()
    assert stamp == {"t": str(int(later(5).timestamp())), "v1": expected}
    assert json.loads(body)["data"]["text"] == "你好"
    assert json.loads(body)["id"] == headers["Perennial-Event"]
    assert set(WebhookDelivery.objects.values_list("state", flat=True)) == {"delivered"}


def test_a_receiver_that_was_down_ten_minutes_hears_everything_once_in_order_with_the_same_ids(told: None, receiver: Receiver) -> None:
    receiver.status = 503
    ids = [str(each) for each in WebhookDelivery.objects.order_by("pk").values_list("event_id", flat=True)]
    now = later(5)
    while now < later(600):
        webhooks.sweep(now=now)
        now += timedelta(seconds=10)
    tries = len(receiver.heard)
    first = {headers["Perennial-Event"] for headers, _ in receiver.heard}
    receiver.status, receiver.heard = 200, []

    assert webhooks.sweep(now=later(1800)) == 4

    # Only the oldest was tried meanwhile, with growing pauses.
    assert (tries, first) == (4, {ids[0]})
    assert [headers["Perennial-Event"] for headers, _ in receiver.heard] == ids
    assert WebhookDelivery.objects.order_by("pk").first().attempts == 5  # type: ignore[union-attr]


@pytest.mark.parametrize("status", [301, 404, 500])
def test_only_a_2xx_counts_and_no_redirect_is_followed(told: None, receiver: Receiver, status: int) -> None:
    receiver.status = status

    assert webhooks.sweep(now=later(5)) == 0

    assert len(receiver.heard) == 1
    assert WebhookDelivery.objects.order_by("pk").first().status == status  # type: ignore[union-attr]


def test_after_ten_attempts_it_is_given_up_and_the_next_one_goes(told: None, receiver: Receiver) -> None:
    receiver.status = 500
    now = later(5)
    for _ in webhooks.PAUSES:
        webhooks.sweep(now=now)
        now += timedelta(days=1)
    receiver.status = 200
    webhooks.sweep(now=now)

    assert list(WebhookDelivery.objects.order_by("pk").values_list("state", flat=True)) == ["given_up", "delivered", "delivered", "delivered"]


def test_two_workers_send_a_delivery_once(told: None, receiver: Receiver) -> None:
    [pk] = webhooks.due(now=later(5))
    WebhookDelivery.objects.filter(pk=pk).update(next_at=later(5) + webhooks.LEASE)

    assert not webhooks.attempt(delivery_id=pk, now=later(5))
    assert receiver.heard == []


def test_an_address_in_chinese_is_told_and_one_that_cannot_be_asked_holds_up_nobody(told: None, hook: Webhook, receiver: Receiver) -> None:
    Webhook.objects.update(url=f"{receiver.url}&名=茶")
    other = Webhook.objects.create(name="crm", url=f"http://{'ü' * 60}.example/")
    WebhookDelivery.objects.filter(topic="ticket.opened").update(webhook=other)
    WebhookDelivery.objects.filter(topic="message.posted").delete()

    assert webhooks.sweep(now=later(5)) == 1

    assert receiver.paths == ["/hook?shop=1&%E5%90%8D=%E8%8C%B6"]
    kept = WebhookDelivery.objects.get(webhook=other)
    assert (kept.attempts, kept.error) == (1, "UnicodeError")


def test_a_row_whose_turn_comes_late_is_nobody_elses(told: None, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow receiver: the lease begins when a row is sent, not when the round began."""
    seconds = [0.0]
    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=lambda: seconds[0]))

    def slow(*_args: object, **_more: object) -> webhooks.Answer:
        seconds[0] += 25
        assert webhooks.due(now=later(5 + seconds[0])) == []
        return webhooks.Answer(200)

    monkeypatch.setattr(webhooks, "send", slow)
    monkeypatch.setattr(webhooks, "MOST_SECONDS", 1000)

    assert webhooks.sweep(now=later(5)) == 4


def test_a_slow_address_gets_no_more_than_its_share_of_a_round(told: None, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [0.0]
    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=lambda: seconds[0]))

    def slow(*_args: object, **_more: object) -> webhooks.Answer:
        seconds[0] += 20
        return webhooks.Answer(200)

    monkeypatch.setattr(webhooks, "send", slow)

    assert [webhooks.sweep(now=later(5)), webhooks.sweep(now=later(100))] == [2, 2]


def test_an_answer_that_comes_in_drops_is_cut_off(hook: Webhook, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CRM_WEBHOOK_PRIVATE = True
    monkeypatch.setattr(webhooks, "LONGEST_SECONDS", 0.4)
    is_cut = threading.Event()

    def drip(server: socket.socket) -> None:
        link, _ = server.accept()
        with link, contextlib.suppress(OSError):
            link.sendall(b"HTTP/1.1 ")
            for _ in range(60):
                time.sleep(0.1)
                link.sendall(b"2")
            return
        is_cut.set()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=drip, args=(server,), daemon=True).start()
        hook.url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        answer = webhooks.send(hook, body=b"{}", event_id="1", topic="message.posted", now=NOW)

        assert answer.status == 0
        assert is_cut.wait(5)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/", "http://[::1]/", "http://10.0.0.5/", "http://169.254.169.254/latest", "ftp://8.8.8.8/", "http://a:b@8.8.8.8/", "http://0.0.0.0/", "http://8.8.8.8:99999/", "http://[::ffff:127.0.0.1]/"],
)  # fmt: skip
def test_inner_addresses_are_refused(url: str) -> None:
    with pytest.raises(webhooks.AddressForbidden):
        webhooks.check_address(url)


def test_topics_and_shops_are_respected(hook: Webhook, shop: Source) -> None:
    other = SourceFactory()
    Webhook.objects.update(topics=["ticket.opened"])
    hook.sources.add(other)

    def kept(topic: str, source: Source) -> int:
        return webhooks.enqueue(topic=topic, data={}, source_id=source.pk, at=NOW)

    assert [kept("ticket.opened", other), kept("ticket.opened", shop), kept("message.posted", other)] == [1, 0, 0]


class TestApi:
    @pytest.fixture
    def partner(self, shop: Source, client: Client) -> Client:
        _, token = keys.create(name="erp", scopes=["support:read", "support:write"], sources=[shop])
        client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        return client

    def test_a_webhook_shows_its_secret_once_and_its_log(self, partner: Client, receiver: Receiver, shop: Source) -> None:
        made = partner.post("/api/v1/webhooks", {"name": "erp", "url": receiver.url, "topics": ["ticket.opened"]}, content_type="application/json")
        shown = partner.get(f"/api/v1/webhooks/{made.json()['id']}")
        webhooks.enqueue(topic="ticket.opened", data={}, source_id=shop.pk, at=NOW)
        log = partner.get(f"/api/v1/webhooks/{made.json()['id']}/deliveries").json()["data"]

        assert made.status_code == 201
        assert len(made.json()["secret"]) >= 40
        assert "secret" not in shown.json()
        assert [row["topic"] for row in log] == ["ticket.opened"]
        assert list(Webhook.objects.get().sources.all()) == [shop]

    def test_bad_addresses_and_topics_are_refused(self, partner: Client) -> None:
        for values in ({"url": "http://127.0.0.1/"}, {"url": f"http://{'ü' * 60}.example/"}, {"url": "https://8.8.8.8/", "topics": ["everything"]}):
            assert partner.post("/api/v1/webhooks", {"name": "x", **values}, content_type="application/json").status_code == 400

    def test_another_shops_webhooks_do_not_exist(self, partner: Client, db: None) -> None:
        everybody = Webhook.objects.create(name="all", url="https://8.8.8.8/")
        both = Webhook.objects.create(name="both", url="https://8.8.8.8/")
        both.sources.set([SourceFactory(), Source.objects.get(write_key="wk_tea")])

        assert partner.get("/api/v1/webhooks").json()["data"] == []
        assert {partner.get(f"/api/v1/webhooks/{each.pk}").status_code for each in (everybody, both)} == {404}

    def test_a_program_answers_tags_and_closes_a_chat(self, partner: Client, talk: Conversation) -> None:
        path = f"/api/v1/conversations/{talk.public_id}"
        sent = [partner.post(f"{path}/messages", {"text": "On its way", "client_id": "a"}, content_type="application/json") for _ in range(2)]
        changed = partner.patch(path, {"priority": 3, "tags": ["erp", "VIP"], "state": "closed"}, content_type="application/json")

        assert [answer.status_code for answer in sent] == [201, 200]
        assert [answer.json()["seq"] for answer in sent] == [1, 1]
        assert (changed.json()["state"], changed.json()["priority"], changed.json()["tags"]) == ("closed", 3, ["VIP", "erp"])
        talk.refresh_from_db()
        assert talk.agent is None

    def test_as_many_tags_as_there_may_be_can_be_said_again(self, partner: Client, talk: Conversation) -> None:
        tags = [f"t{number:02}" for number in range(20)]

        for _ in range(2):
            changed = partner.patch(f"/api/v1/conversations/{talk.public_id}", {"tags": tags}, content_type="application/json")

            assert changed.json()["tags"] == tags

    def test_tickets_go_through_the_same_verbs_as_the_console(self, partner: Client, shop: Source) -> None:
        customer = CustomerFactory(source=shop)
        made = partner.post("/api/v1/tickets", {"subject": "lid", "customer": str(customer.public_id)}, content_type="application/json")
        path = f"/api/v1/tickets/{made.json()['id']}"
        changed = partner.patch(path, {"state": "solved"}, content_type="application/json", HTTP_IF_MATCH=made["ETag"])
        stale = partner.patch(path, {"state": "open"}, content_type="application/json", HTTP_IF_MATCH=made["ETag"])
        empty = partner.patch(path, {"subject": "  "}, content_type="application/json")
        said = partner.post(f"{path}/comments", {"text": "sent"}, content_type="application/json")

        assert (changed.json()["state"], changed.json()["solved_at"] is not None, stale.status_code) == ("solved", True, 412)
        assert empty.status_code in {400, 422}
        assert said.json()["text"] == "sent"
        assert [row["kind"] for row in partner.get(f"{path}/comments").json()["data"]] == ["comment", "state"]

    def test_a_foreign_chat_is_not_there(self, partner: Client) -> None:
        talk = conversations.open(source_id=SourceFactory().pk, visitor_id=VISITOR, now=NOW)

        for answer in (
            partner.get(f"/api/v1/conversations/{talk.public_id}"),
            partner.patch(f"/api/v1/conversations/{talk.public_id}", {"state": "closed"}, content_type="application/json"),
            partner.post(f"/api/v1/conversations/{talk.public_id}/messages", {"text": "x"}, content_type="application/json"),
        ):
            assert answer.status_code == 404

    def test_a_shop_that_goes_leaves_no_key_and_no_webhook_with_every_shop(self, partner: Client, shop: Source) -> None:
        """Removing the demo shop did: to be limited to no shop is to be limited by none."""
        other, third = SourceFactory(), SourceFactory()
        conversations.open(source_id=other.pk, visitor_id=VISITOR, now=NOW)
        mine, both = (Webhook.objects.create(name=name, url="https://8.8.8.8/") for name in ("mine", "both"))
        mine.sources.set([shop])
        both.sources.set([shop, third])
        wide, _ = keys.create(name="wide", scopes=["support:read"], sources=[shop, third])

        Source.objects.filter(pk=shop.pk).delete()

        assert partner.get("/api/v1/conversations").status_code == 401
        assert webhooks.enqueue(topic="ticket.opened", data={}, source_id=other.pk, at=NOW) == 0
        assert webhooks.enqueue(topic="ticket.opened", data={}, source_id=third.pk, at=NOW) == 1
        wide.refresh_from_db()
        assert (wide.revoked_at, list(wide.sources.all())) == (None, [third])
