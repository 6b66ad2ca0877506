"""What shop events and facts become: orders, returns, reviews, products, totals, people; each exactly once."""

import itertools
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from crm.core import events as bus
from crm.core.models import Source
from customers import ecommerce, ingest, totals
from customers.events import FactsRecorded, OrderRecorded
from customers.ingest import LineFacts, OrderFacts, PersonFacts, PersonKey, ProductFacts, ReturnFacts, ReviewFacts
from customers.models import Activity, Category, ConsentEntry, Customer, Identity, Order, OrderLine, Product, Return, ReturnLine, Review

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def source(db):
    return Source.objects.create(name="Shop", write_key="wk_ingest", currency="EUR")


def send(source, *calls, at=AT, **options):
    return ingest.record_batch(source_id=source.pk, events=list(calls), received_at=at, currency="EUR", **options)


def track(name, message_id, properties=None, user="u1", **values):
    return {"type": "track", "event": name, "messageId": message_id, "userId": user, "properties": properties or {}, **values}


def order(number="O1", message_id="m1", products=((("P1"), 10, 2), ("P2", 5.5, 1)), **properties):
    items = [{"product_id": code, "price": price, "quantity": quantity, "name": f"Product {code}"} for code, price, quantity in products]
    return track("Order Completed", message_id, {"order_id": number, "products": items, **properties})


def customer(value="u1"):
    return Customer.objects.get(identities__kind="user", identities__value=value)


def test_order_completed_becomes_an_order_with_lines_products_and_totals(source):
    send(source, order(shipping=4, tax=1.5, discount=2, coupon="SPRING", currency="usd"))

    row = Order.objects.get()
    assert (row.external_id, row.total_amount, row.currency, row.coupon, row.placed_at, row.customer_id) == (
        "O1",
        Decimal("29.00"),
        "USD",
        "SPRING",
        AT,
        customer().pk,
    )
    assert list(row.lines.values_list("product__external_id", "quantity", "unit_amount", "position")) == [("P1", 2, 10, 1), ("P2", 1, Decimal("5.5"), 2)]
    assert (customer().orders_count, customer().spent_amount, customer().currency, customer().last_order_at) == (1, Decimal("29.00"), "USD", AT)
    assert Product.objects.get(external_id="P1").name == "Product P1"


def test_total_and_revenue_are_taken_as_the_specification_says(source):
    send(source, order("O1", "m1", total="99.90", revenue=5), order("O2", "m2", revenue=20, shipping=3, tax=2), order("O3", "m3"))

    assert dict(Order.objects.values_list("external_id", "total_amount")) == {"O1": Decimal("99.90"), "O2": Decimal("25.00"), "O3": Decimal("25.50")}


def test_order_number_counts_once_whatever_the_message_ids(source):
    send(source, order(message_id="m1"), order(message_id="m2"))
    send(source, order(message_id="m3"))

    assert Activity.objects.count() == 3
    assert Order.objects.count() == 1
    assert customer().orders_count == 1
    assert OrderLine.objects.count() == 2


def test_order_updated_replaces_amounts_and_lines_and_creates_what_was_missed(source):
    send(source, order())
    send(source, track("Order Updated", "m2", {"order_id": "O1", "products": [{"product_id": "P3", "price": 7, "quantity": 3}]}))
    send(source, track("Order Updated", "m3", {"order_id": "O9", "total": 12}))

    assert list(OrderLine.objects.values_list("order__external_id", "product__external_id", "quantity")) == [("O1", "P3", 3)]
    assert dict(Order.objects.values_list("external_id", "total_amount")) == {"O1": 21, "O9": 12}
    assert customer().spent_amount == 33


def test_cancelled_order_counts_no_longer(source):
    send(source, order("O1", "m1"), order("O2", "m2"))
    send(source, track("Order Canceled", "m3", {"order_id": "O1"}))

    assert dict(Order.objects.values_list("external_id", "status")) == {"O1": "cancelled", "O2": "paid"}
    assert (customer().orders_count, customer().spent_amount) == (1, Decimal("25.50"))


