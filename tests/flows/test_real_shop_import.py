"""The real retailer's file goes in through the command; every count is recounted here from the raw file."""

import csv
import gzip
import os
from collections import Counter, defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db.models import Count, F, Sum

from crm.core.models import Job, Source
from customers.models import Customer, Order, OrderLine, Product, Return, ReturnLine

FILE = (
    Path(os.environ.get("PERENNIAL_REAL_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
    / "online_retail"
    / "transactions_20101201_20110831.csv.gz"
)

pytestmark = pytest.mark.skipif(not FILE.exists(), reason="the public retailer file is not on this machine")


@pytest.fixture(scope="module")
def recount():
    """What the file holds, by its own rules and without our code."""
    bought, returned, adjusted, faulty = [], [], 0, 0
    with gzip.open(FILE, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            quantity, price = int(row["Quantity"]), Decimal(row["UnitPrice"])
            if row["InvoiceNo"].startswith("A"):
                adjusted += 1
            elif price < 0:
                faulty += 1
            elif price == 0:
                adjusted += 1
            elif row["InvoiceNo"].startswith("C"):
                returned.append((row, -quantity, price))
                assert quantity < 0
            elif quantity < 0:
                adjusted += 1
            else:
                bought.append((row, quantity, price))
    return {"bought": bought, "returned": returned, "adjusted": adjusted, "faulty": faulty}


def run(*arguments, **options):
    output = StringIO()
    call_command("import_orders", *arguments, stdout=output, **options)
    return output.getvalue()


@pytest.mark.slow
@pytest.mark.django_db
def test_real_file_goes_in_with_exact_counts_twice_and_comes_out_again(recount):
    bought, returned = recount["bought"], recount["returned"]
    output = run(str(FILE), "--preset", "online-retail", "--source", "Retailer")

    source = Source.objects.get(name="Retailer")
    assert source.currency == "GBP"
    invoices = {row["InvoiceNo"] for row, _, _ in bought}
    cancellations = {row["InvoiceNo"] for row, _, _ in returned}
    buyers = {row["CustomerID"] for row, _, _ in bought + returned if row["CustomerID"]}
    codes = {row["StockCode"].upper() for row, _, _ in bought + returned}
    assert (len(invoices), len(cancellations), len(buyers), len(codes)) == (12_494, 2_554, 3_360, 3_550)
    assert Order.objects.count() == len(invoices)
    assert Return.objects.count() == len(cancellations)
    assert Customer.objects.count() == len(buyers)
    assert Product.objects.count() == len(codes)
    assert OrderLine.objects.count() == len(bought)
    assert sum(Order.objects.values_list("total_amount", flat=True)) == sum(_totals(bought).values())
    assert sum(Return.objects.values_list("total_amount", flat=True)) == sum(_totals(returned).values())

    _check_orders(bought)
    _check_customers(bought, returned)
    _check_returns(bought, returned)
    assert not Product.objects.get(external_id="POST").is_goods
    assert not Product.objects.get(external_id="M").is_goods
    assert Product.objects.get(external_id="85123A").is_goods

    job = Job.objects.get()
    assert job.state == "done"
    assert (job.result["rows"], job.result["rejected"], job.result["skipped"]) == (320_705, recount["faulty"], recount["adjusted"])
    assert "320,705 rows" in output
    print(output)  # noqa: T201 - the measured speed, shown with pytest -s
    with job.errors_file.open("rb") as file:
        faults = list(csv.DictReader(file.read().decode("utf-8-sig").splitlines()))
    assert len(faults) == recount["faulty"] + recount["adjusted"]
    job.errors_file.delete()

    before = (
        Order.objects.count(),
        OrderLine.objects.count(),
        Return.objects.count(),
        ReturnLine.objects.count(),
        Customer.objects.count(),
        Product.objects.count(),
    )
    spent = Customer.objects.aggregate(spent=Sum("spent_amount"))["spent"]
    run(str(FILE), "--preset", "online-retail", "--source", "Retailer")
    assert (
        Order.objects.count(),
        OrderLine.objects.count(),
        Return.objects.count(),
        ReturnLine.objects.count(),
        Customer.objects.count(),
        Product.objects.count(),
    ) == before
    assert Customer.objects.aggregate(spent=Sum("spent_amount"))["spent"] == spent
    second = Job.objects.order_by("-id").first()
    assert [second.result[name] for name in ("orders", "lines", "returns", "customers", "products")] == [0] * 5
    second.errors_file.delete()

    run(undo=second.pk)
    assert Order.objects.count() == before[0]
    run(undo=job.pk)
    assert [model.objects.count() for model in (Order, OrderLine, Return, ReturnLine, Customer, Product)] == [0] * 6


def _totals(rows):
    totals = defaultdict(Decimal)
    for row, quantity, price in rows:
        totals[row["InvoiceNo"]] += quantity * price
    return {number: total.quantize(Decimal("0.01")) for number, total in totals.items()}


def _check_orders(bought):
    totals = _totals(bought)
    lines = Counter(row["InvoiceNo"] for row, _, _ in bought)
    people = {row["InvoiceNo"]: row["CustomerID"] for row, _, _ in bought}
    placed = {}
    for row, _, _ in bought:
        moment = datetime.fromisoformat(row["InvoiceDate"]).replace(tzinfo=UTC)
        placed[row["InvoiceNo"]] = min(moment, placed.get(row["InvoiceNo"], moment))
    users = dict(Customer.objects.filter(identities__kind="user").values_list("pk", "identities__value"))
    for number, total, placed_at, customer_id, count in Order.objects.annotate(count=Count("lines")).values_list(
        "external_id", "total_amount", "placed_at", "customer_id", "count"
    ):
        assert (total, placed_at, users.get(customer_id, ""), count) == (totals[number], placed[number], people[number], lines[number]), number


def _check_customers(bought, returned):
    orders, spent = defaultdict(set), defaultdict(Decimal)
    people = {row["InvoiceNo"]: row["CustomerID"] for row, _, _ in bought + returned}
    for number, total in _totals(bought).items():
        orders[people[number]].add(number)
        spent[people[number]] += total
    for number, total in _totals(returned).items():
        spent[people[number]] -= total
    rows = Customer.objects.values_list("identities__value", "orders_count", "spent_amount", "currency")
    for user_id, count, amount, currency in rows:
        assert (count, amount) == (len(orders[user_id]), spent[user_id]), user_id
        assert currency == "GBP"


def _check_returns(bought, returned):
    """Every returned piece is kept, matched to the most recent purchases before it that still have pieces out."""
    placed = {}
    for row, _, _ in bought:
        placed[row["InvoiceNo"]] = min(row["InvoiceDate"], placed.get(row["InvoiceNo"], row["InvoiceDate"]))
    out = defaultdict(list)
    for row, quantity, _ in bought:
        if row["CustomerID"]:
            out[row["CustomerID"], row["StockCode"].upper()].append([placed[row["InvoiceNo"]], quantity])
    back = defaultdict(list)
    came = {}
    for row, quantity, _ in returned:
        came[row["InvoiceNo"]] = min(row["InvoiceDate"], came.get(row["InvoiceNo"], row["InvoiceDate"]))
        back[row["InvoiceNo"]].append(((row["CustomerID"], row["StockCode"].upper()), quantity))
    expected = Counter()
    for number in sorted(back, key=lambda number: (came[number], number)):
        for owner, quantity in back[number]:
            for purchase in sorted(out[owner], reverse=True):
                if purchase[0] <= came[number] and quantity:
                    pieces = min(quantity, purchase[1])
                    purchase[1] -= pieces
                    quantity -= pieces
                    expected[number] += pieces
    matched = dict(ReturnLine.objects.filter(order_line__isnull=False).values_list("return_record__external_id").annotate(Sum("quantity")))
    assert matched == {number: pieces for number, pieces in expected.items() if pieces}
    assert ReturnLine.objects.aggregate(n=Sum("quantity"))["n"] == sum(quantity for _, quantity, _ in returned)
    over = OrderLine.objects.annotate(back=Sum("return_lines__quantity")).filter(back__gt=F("quantity"))
    assert not over.exists()
    strangers = ReturnLine.objects.filter(order_line__isnull=False).exclude(
        order_line__order__customer_id=F("return_record__customer_id"), order_line__product_id=F("product_id")
    )
    assert not strangers.exists()
