"""The page of a customer with 5,000 events, 200 orders and 20 conversations, whole and by one signed-in marketer, in ms."""

import os
import statistics
import time
from collections.abc import Iterator
from datetime import timedelta

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from crm.core import clock
from crm.core.learning import registry
from crm.core.models import User
from crm.core.models.people import Role
from crm.demo.seed import seed
from customers import portrait, totals
from customers.models import Activity, Customer, Order, Portrait
from support.models import Conversation

REQUESTS = int(os.environ.get("BENCH_ROUNDS", "100"))
EVENTS, ORDERS, CONVERSATIONS = 5_000, 200, 20
TARGET_MS, TARGET_STATEMENTS = 150, 12


def run() -> Iterator[str]:
    """Yield one line, on the small demo shop with trained models of value, stages and churn."""
    now = clock.now()
    seed(as_of=now.replace(hour=0, minute=0, second=0, microsecond=0), progress=lambda *_: None, small=True)
    customer = Customer.objects.people().filter(orders_count__gt=3, activities__isnull=False).first()
    assert customer is not None
    _fill(customer)
    for task in ("value", "lifecycle", "churn"):
        registry.run(task, as_of=now, force=True)
    portrait.refresh(as_of=now)
    assert Portrait.objects.get(customer=customer).value_365 is not None
    client, url = _client(), reverse("customers:detail", args=[customer.pk])
    client.get(url)
    with CaptureQueriesContext(connection) as captured:
        size = len(client.get(url).content)
    # Counted now: the next request clears the log.
    statements = len(captured)
    taken = sorted(_ms(client, url) for _request in range(REQUESTS))
    middle, high = statistics.median(taken), taken[max(round(0.95 * len(taken)) - 1, 0)]
    yield (
        f"{'customer page, long history':<34} median {middle:.0f} ms   p95 {high:.0f} ms   target {TARGET_MS} ms   "
        f"{statements} statements of {TARGET_STATEMENTS}   {size / 1000:.0f} kB of HTML"
    )


def _fill(customer: Customer) -> None:
    """Give the customer what is lacking of the long history, spread over the two years before now."""
    now, source = clock.now(), customer.orders.all()[0].source
    step = timedelta(days=700) / EVENTS
    Activity.objects.bulk_create(
        Activity(
            source=source,
            message_id=f"bench-{n}",
            customer=customer,
            kind="track",
            name="Product Viewed",
            occurred_at=now - n * step,
            received_at=now,
        )
        for n in range(EVENTS - customer.activities.count())
    )
    Order.objects.bulk_create(
        Order(
            source=source,
            external_id=f"bench-{n}",
            customer=customer,
            placed_at=now - timedelta(days=3 * n + 1),
            currency=customer.currency,
            total_amount=100 + n,
        )
        for n in range(ORDERS - customer.orders.count())
    )
    Conversation.objects.bulk_create(
        Conversation(source=source, customer=customer, visitor_id=f"bench-{n}", opened_at=now, last_message_at=now, csat=1 + n % 5)
        for n in range(CONVERSATIONS - Conversation.objects.filter(customer=customer).count())
    )
    totals.refresh([customer.pk])


def _client() -> Client:
    user = User.objects.create_user(username="page", role=Role.MARKETER, email="page@mail.example")
    client = Client(SERVER_NAME="localhost")
    client.force_login(user)
    return client


def _ms(client: Client, url: str) -> float:
    began = time.perf_counter()
    answer = client.get(url)
    seconds = time.perf_counter() - began
    assert answer.status_code == 200, url
    return seconds * 1000