def test_refund_of_lines_finds_them_and_full_refund_takes_the_rest(source):
    send(source, order(), track("Order Refunded", "m2", {"order_id": "O1", "products": [{"product_id": "P1", "price": 10, "quantity": 1}]}))
    assert customer().spent_amount == Decimal("15.50")
    send(source, track("Order Refunded", "m3", {"order_id": "O1"}))
    send(source, track("Order Refunded", "m4", {"order_id": "O1", "total": 1000}))

    assert list(Return.objects.order_by("id").values_list("total_amount", flat=True)) == [Decimal("10.00"), Decimal("15.50"), Decimal("0.00")]
    line = ReturnLine.objects.get()
    assert (line.order_line.product.external_id, line.quantity) == ("P1", 1)
    assert customer().spent_amount == 0


@pytest.mark.parametrize("is_early", [False, True])
def test_a_refund_that_only_the_shops_server_tells_is_the_buyers(source, is_early):
    refund = track("Order Refunded", "m2", {"order_id": "O1", "total": 5})
    del refund["userId"]
    told = [refund | {"anonymousId": "server"}, order()]
    for each in told if is_early else reversed(told):
        send(source, each)

    assert Return.objects.get().customer == customer()
    assert customer().spent_amount == Decimal("20.50")
    assert not Customer.objects.exclude(spent_amount=0).exclude(pk=customer().pk).exists()


def test_replayed_refund_counts_once(source):
    refund = track("Order Refunded", "m2", {"order_id": "O1", "total": 5})
    send(source, order(), refund)
    send(source, refund)
    send(
        source,
        track("Order Refunded", "m5", {"order_id": "O1", "total": 5, "refund_id": "R1"}),
        track("Order Refunded", "m6", {"order_id": "O1", "total": 5, "refund_id": "R1"}),
    )

    assert Return.objects.count() == 2
    assert customer().spent_amount == Decimal("15.50")


def test_an_update_leaves_what_it_does_not_speak_of(source):
    send(source, order(shipping=4, tax=1.5, discount=2, coupon="SPRING", currency="usd"))

    send(source, track("Order Updated", "m2", {"order_id": "O1", "tax": 3}))
    row = Order.objects.get()
    assert (row.total_amount, row.currency, row.discount_amount, row.shipping_amount, row.tax_amount, row.coupon) == (29, "USD", 2, 4, 3, "SPRING")
    assert row.lines.count() == 2

    send(source, track("Order Updated", "m3", {"order_id": "O1", "products": [{"product_id": "P3", "price": 7, "quantity": 3}], "discount": 0}))
    row.refresh_from_db()
    assert (row.total_amount, row.currency, row.discount_amount, row.shipping_amount, row.tax_amount) == (28, "USD", 0, 4, 3)


EARLY = {
    "cancelled": track("Order Cancelled", "e1", {"order_id": "O1", "total": -1}),
    "updated": track("Order Updated", "e2", {"order_id": "O1", "total": 30, "shipping": 4}),
    "refunded": track("Order Refunded", "e3", {"order_id": "O1"}),
    "refunded in part": track("Order Refunded", "e4", {"order_id": "O1", "products": [{"product_id": "P1", "price": 10, "quantity": 1}]}),
}


@pytest.mark.parametrize(
    "early",
    [[name] for name in EARLY]
    + [["updated", "refunded"], ["cancelled", "refunded in part"], ["refunded in part", "refunded"], ["updated", "refunded in part"]],
)
def test_an_order_that_arrives_after_what_happened_to_it_ends_as_if_it_had_come_first(source, early):
    other = Source.objects.create(name="In order", write_key="wk_in_order", currency="EUR")
    later = [EARLY[name] for name in early]

    for number, call in enumerate([*later, order(timestamp="2026-05-01T10:00:00Z")]):
        send(source, {**call, "timestamp": "2026-05-01T10:00:00Z" if call["messageId"] == "m1" else f"2026-05-0{2 + number}T10:00:00Z"})
    for number, call in enumerate([order(), *later]):
        send(other, {**call, "timestamp": "2026-05-01T10:00:00Z" if call["messageId"] == "m1" else f"2026-05-0{2 + number}T10:00:00Z"})

    def picture(shop):
        row = Order.objects.get(source=shop)
        back = shop.returns.order_by("returned_at").values_list("order_id", "total_amount", "lines__order_line__product__external_id")
        return (
            (row.placed_at, row.status, row.total_amount, row.shipping_amount, sorted(row.lines.values_list("product__external_id", "quantity"))),
            [(order_id == row.pk, *rest) for order_id, *rest in back],
            Customer.objects.filter(source=shop).values_list("orders_count", "spent_amount")[0],
        )

    assert picture(source) == picture(other)


