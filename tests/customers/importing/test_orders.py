"""What an order file makes: orders, people, products and totals, each once; counted beforehand, stopped, taken back."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from crm.core import clock, jobs
from crm.core.models import Job
from customers import consent, ingest
from customers.importing import work
from customers.importing.plan import Options, dry_run, prepare
from customers.models import Category, ConsentEntry, Customer, Order, OrderLine, Product, Return
from tests.customers.importing.conftest import GOOD, HEADER, carry_out


def test_orders_lines_people_products_and_totals_go_in(source, write):
    job, report = carry_out(write(GOOD), source, zone="UTC")

    assert (job.state, report.rows, report.orders_new, report.lines_new, report.customers_new, report.products_new) == ("done", 3, 2, 3, 2, 2)
    order = Order.objects.get(external_id="1")
    assert (order.total_amount, order.currency, order.placed_at, order.import_job_id) == (Decimal("25.50"), "EUR", datetime(2026, 1, 5, 10, tzinfo=UTC), job.pk)
    assert list(order.lines.values_list("product__external_id", "quantity", "unit_amount")) == [("P1", 2, Decimal(10)), ("P2", 1, Decimal("5.5"))]
    customer = Customer.objects.get(identities__kind="user", identities__value="u1")
    assert (customer.orders_count, customer.spent_amount, customer.currency, customer.is_anonymous) == (1, Decimal("25.50"), "EUR", False)
    assert (customer.first_order_at, customer.last_order_at) == (order.placed_at, order.placed_at)
    assert Product.objects.get(external_id="P1").name == "Teapot"
    assert not job.errors_file


def test_importing_again_creates_nothing(source, write):
    path = write(GOOD)
    carry_out(path, source)
    before = [model.objects.count() for model in (Order, OrderLine, Customer, Product)]

    _, report = carry_out(path, source)

    assert [model.objects.count() for model in (Order, OrderLine, Customer, Product)] == before
    assert (report.orders, report.orders_new, report.lines_new, report.customers_new, report.products_new) == (2, 0, 0, 0, 0)


def test_rows_of_an_order_may_lie_anywhere(source, write):
    rows = [f"{number % 50},2026-01-01,P{number},1,1,u," for number in range(200)]

    carry_out(write(HEADER + "\n".join(rows)), source)

    assert Order.objects.count() == 50
    assert {order.lines.count() for order in Order.objects.all()} == {4}


def test_category_column_makes_categories(source, write):
    carry_out(write(HEADER.strip() + ",category\n1,2026-01-05,P1,1,10,u1,Pot,Tea & Co\n"), source)

    assert Product.objects.get().category == Category.objects.get(slug="tea-co")


def test_dry_run_tells_the_counts_and_writes_nothing(source, write):
    path = write(GOOD + "3,soon,P1,1,10,u1,x\n")
    plan = prepare(path=path, options=Options())

    first = dry_run(plan, source_id=source.pk)

    assert (first.rows, first.good_rows, first.faulty_rows) == (4, 3, 1)
    assert (first.orders, first.known_orders, first.customers, first.known_customers, first.products, first.known_products) == (2, 0, 2, 0, 2, 0)
    assert [(item.column, item.reason, item.count, item.first_line) for item in first.reasons] == [("placed_at", "not a date", 1, 5)]
    assert [model.objects.count() for model in (Order, Customer, Product, Job)] == [0] * 4
    carry_out(path, source)
    again = dry_run(plan, source_id=source.pk)
    assert (again.known_orders, again.known_customers, again.known_products) == (2, 2, 2)
    assert not dry_run(plan, source_id=source.pk, at_most=2).checked_all


def test_undo_deletes_what_the_import_made_and_keeps_what_others_gave(source, write):
    ingest.record_orders(
        source_id=source.pk,
        orders=[
            ingest.OrderFacts(
                "old", datetime(2025, 1, 1, tzinfo=UTC), "EUR", (ingest.LineFacts(ingest.ProductFacts("P1"), 1, Decimal(7)),), ingest.PersonKey("u1")
            )
        ],
        at=clock.now(),
    )
    job, _ = carry_out(write(GOOD), source)
    ingest.record_batch(source_id=source.pk, events=[{"type": "page", "userId": "u2", "messageId": "m"}], received_at=clock.now())
    assert Customer.objects.get(identities__value="u1").spent_amount == Decimal("32.50")

    undone = work.take_back(job_id=job.pk, by=None, at=clock.now())

    assert (undone.orders, undone.customers, undone.products) == (2, 0, 1)
    assert list(Order.objects.values_list("external_id", flat=True)) == ["old"]
    assert set(Product.objects.values_list("external_id", flat=True)) == {"P1"}
    kept = {row.identities.get().value: (row.orders_count, row.spent_amount) for row in Customer.objects.all()}
    assert kept == {"u1": (1, Decimal("7.00")), "u2": (0, Decimal(0))}
    with pytest.raises(work.NotAnImport):
        work.take_back(job_id=job.pk, by=None, at=clock.now())


def test_a_refund_told_by_tracking_finds_its_order_again_after_undo_and_import(source, write):
    job, _ = carry_out(write(GOOD), source)
    refund = {"type": "track", "event": "Order Refunded", "userId": "u1", "messageId": "m", "properties": {"order_id": "1", "total": 5}}
    ingest.record_batch(source_id=source.pk, events=[refund], received_at=clock.now())

    work.take_back(job_id=job.pk, by=None, at=clock.now())
    assert Return.objects.get().order is None
    carry_out(write(GOOD), source)

    assert Return.objects.get().order.external_id == "1"
    assert Customer.objects.get(identities__value="u1").spent_amount == Decimal("20.50")


def test_undo_removes_people_and_products_that_have_nothing_else(source, write):
    job, _ = carry_out(write(GOOD), source)

    work.take_back(job_id=job.pk, by=None, at=clock.now())

    assert [model.objects.count() for model in (Order, OrderLine, Customer, Product)] == [0] * 4
    carry_out(write(GOOD), source)
    assert Order.objects.count() == 2


CONSENTING = (
    "order_id,placed_at,product_id,quantity,unit_price,customer_id,email,accepts_marketing\n"
    "1,2026-01-05 10:00,P1,2,10.00,u1,a@mail.example,yes\n2,2026-01-05 11:00,P1,2,10.00,u2,b@mail.example,yes\n"
)


def test_after_undo_nobody_is_written_to_on_the_imports_word(source, write):
    known = [
        {"type": "identify", "userId": user, "messageId": user, "traits": {"email": f"{letter}@mail.example"}} for user, letter in (("u1", "a"), ("u2", "b"))
    ]
    ingest.record_batch(source_id=source.pk, events=known, received_at=clock.now())
    one, other = (Customer.objects.get(identities__value=user).pk for user in ("u1", "u2"))
    job, _ = carry_out(write(CONSENTING), source)
    consent.grant(customer_id=other, channel="email", origin="form", at=clock.now())

    undone = work.take_back(job_id=job.pk, by=None, at=clock.now())

    verdicts = consent.may_contact(customer_ids=[one, other], channel="email", at=clock.now())
    assert (undone.consents, verdicts[one].reason, verdicts[other].reason) == (1, "withdrawn", "granted")
    assert list(ConsentEntry.objects.filter(customer=one).order_by("id").values_list("state", "proof")) == [
        ("granted", f"import {job.pk}"),
        ("withdrawn", f"import {job.pk} taken back"),
    ]
    carry_out(write(CONSENTING), source)
    assert consent.may_contact(customer_ids=[one], channel="email", at=clock.now())[one].allowed


def test_cancel_stops_between_chunks_and_a_second_run_finishes(source, write, monkeypatch):
    monkeypatch.setattr("customers.importing.run.ORDERS_PER_CHUNK", 10)
    path = write(HEADER + "".join(f"{number},2026-01-01 10:00,P1,1,2,u{number},\n" for number in range(35)))
    job = work.start(source=source, options=Options(), title="Import", by=None, path=path)

    def stop_after_first(done, total, stage):
        if stage == "storing":
            jobs.request_cancel(job.pk)

    assert work.carry_out(job_id=job.pk, at=clock.now(), tell=stop_after_first) is None

    job.refresh_from_db()
    assert job.state == "cancelled"
    assert Order.objects.count() == 10
    assert Customer.objects.filter(orders_count=1, spent_amount=2).count() == 10
    assert work.carry_out(job_id=job.pk, at=clock.now()) is None
    _, report = carry_out(path, source)
    assert (report.orders, report.orders_new) == (35, 25)
    assert Customer.objects.filter(orders_count=1, spent_amount=2).count() == 35


def test_a_bug_of_ours_ends_the_job_instead_of_repeating_it_for_ever(source, write, monkeypatch):
    def broken(**_):
        raise ZeroDivisionError

    monkeypatch.setattr("customers.ingest.record_orders", broken)

    job, report = carry_out(write(GOOD), source)

    assert (report, job.state) == (None, "failed")
    assert "on our side" in job.error
