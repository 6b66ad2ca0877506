"""Batches that come at the same time: those about the same people take turns, equal ones are stored once."""

import random
import threading
from decimal import Decimal

import pytest
from django.db import connection, transaction

from crm.core import clock, rows
from crm.core.models import Source
from customers import ingest, totals
from customers.models import Activity, Customer, Identity, Order, Return
from tests.customers.tracking.conftest import KEY, event, post


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


@pytest.mark.django_db(transaction=True)
def test_a_refund_that_came_in_the_moment_its_order_was_imported_is_joined_to_it():
    source = Source.objects.create(name="Shop", write_key=KEY, currency="EUR")
    bought = ingest.OrderFacts(
        "7", clock.now(), "EUR", (ingest.LineFacts(ingest.ProductFacts("P1"), 2, Decimal(10)),), ingest.PersonKey("u1"), total_amount=Decimal(20)
    )
    stored, refunded = threading.Event(), threading.Event()

    def bring_in():
        try:
            with transaction.atomic():
                ingest.record_orders(source_id=source.pk, orders=[bought], at=clock.now())
                stored.set()
                refunded.wait(20)
        finally:
            connection.close()

    importing = threading.Thread(target=bring_in)
    importing.start()
    stored.wait(20)
    # The shop's server names nobody but the order, so that nothing makes it wait for the import.
    refund = {"type": "track", "event": "Order Refunded", "anonymousId": "server", "messageId": "m", "properties": {"order_id": "7", "total": 5}}
    ingest.record_batch(source_id=source.pk, events=[refund], received_at=clock.now())
    refunded.set()
    importing.join()
    assert Return.objects.get().order is None

    buyer, server = (Customer.objects.get(identities__value=value) for value in ("u1", "server"))
    assert (buyer.spent_amount, server.spent_amount) == (20, -5)

    assert ingest.join_late_returns(at=clock.now()) == (buyer.pk, server.pk)

    assert Return.objects.get().order.external_id == "7"
    assert [Customer.objects.get(pk=person.pk).spent_amount for person in (buyer, server)] == [15, 0]
    assert ingest.join_late_returns(at=clock.now()) == ()
