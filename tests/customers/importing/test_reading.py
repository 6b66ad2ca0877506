"""Order files of every shape: encodings, quotes, gzip and workbooks; what is damaged is read up to the damage or refused in one sentence."""

import gzip
import zipfile
from datetime import UTC, datetime
from decimal import Decimal

import openpyxl
import pytest

from customers.models import Customer, Order, Product
from tests.customers.importing.conftest import GOOD, HEADER, carry_out, faults_of


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("utf-8", "Théière 铁壶"), ("utf-8-sig", "Théière 铁壶"), ("utf-16", "Théière 铁壶"), ("latin-1", "Théière à café"), ("gb18030", "铁制茶壶 中号")],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_encodings_are_recognised(source, write, encoding, name, zipped):
    raw = (HEADER + f"1,2026-01-05,P1,1,10,u1,{name}\n" * 3).encode(encoding)

    carry_out(write(gzip.compress(raw) if zipped else raw), source)

    assert Product.objects.get().name == name


def test_the_encoding_is_told_by_letters_far_behind_the_beginning(source, write):
    plain = HEADER + "".join(f"{number % 9},2026-01-05,P1,1,10,u1,{'padding ' * 8}\n" for number in range(15_000))

    for number, (encoding, name) in enumerate([("latin-1", "Théière"), ("gb18030", "铁制茶壶"), ("utf-8", "铁制茶壶")]):
        job, _ = carry_out(write(plain.encode() + f"x{number},2026-01-05,Q{number},1,10,u1,{name}\n".encode(encoding)), source)

        assert (job.state, Product.objects.get(external_id=f"Q{number}").name) == ("done", name)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_recognised(source, write, delimiter):
    carry_out(write(GOOD.replace(",", delimiter)), source)

    assert Order.objects.count() == 2


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


def test_blank_lines_and_excels_separator_line_before_the_headings_are_passed_over(source, write):
    carry_out(write("\n\n" + GOOD), source)
    assert Order.objects.count() == 2

    job, report = carry_out(write("sep=;\r\n" + GOOD.replace(",", ";") + "9;soon;P1;1;1;u1;x\n"), source)

    assert report.rows == 4
    assert faults_of(job)[0]["line"] == "6"


def test_a_gzip_file_that_ends_too_early_keeps_the_rows_before_its_end(source, write):
    lines = "".join(f"{number},2026-01-05,P{number},1,{number},u{number},x\n" for number in range(40_000))

    job, report = carry_out(write(gzip.compress((HEADER + lines).encode())[:-20_000], "orders.csv.gz"), source)

    assert job.state == "done"
    assert report.orders_new > 5_000
    assert report.reasons[0].reason.startswith("the file ends in the middle")


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
