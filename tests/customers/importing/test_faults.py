"""Faulty rows: named by line, column and reason, while all others go in."""

import pytest

from customers.importing.faults import safe_cell
from customers.importing.plan import Options, prepare
from customers.importing.reading import FileRefused
from customers.models import Customer, Order
from tests.customers.importing.conftest import GOOD, HEADER, carry_out, faults_of

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


def test_error_file_holds_no_formulas(source, write):
    job, _ = carry_out(write(GOOD + '3,2026-01-05,P1,"=cmd|calc",10,u1,x\n4,2026-01-05,P1," \u200b@SUM(A1)",10,u1,x\n'), source)

    assert [fault["value"] for fault in faults_of(job)] == ["'=cmd|calc", "' \u200b@SUM(A1)"]
    assert safe_cell("\t+1") == "'\t+1"
    assert safe_cell("plain - text") == "plain - text"
