"""Numbers and moments as people write them, and what the rest of a file tells of those that can be read two ways."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from customers.importing import values
from customers.importing.plan import Options, prepare
from tests.customers.importing.conftest import HEADER


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
