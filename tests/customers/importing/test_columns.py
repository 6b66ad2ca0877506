"""Which column is which: headings in several languages, a person's choice, and the exports of known shops as they are."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from customers.importing import mapping, reading
from customers.importing.plan import Options, prepare
from customers.importing.reading import FileRefused
from customers.models import ConsentEntry, Customer, Order, Product, Return, ReturnLine
from tests.customers.importing.conftest import carry_out, faults_of


def test_chinese_headings_dates_and_currency_signs_are_understood(source, write):
    content = "订单号,下单时间,商品编号,商品名称,数量,单价,客户编号,姓名\nA1,2026年1月5日 10:00,P1,铁壶,2,¥1 200.50,u1,王小明\n"

    carry_out(write(content.encode("gb18030")), source, zone="Asia/Shanghai")

    order = Order.objects.get()
    assert (order.total_amount, order.placed_at) == (Decimal("2401.00"), datetime(2026, 1, 5, 2, tzinfo=UTC))
    assert Customer.objects.get().name == "王小明"


def test_headings_with_a_word_of_whose_they_are_are_understood():
    columns = ["Order number", "Order date", "Buyer name", "Buyer e-mail", "Shipping country", "Product", "SKU", "Quantity", "Unit price", "Gift wrap"]

    found = mapping.guess(columns)

    assert found["customer_name"] == "Buyer name"
    assert (found["email"], found["country"], found["product_name"]) == ("Buyer e-mail", "Shipping country", "Product")
    assert "Gift wrap" not in found.values()
    assert mapping.guess(["Shipping name", "Date"]) == {"placed_at": "Date"}


def test_a_heading_that_occurs_twice_can_be_chosen_either_time(write):
    path = write("order_id,placed_at,product_id,quantity,price,price\n1,2026-01-05,P1,1,10,7\n")

    plan = prepare(path=path, options=Options(overrides={"unit_price": "price (2)"}))

    assert plan.table.columns[-2:] == ("price", "price (2)")
    assert [line.unit_amount for line in plan.lines()] == [Decimal(7)]


def test_missing_columns_are_named(write):
    with pytest.raises(FileRefused) as refused:
        prepare(path=write("order_id,placed_at,quantity\n1,2026-01-01,1\n"), options=Options())

    assert refused.value.data["missing"] == ["product_id", "unit_price"]
    assert "order_id, placed_at, quantity" in refused.value.text


def test_overrides_choose_the_column(write):
    plan = prepare(
        path=write("no,when,art,n,p,price\n1,2026-01-01,a,1,2,3\n"),
        options=Options(overrides={"order_id": "no", "placed_at": "when", "product_id": "art", "quantity": "n", "unit_price": "p"}),
    )

    assert plan.chosen["unit_price"] == "p"
    with pytest.raises(FileRefused, match="no column"):
        prepare(path=plan.table.path, options=Options(overrides={"order_id": "nope"}))
    with pytest.raises(FileRefused, match="no field"):
        prepare(path=plan.table.path, options=Options(overrides={"nope": "no"}))


ONLINE = """InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
1,85123A,HEART,6,2010-12-01 08:26:00,2.55,17850,United Kingdom
1,post,POSTAGE,1,2010-12-01 08:26:00,18,17850,United Kingdom
2,85123a,HEART,4,2010-12-05 08:26:00,2.50,17850,United Kingdom
3,85123A,HEART,1,2010-12-06 08:26:00,2.50,,Unspecified
C4,85123A,HEART,-5,2010-12-07 08:26:00,2.55,17850.0,United Kingdom
C5,85123A,HEART,-20,2010-12-08 08:26:00,2.55,17850,United Kingdom
C6,D,Discount,-1,2010-12-09 08:26:00,27.50,,United Kingdom
7,22001,lost,-3,2010-12-09 08:26:00,0.0,,United Kingdom
8,22002,throw away,-3,2010-12-09 08:26:00,1.0,,United Kingdom
A9,B,Adjust bad debt,1,2010-12-09 08:26:00,-11062.06,,United Kingdom
10,22003,thing,1,2010-12-09 08:26:00,-1,,United Kingdom
"""


def test_online_retail_preset_knows_cancellations_adjustments_and_codes(source, write):
    job, report = carry_out(write(ONLINE), source, preset="online-retail")

    assert (report.orders_new, report.returns_new, report.customers_new, report.products_new) == (3, 3, 1, 3)
    assert (report.faulty_rows, report.left_out_rows) == (1, 3)
    assert [fault["line"] for fault in faults_of(job)] == ["9", "10", "11", "12"]
    assert dict(Product.objects.values_list("external_id", "is_goods")) == {"85123A": True, "POST": False, "D": False}
    assert Order.objects.get(external_id="3").customer is None
    matched = list(ReturnLine.objects.order_by("id").values_list("return_record__external_id", "order_line__order__external_id", "quantity"))
    assert matched == [("C4", "2", 4), ("C4", "1", 1), ("C5", "1", 5), ("C5", None, 15), ("C6", None, 1)]
    assert Return.objects.get(external_id="C4").order.external_id == "2"
    customer = Customer.objects.get()
    assert (customer.orders_count, customer.spent_amount, customer.currency, customer.country) == (
        2,
        Decimal("43.30") - Decimal("63.75"),
        "GBP",
        "United Kingdom",
    )


SHOPIFY = """Name,Email,Financial Status,Paid at,Accepts Marketing,Currency,Subtotal,Shipping,Taxes,Total,Discount Code,Discount Amount,Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,Billing Name,Billing City,Billing Country,Cancelled at,Refunded Amount
#1001,Ann@Shop.example,paid,2026-01-05 10:00:00 +0100,yes,EUR,30.00,5.00,6.65,35.00,WELCOME,0.00,2026-01-05 10:00:00 +0100,2,Teapot,10.00,POT,Ann Lee,Berlin,DE,,0.00
#1001,ann@shop.example,,,,,,,,,,,2026-01-05 10:00:00 +0100,1,Gift card,10.00,,,,,,
#1002,bob@shop.example,refunded,2026-01-06 10:00:00 +0100,no,EUR,10.00,0.00,0.00,10.00,,0.00,2026-01-06 10:00:00 +0100,1,Cup,10.00,CUP,Bob Ray,Paris,FR,,10.00
#1003,bob@shop.example,voided,,no,EUR,10.00,0.00,0.00,10.00,,0.00,2026-01-07 10:00:00 +0100,1,Cup,10.00,CUP,Bob Ray,Paris,FR,2026-01-07 11:00:00 +0100,0.00
"""


def test_shopify_export_goes_in_as_it_is(source, write):
    path = write(SHOPIFY)
    assert mapping.guess_preset(reading.open_table(path).columns) == "shopify"

    carry_out(path, source, preset="shopify")

    first = Order.objects.get(external_id="#1001")
    assert (first.total_amount, first.shipping_amount, first.coupon, first.lines.count()) == (Decimal("35.00"), Decimal("5.00"), "WELCOME", 2)
    assert first.placed_at == datetime(2026, 1, 5, 9, tzinfo=UTC)
    ann = Customer.objects.get(email="ann@shop.example")
    assert (ann.name, ann.city, ann.country, ann.spent_amount) == ("Ann Lee", "Berlin", "DE", Decimal("35.00"))
    assert list(ConsentEntry.objects.values_list("customer_id", "channel", "state", "origin")) == [(ann.pk, "email", "granted", "import")]
    bob = Customer.objects.get(email="bob@shop.example")
    assert (bob.orders_count, bob.spent_amount) == (1, Decimal("0.00"))
    assert Order.objects.get(external_id="#1003").status == "cancelled"
    assert Return.objects.get().order.external_id == "#1002"
    assert Product.objects.filter(external_id="Gift card").exists()


def test_woocommerce_export_goes_in_as_it_is(source, write):
    content = (
        "Order Number,Order Status,Order Date,First Name (Billing),Last Name (Billing),Email (Billing),City (Billing),Country Code (Billing),SKU,Item Name,Quantity,Item Cost,Order Total Amount\n"
        "77,wc-completed,2026-03-01 12:00,Li,Na,li@shop.example,Hangzhou,CN,T1,Tea,2,30.00,68.00\n77,wc-completed,2026-03-01 12:00,Li,Na,li@shop.example,Hangzhou,CN,T2,Cup,1,8.00,68.00\n"
        "78,wc-cancelled,2026-03-02 12:00,Li,Na,li@shop.example,Hangzhou,CN,T1,Tea,2,30.00,60.00\n"
    )
    path = write(content)
    assert mapping.guess_preset(reading.open_table(path).columns) == "woocommerce"

    carry_out(path, source, preset="woocommerce")

    customer = Customer.objects.get()
    assert (customer.name, customer.email, customer.orders_count, customer.spent_amount) == ("Li Na", "li@shop.example", 1, Decimal("68.00"))
