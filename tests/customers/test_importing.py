"""Order files of every shape: what goes in, what is named as faulty, and the way back."""

import csv
import gzip
import io
import zipfile
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.urls import reverse

from crm.core import clock, jobs
from crm.core.models import AuditEntry, Job, Source
from customers import import_tasks, ingest
from customers.importing import mapping, reading, values, work
from customers.importing.faults import safe_cell
from customers.importing.plan import Options, dry_run, prepare
from customers.importing.reading import FileRefused
from customers.models import Category, ConsentEntry, Customer, Order, OrderLine, Product, Return, ReturnLine
from tests.factories import UserFactory

HEADER = "order_id,placed_at,product_id,quantity,unit_price,customer_id,product_name\n"
GOOD = HEADER + "1,2026-01-05 10:00,P1,2,10.00,u1,Teapot\n1,2026-01-05 10:00,P2,1,5.50,u1,Cup\n2,2026-02-01 09:30,P1,1,10.00,u2,Teapot\n"


@pytest.fixture
def source(db):
    return Source.objects.create(name="Shop", write_key="wk_import", currency="EUR")


@pytest.fixture(autouse=True)
def _own_media(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "media"


@pytest.fixture
def write(tmp_path):
    def _write(content, name="orders.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return _write


def carry_out(path, source, **options):
    job = work.start(source=source, options=Options(**options), title="Import", by=None, path=path)
    report = work.carry_out(job_id=job.pk, at=clock.now())
    job.refresh_from_db()
    return job, report


def faults_of(job):
    with job.errors_file.open("rb") as file:
        return list(csv.DictReader(io.StringIO(file.read().decode("utf-8-sig"))))


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


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("utf-8", "Théière 铁壶"), ("utf-8-sig", "Théière 铁壶"), ("utf-16", "Théière 铁壶"), ("latin-1", "Théière à café"), ("gb18030", "铁制茶壶 中号")],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_encodings_are_recognised(source, write, encoding, name, zipped):
    raw = (HEADER + f"1,2026-01-05,P1,1,10,u1,{name}\n" * 3).encode(encoding)

    carry_out(write(gzip.compress(raw) if zipped else raw), source)

    assert Product.objects.get().name == name


def test_chinese_headings_dates_and_currency_signs_are_understood(source, write):
    content = "订单号,下单时间,商品编号,商品名称,数量,单价,客户编号,姓名\nA1,2026年1月5日 10:00,P1,铁壶,2,¥1 200.50,u1,王小明\n"

    carry_out(write(content.encode("gb18030")), source, zone="Asia/Shanghai")

    order = Order.objects.get()
    assert (order.total_amount, order.placed_at) == (Decimal("2401.00"), datetime(2026, 1, 5, 2, tzinfo=UTC))
    assert Customer.objects.get().name == "王小明"


def test_workbook_goes_in(source, tmp_path):
    book = openpyxl.Workbook()
    book.active.append(HEADER.strip().split(","))
    book.active.append([1001, datetime(2026, 1, 5, 10, 0), "P1", 2, 10.5, 17850, "Teapot"])  # noqa: DTZ001 - as spreadsheets hold dates
    book.active.append([None] * 7)
    path = tmp_path / "orders.xlsx"
    book.save(path)

    carry_out(path, source, zone="UTC")

    order = Order.objects.get()
    assert (order.external_id, order.total_amount, order.placed_at) == ("1001", Decimal("21.00"), datetime(2026, 1, 5, 10, tzinfo=UTC))
    assert Customer.objects.get().identities.get().value == "17850"


FAULTY = [
    (",2026-01-05,P1,1,10,u1,x", "order_id", "empty"),
    ("9,,P1,1,10,u1,x", "placed_at", "empty"),
    ("9,31/31/2026,P1,1,10,u1,x", "placed_at", "not a date"),
    ("9,soon,P1,1,10,u1,x", "placed_at", "not a date"),
    ("9,0001-01-01,P1,1,10,u1,x", "placed_at", "not a date a shop would use"),
    ("9,2026-01-05,,1,10,u1,", "product_id", "empty"),
    ("9,2026-01-05,P1,0,10,u1,x", "quantity", "not above zero"),
    ("9,2026-01-05,P1,-2,10,u1,x", "quantity", "not above zero"),
    ("9,2026-01-05,P1,1.5,10,u1,x", "quantity", "not a whole number"),
    ("9,2026-01-05,P1,many,10,u1,x", "quantity", "not a number"),
    ("9,2026-01-05,P1,99999999999,10,u1,x", "quantity", "not a quantity a shop would use"),
    ("9,2026-01-05,P1,1,-10,u1,x", "unit_price", "below zero"),
    ("9,2026-01-05,P1,1,NaN,u1,x", "unit_price", "not a number a shop would use"),
    ("9,2026-01-05,P1,1,,u1,x", "unit_price", "empty"),
    ("9,2026-01-05,P1,1,10,u1," + "x" * 300, "product_name", "longer than 255 characters (300)"),
    ("9,2026-01-05,P1,1,10,u1,a\0b", "product_name", "contains the character U+0000"),
    ("9,2026-01-05", "", "the row has 2 cells, the first line has 7"),
    ("9,2199-01-05,P1,1,10,u1,x", "placed_at", "in the future"),
    ("9,2026-01-05,P1,1,10000000000,u1,x", "unit_price", "not a number a shop would use"),
    ("9,2026-01-05,P1,1,9999999999.999,u1,x", "unit_price", "not a number a shop would use"),
    ("9,2026-01-05,P1,2000000000,9999999999,u1,x", "quantity", "not a quantity a shop would use"),
    ("9,2026-01-05,P1,1,10,u1,x,y", "", "the row has 8 cells, the first line has 7"),
]


@pytest.mark.parametrize(("row", "column", "reason"), FAULTY)
def test_faulty_rows_are_named_by_line_column_and_reason_and_the_rest_goes_in(source, write, row, column, reason):
    # NUL bytes near the start make a file binary; real ones hide further down.
    filler = "3,2026-02-01 09:30,P1,1,10.00,u2,Teapot\n" * (40_000 if "\0" in row else 1)

    job, report = carry_out(write(GOOD + filler + row + "\n"), source)

    line = 4 + filler.count("\n") + 1
    assert [(fault["line"], fault["column"], fault["reason"]) for fault in faults_of(job)] == [(str(line), column, reason)]
    assert (report.faulty_rows, report.orders_new, job.state) == (1, 3, "done")


def test_all_faults_of_a_row_are_told(source, write):
    job, _ = carry_out(write(GOOD + ",soon,P1,x,y,u1,z\n"), source)

    assert [fault["column"] for fault in faults_of(job)] == ["order_id", "placed_at", "quantity", "unit_price"]
    assert [fault["value"] for fault in faults_of(job)] == ["", "soon", "x", "y"]


def test_mixed_encodings_cost_only_the_rows_that_cannot_be_read(source, write):
    raw = (GOOD + "3,2026-01-05,P3,1,10,u1,Théière\n").encode() + "4,2026-01-05,P4,1,10,u1,Théière\n".encode("latin-1")

    job, report = carry_out(write(raw), source)

    assert report.orders_new == 3
    assert [(fault["line"], fault["column"], fault["value"]) for fault in faults_of(job)] == [("6", "product_name", "Th\\xe9i\\xe8re")]


def test_cells_of_a_million_characters_and_more_are_faults_with_their_line(source, write):
    content = GOOD + f'3,2026-01-05,P1,1,10,u1,"{"x" * 1_000_000}"\n' + f'4,2026-01-05,P1,1,10,u1,"{"y" * 3_000_000}"\n' + "5,2026-01-05,P1,1,10,u1,z\n"

    job, report = carry_out(write(content), source)

    faults = faults_of(job)
    assert [(fault["line"], fault["column"]) for fault in faults[:1]] == [("5", "product_name")]
    assert faults[0]["reason"] == "longer than 255 characters (1,000,000)"
    assert len(faults[0]["value"]) == 101
    assert "longer than 2,000,000" in faults[1]["reason"]
    assert Order.objects.filter(external_id="5").exists()
    assert report.orders_new == 3


UNCLOSED = [
    '9,2026-01-05,P1,1,10,u1,"5 inch\n',
    '9,2026-01-05,P1,1,10,u1,"5 inch\n5,2026-01-05,P1,1,10,u1,"nice cup"\n',
    '9,2026-01-05,P1,1,10,"u1,x\n5,2026-01-05,P1,1,10,u1,"a ""quoted"" name"\n',
    '9,2026-01-05,P1,1,10,u1,"5 inch\n' + "8,2026-01-05,P1,1,10,u1,x\n" * 3_000,
]


@pytest.mark.parametrize("rows", UNCLOSED, ids=["to the end", "to a quote further down", "in the middle", "over thousands of lines"])
def test_a_quote_that_is_never_closed_costs_its_own_row_only(source, write, rows):
    job, report = carry_out(write(GOOD + rows + "3,2026-02-01,P1,1,10,u2,z\n4,2026-02-01,P1,1,10,u2,z"), source)

    assert [(fault["line"], fault["reason"]) for fault in faults_of(job)] == [("5", "a quote is opened in this line and not closed")]
    assert set(Order.objects.values_list("external_id", flat=True)) >= {"1", "2", "3", "4"}
    assert report.rows == (GOOD + rows).count("\n") + 1


def test_quotes_that_spreadsheets_understand_are_understood(source, write):
    rows = [
        '3,2026-02-01,P3,1,10,u1,5" screen',
        '4,2026-02-01,P4,1,10,u1,"two\nlines"',
        '5,2026-02-01,P5,1,10,u1,"a ""b"" c"',
        '6,2026-02-01,P6,1,10,u1,"a"b',
        '7,2026-02-01,P7,1,10,u1,"last',
    ]

    carry_out(write(HEADER + "\n".join(rows)), source)

    names = dict(Product.objects.values_list("external_id", "name"))
    assert names == {"P3": '5" screen', "P4": "two\nlines", "P5": 'a "b" c', "P6": "ab", "P7": "last"}


def test_the_encoding_is_told_by_letters_far_behind_the_beginning(source, write):
    plain = HEADER + "".join(f"{number % 9},2026-01-05,P1,1,10,u1,{'padding ' * 8}\n" for number in range(15_000))

    for number, (encoding, name) in enumerate([("latin-1", "Théière"), ("gb18030", "铁制茶壶"), ("utf-8", "铁制茶壶")]):
        job, _ = carry_out(write(plain.encode() + f"x{number},2026-01-05,Q{number},1,10,u1,{name}\n".encode(encoding)), source)

        assert (job.state, Product.objects.get(external_id=f"Q{number}").name) == ("done", name)


def test_a_gzip_file_that_ends_too_early_keeps_the_rows_before_its_end(source, write):
    lines = "".join(f"{number},2026-01-05,P{number},1,{number},u{number},x\n" for number in range(40_000))

    job, report = carry_out(write(gzip.compress((HEADER + lines).encode())[:-20_000], "orders.csv.gz"), source)

    assert job.state == "done"
    assert report.orders_new > 5_000
    assert report.reasons[0].reason.startswith("the file ends in the middle")


def test_currencies_that_are_none_are_faults_and_refused_as_an_option(source, write):
    path = write(HEADER.strip() + ",currency\n1,2026-01-05,P1,1,10,u1,x,US$\n2,2026-01-05,P1,1,10,u1,x,usd\n")

    job, _ = carry_out(path, source)

    assert [(fault["column"], fault["reason"]) for fault in faults_of(job)] == [("currency", "not a currency code")]
    assert Order.objects.get().currency == "USD"
    with pytest.raises(FileRefused, match="There is no currency EURO"):
        prepare(path=path, options=Options(currency="EURO"))


def test_what_is_no_address_makes_no_customer(source, write):
    rows = ['1,2026-01-05,P1,1,10,,x,"a@b.example\nBcc: c@d.example"', '2,2026-01-05,P1,1,10,,x,"a@b.example, c@d.example"', "3,2026-01-05,P1,1,10,,x,@"]

    carry_out(write(HEADER.strip() + ",email\n" + "\n".join(rows) + "\n"), source)

    assert (Order.objects.count(), Customer.objects.count()) == (3, 0)


def test_a_heading_that_occurs_twice_can_be_chosen_either_time(write):
    path = write("order_id,placed_at,product_id,quantity,price,price\n1,2026-01-05,P1,1,10,7\n")

    plan = prepare(path=path, options=Options(overrides={"unit_price": "price (2)"}))

    assert plan.table.columns[-2:] == ("price", "price (2)")
    assert [line.unit_amount for line in plan.lines()] == [Decimal(7)]


def test_blank_lines_and_excels_separator_line_before_the_headings_are_passed_over(source, write):
    carry_out(write("\n\n" + GOOD), source)
    assert Order.objects.count() == 2

    job, report = carry_out(write("sep=;\r\n" + GOOD.replace(",", ";") + "9;soon;P1;1;1;u1;x\n"), source)

    assert report.rows == 4
    assert faults_of(job)[0]["line"] == "6"


def test_a_bug_of_ours_ends_the_job_instead_of_repeating_it_for_ever(source, write, monkeypatch):
    def broken(**_):
        raise ZeroDivisionError

    monkeypatch.setattr("customers.ingest.record_orders", broken)

    job, report = carry_out(write(GOOD), source)

    assert (report, job.state) == (None, "failed")
    assert "on our side" in job.error


def workbook(tmp_path, *rows, part=None, change=None):
    """Save a workbook with the usual headings; change: how one part's bytes are rewritten."""
    book = openpyxl.Workbook()
    for row in (HEADER.strip().split(","), *rows):
        book.active.append(row)
    made, path = tmp_path / "made.xlsx", tmp_path / "orders.xlsx"
    book.save(made)
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if part and name.endswith(part):
                assert change(data) != data
                data = change(data)
            new.writestr(name, data)
    return path


ROW = ["7", "2026-01-05", "P1", 1, 10.5, "u1", "x"]


@pytest.mark.parametrize("size", [b"A1", b"A1:XFD1048576"])
def test_what_a_sheet_says_of_its_size_is_not_believed(source, tmp_path, size):
    path = workbook(tmp_path, ROW, ROW[:5], part="sheet1.xml", change=lambda data: data.replace(b'ref="A1:G3"', b'ref="' + size + b'"'))

    _, report = carry_out(path, source)

    assert (report.rows, report.faulty_rows, report.orders_new) == (2, 0, 1)


@pytest.mark.parametrize(
    ("part", "change", "words"),
    [
        ("sheet1.xml", lambda data: data[:200], "cannot be read"),
        ("workbook.xml", lambda data: data.replace(b"sheets>", b"none>"), "no sheet"),
        ("workbook.xml", lambda data: data[:100], "cannot be read"),
    ],
)
def test_damaged_workbooks_are_refused_in_one_sentence(source, tmp_path, part, change, words):
    job, report = carry_out(workbook(tmp_path, ROW, part=part, change=change), source)

    assert (report, job.state) == (None, "failed")
    assert words in job.error


def test_rows_before_the_damage_of_a_workbook_go_in(source, tmp_path):
    path = workbook(tmp_path, *([[f"{number}", *ROW[1:]] for number in range(500)]), part="sheet1.xml", change=lambda data: data[: len(data) * 3 // 4])

    job, report = carry_out(path, source)

    assert job.state == "done"
    assert 200 < report.orders_new < 500
    assert report.reasons[0].reason.startswith("the file ends in the middle")


def test_error_file_holds_no_formulas(source, write):
    job, _ = carry_out(write(GOOD + '3,2026-01-05,P1,"=cmd|calc",10,u1,x\n4,2026-01-05,P1," \u200b@SUM(A1)",10,u1,x\n'), source)

    assert [fault["value"] for fault in faults_of(job)] == ["'=cmd|calc", "' \u200b@SUM(A1)"]
    assert safe_cell("\t+1") == "'\t+1"
    assert safe_cell("plain - text") == "plain - text"


REFUSED = [
    (b"", "The file is empty."),
    (b"\n\n", "The file is empty."),
    (b"a,b,c\n1,2,3\n", "No column was found for"),
    (b"\x00\x01\x02\x03binary", "This is not a text file."),
    (b"\xd0\xcf\x11\xe0 old excel", "old Excel"),
    (b"PK\x03\x04 not a zip", "workbook cannot be opened"),
    (b"\x1f\x8b broken", "cannot be unpacked"),
]


@pytest.mark.parametrize(("content", "words"), REFUSED)
def test_files_that_cannot_be_read_are_refused_in_one_sentence(source, write, content, words):
    job, report = carry_out(write(content), source)

    assert report is None
    assert job.state == "failed"
    assert words in job.error
    assert Order.objects.count() == 0


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


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_recognised(source, write, delimiter):
    carry_out(write(GOOD.replace(",", delimiter)), source)

    assert Order.objects.count() == 2


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


def test_category_column_makes_categories(source, write):
    carry_out(write(HEADER.strip() + ",category\n1,2026-01-05,P1,1,10,u1,Pot,Tea & Co\n"), source)

    assert Product.objects.get().category == Category.objects.get(slug="tea-co")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1234.5", "1234.5"),
        ("1,234.50", "1234.50"),
        ("1.234,50", "1234.50"),
        ("12,5", "12.5"),
        ("1,234", "1234"),
        ("¥ 1 200", "1200"),
        ("$5", "5"),
        ("(5.00)", "-5.00"),
        ("12 €", "12"),
        ("CNY 8", "8"),
        ("1'234.50", "1234.50"),
        ("1.234", "1.234"),
        ("1.234.567", "1234567"),
        ("0.125", "0.125"),
    ],
)
def test_numbers_are_read_as_people_write_them(written, value):
    assert values.decimal(written) == Decimal(value)


@pytest.mark.parametrize(
    ("written", "day_first", "expected"),
    [
        ("2026-03-04", False, (2026, 3, 4)),
        ("3/4/2026", False, (2026, 3, 4)),
        ("3/4/2026", True, (2026, 4, 3)),
        ("03.04.2026 17:05", True, (2026, 4, 3, 17, 5)),
        ("3/4/26 5:05 PM", False, (2026, 3, 4, 17, 5)),
        ("2026/3/4 7:05", False, (2026, 3, 4, 7, 5)),
        ("2026年3月4日", False, (2026, 3, 4)),
        ("2026-03-04 10:00:00 -0500", False, (2026, 3, 4, 15)),
        ("2026-03-04T10:00:00Z", False, (2026, 3, 4, 10)),
    ],
)
def test_moments_are_read_as_people_write_them(written, day_first, expected):
    assert values.moment(written, UTC, day_first) == datetime(*expected, tzinfo=UTC)


@pytest.mark.parametrize(("written", "value"), [("1.234", "1234"), ("1,234", "1.234"), ("1.234,50", "1234.50"), ("12.50", "12.50"), ("12,5", "12.5")])
def test_a_decimal_comma_elsewhere_in_the_file_decides_what_could_be_read_two_ways(written, value):
    assert values.decimal(written, comma=True) == Decimal(value)


@pytest.mark.parametrize(
    ("prices", "comma"),
    [
        (["1.500", "2,50"], True),
        (["1.500", "1.234,50"], True),
        (["1.500", "2.000.000"], True),
        (["1,500", "2.50"], False),
        (["1,500", "2,000,000"], False),
        (["1.500", "0.125"], False),
        (["1.500", "7"], False),
        (["n.a.", "2,50"], True),
    ],
)
def test_the_decimal_mark_is_seen_from_the_file(write, prices, comma):
    path = write("order_id;placed_at;product_id;quantity;unit_price\n" + "".join(f"{number};2026-01-05;P1;1;{price}\n" for number, price in enumerate(prices)))

    assert prepare(path=path, options=Options()).comma is comma


@pytest.mark.parametrize(
    ("dates", "day_first", "unclear"),
    [
        (["3/4/2026", "25/4/2026"], True, False),
        (["3/4/2026", "4/25/2026"], False, False),
        (["3.4.2026"], True, False),
        (["3/4/2026", "5/6/2026"], False, True),
        (["3/3/2026", "2026-04-05"], False, False),
    ],
)
def test_day_first_is_seen_from_the_column(write, dates, day_first, unclear):
    plan = prepare(path=write(HEADER + "".join(f"{number},{day},P1,1,1,u,\n" for number, day in enumerate(dates))), options=Options())

    assert (plan.day_first, plan.dates_unclear) == (day_first, unclear)
    chosen = prepare(path=plan.table.path, options=Options(day_first=True))
    assert (chosen.day_first, chosen.dates_unclear) == (True, False)


def test_the_order_of_day_and_month_is_looked_for_beyond_the_first_twelve_days(write):
    days = [f"{day:02d}/03/2026" for day in range(1, 14) for _ in range(400)]

    plan = prepare(path=write(HEADER + "".join(f"{number},{day},P1,1,1,u,\n" for number, day in enumerate(days))), options=Options())

    assert (plan.day_first, plan.dates_unclear) == (True, False)
    assert {line.placed_at.month for line in plan.lines()} <= {2, 3}


def test_command_imports_tries_and_takes_back(db, write):
    path = write(GOOD)
    output = StringIO()

    call_command("import_orders", str(path), "--dry-run", stdout=output)
    assert "2 orders, 0 of them known already" in output.getvalue()
    assert Order.objects.count() == 0
    call_command("import_orders", str(path), "--map", "product_name=product_id", "--source", "New shop", stdout=output)
    assert "2 new orders with 3 lines" in output.getvalue()
    assert Product.objects.get(external_id="P1").name == "P1"
    call_command("import_orders", "--undo", str(Job.objects.get().pk), stdout=output)
    assert Order.objects.count() == 0
    with pytest.raises(CommandError, match="No column was found"):
        call_command("import_orders", str(write("a,b\n1,2\n")), stdout=output)
    with pytest.raises(CommandError, match="FIELD=COLUMN"):
        call_command("import_orders", str(path), "--map", "nonsense", stdout=output)
    with pytest.raises(CommandError, match="a name may have 100"):
        call_command("import_orders", str(write(GOOD, "again.csv")), "--source", "x" * 101, stdout=output)
    unclear = write(HEADER + "1,3/4/2026,P1,1,1,u,\n", "unclear.csv")
    call_command("import_orders", str(unclear), "--dry-run", stdout=output)
    assert "say --day-first or --month-first" in output.getvalue()
    call_command("import_orders", str(unclear), "--day-first", "--time-zone", "UTC", stdout=output)
    assert Order.objects.get().placed_at == datetime(2026, 4, 3, tzinfo=UTC)
    with pytest.raises(CommandError, match="No such file"):
        call_command("import_orders", str(path) + ".nope", stdout=output)


def test_create_source_prints_a_key_that_works(db):
    output = StringIO()

    call_command("create_source", "My shop", "--origin", "https://Shop.example/", "--currency", "eur", stdout=output)

    made = Source.objects.get(name="My shop")
    assert output.getvalue().strip() == made.write_key
    assert (made.allowed_origins, made.currency) == (["https://shop.example"], "EUR")
    with pytest.raises(CommandError, match="already a source"):
        call_command("create_source", "My shop", stdout=output)
    with pytest.raises(CommandError, match="not an origin"):
        call_command("create_source", "Other", "--origin", "shop.example", stdout=output)


def test_task_runs_once_and_is_known_to_the_worker(source, write):
    from crm.celery import app

    job = work.start(source=source, options=Options(), title="Import", by=None, path=write(GOOD))

    import_tasks.enqueue(job)
    import_tasks.enqueue(job)

    assert Order.objects.count() == 2
    assert app.tasks["customers.import_tasks.run"].queue == "bulk"


def test_page_uploads_maps_imports_and_takes_back(client, source, django_capture_on_commit_callbacks):
    client.force_login(UserFactory(username="mia", role="marketer"))

    shown = client.get(reverse("customers:import"))
    assert shown.status_code == 200
    sent = client.post(reverse("customers:import"), {"file": SimpleUploadedFile("orders.csv", (GOOD + "3,soon,P1,1,10,u1,x\n").encode())})
    assert sent.status_code == 302
    mapped = client.get(sent.url)
    assert mapped.status_code == 200
    page = mapped.context["page"]
    assert (page.found.orders, page.found.faulty_rows) == (2, 1)
    assert {field.name: field.column for field in page.fields}["product_name"] == "product_name"
    assert b"soon" in mapped.content
    tried = client.post(sent.url, {"preset": "", "was": "", "map-product_name": "", "source": source.pk, "go": "check"})
    assert {field.name: field.column for field in tried.context["page"].fields}["product_name"] == ""
    assert Order.objects.count() == 0
    with django_capture_on_commit_callbacks(execute=True):
        begun = client.post(sent.url, {"preset": "", "was": "", "source": source.pk, "zone": "UTC", "go": "import"})
    job = Job.objects.get()
    assert begun.url == reverse("customers:import-job", args=[job.pk])
    assert (job.state, Order.objects.count()) == ("done", 2)
    result = client.get(begun.url)
    assert result.context["page"].can_be_undone
    assert b"soon" in result.content
    assert b"line,column,value,reason" in b"".join(client.get(reverse("core:job-errors", args=[job.pk])).streaming_content)
    assert client.get(sent.url).status_code == 422
    client.post(reverse("customers:import-undo", args=[job.pk]))
    assert Order.objects.count() == 0
    assert set(AuditEntry.objects.values_list("action", flat=True)) >= {"import.start", "import.undo"}


def test_page_asks_for_the_order_of_day_and_month_where_the_file_does_not_tell(client, source, django_capture_on_commit_callbacks):
    client.force_login(UserFactory(username="mia", role="marketer"))
    sent = client.post(reverse("customers:import"), {"file": SimpleUploadedFile("orders.csv", (HEADER + "1,3/4/2026,P1,1,1,u,\n").encode())})

    asked = client.get(sent.url)
    chosen = client.post(sent.url, {"preset": "", "was": "", "source": source.pk, "zone": "UTC", "dates": "day", "go": "check"})
    with django_capture_on_commit_callbacks(execute=True):
        client.post(sent.url, {"preset": "", "was": "", "source": source.pk, "zone": "UTC", "dates": "day", "go": "import"})

    assert "can be read either way" in asked.content.decode()
    assert "can be read either way" not in chosen.content.decode()
    assert Order.objects.get().placed_at == datetime(2026, 4, 3, tzinfo=UTC)


def test_page_says_why_a_file_is_refused(client, source):
    client.force_login(UserFactory(username="mia", role="marketer"))

    assert client.post(reverse("customers:import")).status_code == 422
    refused = client.post(reverse("customers:import"), {"file": SimpleUploadedFile("x.csv", b"PK\x03\x04")})
    assert refused.status_code == 422
    assert b"workbook cannot be opened" in refused.content
    sent = client.post(reverse("customers:import"), {"file": SimpleUploadedFile("x.csv", b"a,b\n1,2\n")})
    mapped = client.get(sent.url)
    assert mapped.status_code == 422
    assert b"No column was found" in mapped.content
    assert client.post(sent.url, {"go": "import", "preset": "", "was": ""}).status_code == 422
    assert client.get(reverse("customers:import-map", args=["../../etc/passwd".replace("/", "")])).status_code == 422
    assert Job.objects.count() == 0


def test_only_those_who_may_import_reach_the_pages(client, source):
    client.force_login(UserFactory(username="agent", role="agent"))

    assert client.get(reverse("customers:import")).status_code == 403
    client.force_login(UserFactory(username="mia", role="marketer"))
    sent = client.post(reverse("customers:import"), {"file": SimpleUploadedFile("orders.csv", GOOD.encode())})
    client.force_login(UserFactory(username="other", role="marketer"))
    assert client.get(sent.url).status_code == 404


def test_headings_with_a_word_of_whose_they_are_are_understood():
    columns = ["Order number", "Order date", "Buyer name", "Buyer e-mail", "Shipping country", "Product", "SKU", "Quantity", "Unit price", "Gift wrap"]

    found = mapping.guess(columns)

    assert found["customer_name"] == "Buyer name"
    assert (found["email"], found["country"], found["product_name"]) == ("Buyer e-mail", "Shipping country", "Product")
    assert "Gift wrap" not in found.values()
    assert mapping.guess(["Shipping name", "Date"]) == {"placed_at": "Date"}
