"""Three vendors' libraries, unchanged, pointed at a running server: every call becomes exactly one row."""

import uuid
from collections import Counter

import pytest

from crm.core.models import Source
from customers.models import Activity, Customer, Identity, Order

pytestmark = pytest.mark.django_db(transaction=True)


def segment_client(key, url, failures):
    from segment.analytics import Client

    return Client(key, host=url, on_error=lambda error, _: failures.append(error), max_retries=1, gzip=True)


def rudder_client(key, url, failures):
    from rudderstack.analytics import Client

    return Client(key, host=url, on_error=lambda error, _: failures.append(error), max_retries=1)


def customerio_client(key, url, failures):
    from customerio.analytics import Client

    return Client(key, host=url, on_error=lambda error, _: failures.append(error), max_retries=1)


@pytest.mark.parametrize("make", [segment_client, rudder_client, customerio_client])
def test_library_delivers_every_call_once(running_server, make):
    key = f"wk_{uuid.uuid4().hex}"
    source = Source.objects.create(name=make.__name__, write_key=key, currency="EUR")
    failures = []
    client = make(key, running_server.url, failures)

    client.page(anonymous_id="browser-1", name="Home", properties={"url": "https://shop.example/"})
    client.identify("user-1", {"email": "Ann@Shop.example", "name": "Ann", "emailOptIn": True}, anonymous_id="browser-1")
    client.track("user-1", "Product Viewed", {"product_id": "P1", "name": "Teapot", "price": 12.5})
    client.track("user-1", "Order Completed", {"order_id": "O-1", "total": 25, "products": [{"product_id": "P1", "price": 12.5, "quantity": 2}]})
    client.group("user-1", "club", {"name": "Tea club"})
    client.alias("browser-2", "user-1")
    client.flush()
    client.join()

    assert failures == []
    rows = list(Activity.objects.filter(source=source).values_list("message_id", "kind"))
    assert Counter(kind for _, kind in rows) == {"page": 1, "identify": 1, "track": 2, "group": 1, "alias": 1}
    assert len({message_id for message_id, _ in rows}) == 6
    customer = Customer.objects.get(source=source, merged_into=None)
    assert (customer.email, customer.name, customer.is_anonymous, customer.orders_count, customer.spent_amount) == ("ann@shop.example", "Ann", False, 1, 25)
    assert set(Identity.objects.filter(customer=customer).values_list("kind", "value")) == {
        ("user", "user-1"),
        ("anonymous", "browser-1"),
        ("anonymous", "browser-2"),
        ("email", "ann@shop.example"),
    }
    assert Activity.objects.filter(source=source, customer=customer).count() == 6
    order = Order.objects.get(source=source)
    assert (order.external_id, order.total_amount, order.currency, order.customer_id) == ("O-1", 25, "EUR", customer.pk)
    assert customer.consents.get().state == "granted"


def test_library_stops_at_once_on_a_wrong_key(running_server):
    """Without `code` and `message` in the answer this library would retry a final refusal."""
    failures = []
    client = rudder_client("wk_wrong", running_server.url, failures)

    client.track("user-1", "Looked")
    client.flush()
    client.join()

    assert len(failures) == 1
    assert "invalid_write_key" in str(failures[0]) or "401" in str(failures[0])
    assert Activity.objects.count() == 0