def test_a_return_whose_order_is_unknown_does_not_take_another_order(source):
    send(source, order("O1", "m1"))

    send(source, track("Order Refunded", "m2", {"order_id": "O2", "products": [{"product_id": "P1", "price": 10, "quantity": 1}]}))

    assert (Return.objects.get().order, ReturnLine.objects.get().order_line) == (None, None)
    ingest.record_orders(source_id=source.pk, orders=[facts_of("O2")], at=AT)
    assert (Return.objects.get().order.external_id, ReturnLine.objects.get().order_line.order.external_id) == ("O2", "O2")
    assert customer().spent_amount == Decimal("25.50") + 20 - 10


def test_review_becomes_a_review(source):
    call = track("Product Reviewed", "m1", {"product_id": "P1", "review_id": "R1", "review_body": "很好用", "rating": "4"}, context={"locale": "zh-CN"})
    send(source, call, {**call, "messageId": "m2"})

    row = Review.objects.get()
    assert (row.product.external_id, row.rating, row.body, row.language, row.customer_id, row.written_at) == ("P1", 4, "很好用", "zh-CN", customer().pk, AT)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("order_completed", "Order Completed"),
        ("ORDER COMPLETED", "Order Completed"),
        ("Completed Order", "Order Completed"),
        ("Viewed Product", "Product Viewed"),
        ("Clicked Banner", "Clicked Banner"),
    ],
)
def test_names_are_recognised_in_any_spelling_and_unknown_ones_kept(sent, stored):
    assert ecommerce.canonical_name(sent) == stored


def test_looking_at_a_product_makes_it_and_names_it_on_the_activity(source):
    send(source, track("Product Viewed", "m1", {"product_id": "P1", "name": "Teapot", "category": "Tea", "price": "on request"}))
    send(source, track("Product Viewed", "m2", {"product_id": "P1", "name": "HACKED", "price": 0.01}))

    product = Product.objects.get()
    assert (product.name, product.category.slug, product.price_amount) == ("Teapot", "tea", None)
    assert set(Activity.objects.values_list("product_id", flat=True)) == {product.pk}


def test_identify_fills_the_customer_and_the_ledger(source):
    traits = {
        "email": "Ann@Shop.Example", "firstName": "Ann", "lastName": "Lee", "phone": "+49 1", "locale": "de-DE", "address": {"country": "DE", "city": "Berlin"}, "birthday": "1990-02-03T00:00:00Z",
        "gender": "f", "currency": "eur", "tags": ["vip", "tea"], "consent": {"sms": False, "profiling": "yes"}, "emailOptIn": True, "plan": "gold", "password": "secret",
    }  # fmt: skip
    send(source, {"type": "identify", "userId": "u1", "messageId": "m1", "context": {"traits": traits, "timezone": "Europe/Berlin"}})

    row = customer()
    assert (row.email, row.name, row.phone, row.locale, row.country, row.city) == ("ann@shop.example", "Ann Lee", "+49 1", "de-DE", "DE", "Berlin")
    assert (row.birth_date, row.gender, row.currency, row.tags, row.time_zone, row.traits) == (
        date(1990, 2, 3),
        "f",
        "EUR",
        ["tea", "vip"],
        "Europe/Berlin",
        {"plan": "gold"},
    )
    assert set(ConsentEntry.objects.values_list("channel", "purpose", "state")) == {
        ("email", "marketing", "granted"),
        ("sms", "marketing", "withdrawn"),
        ("any", "profiling", "granted"),
    }
    stored = Activity.objects.get()
    assert "password" not in stored.properties
    assert "secret" not in str(stored.context)
    assert Identity.objects.filter(kind="email", value="ann@shop.example").exists()


def test_later_identify_adds_and_never_erases(source):
    send(source, {"type": "identify", "userId": "u1", "messageId": "m1", "traits": {"name": "Ann", "email": "ann@b.example", "a": 1}})
    send(source, {"type": "identify", "userId": "u1", "messageId": "m2", "traits": {"name": "", "email": "not an address", "b": 2}})

    assert (customer().name, customer().email, customer().traits) == ("Ann", "ann@b.example", {"a": 1, "b": 2})


def test_browsing_before_the_identify_belongs_to_the_person_afterwards(source):
    send(source, {"type": "page", "anonymousId": "b1", "messageId": "m1"}, track("Product Viewed", "m2", {"product_id": "P1"}, user=None, anonymousId="b1"))
    send(source, {"type": "identify", "userId": "u1", "anonymousId": "b1", "messageId": "m3"})

    assert set(Activity.objects.values_list("customer_id", flat=True)) == {customer().pk}
    assert Customer.objects.filter(merged_into=None).count() == 1


def test_alias_brings_the_browser_to_the_person_and_stores_one_row(source):
    send(source, {"type": "page", "anonymousId": "b1", "messageId": "m1"}, track("Looked", "m2"))
    send(source, {"type": "alias", "previousId": "b1", "userId": "u1", "messageId": "m3"})

    assert Activity.objects.filter(customer=customer()).count() == 3
    assert Activity.objects.get(kind="alias").properties == {"previousId": "b1"}


def test_guest_checkout_is_known_by_its_address_and_without_one_by_the_browser(source):
    send(
        source, {**order("O1", "m1", email="Guest@b.example"), "userId": None, "anonymousId": "b1"}, {**order("O2", "m2"), "userId": None, "anonymousId": "b1"}
    )

    guest = Customer.objects.get(merged_into=None)
    assert (guest.email, guest.is_anonymous, guest.orders_count) == ("guest@b.example", False, 2)


def test_traits_cannot_grow_without_end(source):
    for number in range(4):
        send(source, {"type": "identify", "userId": "u1", "messageId": f"m{number}", "traits": {f"t{number}": "x" * 30_000}})

    assert sorted(customer().traits) == ["t0", "t1"]


def test_events_tell_after_commit_and_orders_one_by_one_for_live_sales_only(source, django_capture_on_commit_callbacks):
    orders, facts = [], []
    bus.listen(OrderRecorded, orders.append)
    bus.listen(FactsRecorded, facts.append)

    with django_capture_on_commit_callbacks(execute=True):
        send(source, order("O1", "m1"), order("O2", "m2"))
        send(source, order("O1", "m1"))
        ingest.record_orders(source_id=source.pk, orders=[facts_of("O3")], at=AT, cause="import")

    ids = dict(Order.objects.values_list("external_id", "pk"))
    assert [(event.order_id, event.customer_id, event.cause) for event in orders] == [(ids["O1"], customer().pk, "track"), (ids["O2"], customer().pk, "track")]
    assert [(event.order_ids, event.cause) for event in facts] == [((ids["O1"], ids["O2"]), "track"), ((ids["O3"],), "import")]
    bus._listeners[OrderRecorded].remove(orders.append)
    bus._listeners[FactsRecorded].remove(facts.append)


def facts_of(number, *, user="u1", at=AT, lines=(("P1", 2, "10"),), **values):
    return OrderFacts(
        number, at, "EUR", tuple(LineFacts(ProductFacts(code), quantity, Decimal(price)) for code, quantity, price in lines), PersonKey(user), **values
    )


def test_record_orders_stores_new_ones_and_counts_the_known(source):
    first = ingest.record_orders(source_id=source.pk, orders=[facts_of("O1"), facts_of("O2", user="u2"), facts_of("O3", user="")], at=AT)
    second = ingest.record_orders(source_id=source.pk, orders=[facts_of("O1"), facts_of("O4")], at=AT)

    assert (first.orders, first.lines, first.customers, first.products, first.skipped) == (3, 3, 2, 1, 0)
    assert (second.orders, second.lines, second.customers, second.products, second.skipped) == (1, 1, 0, 0, 1)
    assert Order.objects.get(external_id="O3").customer is None
    assert customer("u1").orders_count == 2


def test_returns_take_the_most_recent_purchases_before_them(source):
    days = [AT + timedelta(days=number) for number in range(5)]
    ingest.record_orders(source_id=source.pk, orders=[facts_of(f"O{number}", at=days[number]) for number in (0, 1, 3)], at=AT)

    made = ingest.record_returns(
        source_id=source.pk, returned=[ReturnFacts("R1", days[2], "EUR", (LineFacts(ProductFacts("P1"), 3, Decimal(10)),), PersonKey("u1"))], at=AT
    )

    assert made.returns == 1
    assert list(ReturnLine.objects.order_by("id").values_list("order_line__order__external_id", "quantity")) == [("O1", 2), ("O0", 1)]
    assert customer().spent_amount == 30
    assert ingest.record_returns(source_id=source.pk, returned=[ReturnFacts("R1", days[2], "EUR", (), PersonKey("u1"))], at=AT).returns == 0


def test_money_in_another_currency_stays_out_of_the_total(source):
    ingest.record_orders(source_id=source.pk, orders=[facts_of("O1", at=AT)], at=AT)
    ingest.record_orders(source_id=source.pk, orders=[OrderFacts("O2", AT, "USD", (LineFacts(ProductFacts("P1"), 1, Decimal(5)),), PersonKey("u1"))], at=AT)

    assert (customer().orders_count, customer().spent_amount, customer().currency) == (2, 20, "EUR")


def test_record_customers_products_and_reviews(source):
    people = [
        PersonFacts(PersonKey("u1"), AT, first_seen_at=AT - timedelta(days=9), name="Ann", tags=("vip",), consents=(ingest.ConsentFacts("email", "granted"),))
    ]
    assert ingest.record_customers(source_id=source.pk, people=people, at=AT, cause="demo").customers == 1
    assert (customer().name, customer().first_seen_at, customer().tags) == ("Ann", AT - timedelta(days=9), ["vip"])
    assert ConsentEntry.objects.get().origin == "demo"

    ingest.record_products(source_id=source.pk, products=[ProductFacts("P1", name="Old", price_amount=Decimal(5))], at=AT)
    ingest.record_products(
        source_id=source.pk, products=[ProductFacts("P1", name="New", names={"en": "New"}, category="tea", price_amount=Decimal(6), is_available=False)], at=AT
    )
    product = Product.objects.get()
    assert (product.name, product.price_amount, product.is_available, product.category) == ("New", 6, False, Category.objects.get(slug="tea"))

    review = ReviewFacts("R1", ProductFacts("P1"), AT, PersonKey("u1"), 5, "Good")
    assert ingest.record_reviews(source_id=source.pk, reviews=[review], at=AT).reviews == 1
    assert ingest.record_reviews(source_id=source.pk, reviews=[review], at=AT).reviews == 0


def test_totals_equal_a_recount_from_the_rows(source):
    send(source, order("O1", "m1"), order("O2", "m2"), track("Order Refunded", "m3", {"order_id": "O2", "total": 3}))
    before = (customer().orders_count, customer().spent_amount)
    Customer.objects.update(orders_count=99, spent_amount=99)

    totals.refresh([customer().pk])

    assert (customer().orders_count, customer().spent_amount) == before == (2, Decimal("48.00"))


class AnySplitIsTheSame(TestCase):
    """However a stream of calls is cut into batches and repeated, the rows are the same."""

    @settings(max_examples=15, deadline=None)
    @given(st.data())
    def test_rows_do_not_depend_on_batching_or_repetition(self, data: st.DataObject) -> None:
        source = Source.objects.create(name=f"Shop {Source.objects.count()}", write_key=f"wk_{Source.objects.count()}", currency="EUR")
        calls = []
        for number in range(data.draw(st.integers(1, 12))):
            kind = data.draw(st.sampled_from(["page", "identify", "order", "refund"]))
            user = data.draw(st.sampled_from(["u1", "u2", None]))
            who = {"userId": user, "anonymousId": data.draw(st.sampled_from(["b1", "b2"])), "messageId": f"m{number}"}
            if kind == "order":
                calls.append({**order(f"O{data.draw(st.integers(1, 3))}"), **who})
            elif kind == "refund":
                calls.append({**track("Order Refunded", "", {"order_id": f"O{data.draw(st.integers(1, 3))}", "total": 1}), **who})
            else:
                calls.append({"type": kind, **who})
        cuts = sorted(data.draw(st.sets(st.integers(1, len(calls)), max_size=4)) | {0, len(calls)})
        batches = [calls[a:b] for a, b in itertools.pairwise(cuts)]
        for batch in batches:
            send(source, *batch)
        once = self.picture(source)

        for batch in batches:
            send(source, *batch)

        self.assertEqual(self.picture(source), once)  # noqa: PT009 - a Django test case
        self.assertEqual(once["activity"], len(calls))  # noqa: PT009

    def picture(self, source: Source) -> dict[str, object]:
        return {
            "activity": Activity.objects.filter(source=source).count(),
            "orders": list(Order.objects.filter(source=source).order_by("external_id").values_list("external_id", "total_amount", "customer_id")),
            "returns": list(Return.objects.filter(source=source).order_by("external_id").values_list("external_id", "total_amount")),
            "customers": list(Customer.objects.filter(source=source, merged_into=None).order_by("pk").values_list("pk", "orders_count", "spent_amount")),
        }
