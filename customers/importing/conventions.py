"""How a file writes what can be read two ways: 3/4/2026, and 1.234.

Each is settled by the first cell that can be read one way only, however far down it stands: a file sorted by date may
begin with thousands of rows of the first twelve days of a month.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from customers.importing.table import BrokenRow, Row

# Where nothing was unclear so far nothing will be: a column of ISO dates need not be read to its end.
ENOUGH = 2_000
# About four seconds; what is unclear until here is taken as unclear.
MOST = 1_000_000
_DATE = re.compile(r"(\d{1,2})([./-])(\d{1,2})[./-]\d{2,4}(?!\d)")
_MARKED = re.compile(r"\d[.,]\d")
_GROUPED = re.compile(r"[1-9]\d{0,2}([.,])\d{3}")


@dataclass(slots=True)
class DayOrder:
    """Whether dates such as 3/4/2026 begin with the day. None: nothing settles it."""

    day_first: bool | None = None
    is_unclear: bool = False

    def see(self, cell: str) -> None:
        if self.day_first is not None or not (found := _DATE.match(cell.strip())):
            return
        one, mark, two = int(found[1]), found[2], int(found[3])
        if one > 12 or two > 12:
            self.day_first = one > 12
        elif mark == ".":
            # Nobody writes the month first with points.
            self.day_first = True
        elif one != two:
            self.is_unclear = True


@dataclass(slots=True)
class DecimalMark:
    """Whether a comma stands before the cents, so that 1.234 is a thousand and more. None: nothing settles it."""

    comma: bool | None = None
    is_unclear: bool = False

    def see(self, cell: str) -> None:
        bare = cell.strip()
        point, comma = bare.rfind("."), bare.rfind(",")
        if self.comma is not None or not _MARKED.search(bare):
            return
        if point >= 0 and comma >= 0:
            self.comma = comma > point
        elif bare.count(".") > 1 or bare.count(",") > 1:
            # 1.234.567
            self.comma = point > comma
        elif _GROUPED.fullmatch(re.sub(r"[^\d.,]", "", bare)):
            self.is_unclear = True
        else:
            self.comma = comma > point


def look(rows: Iterable[Row | BrokenRow], *, dates: int, numbers: Iterable[int]) -> tuple[DayOrder, DecimalMark]:
    """Return how the file writes dates and numbers. dates, numbers: places of the columns."""
    order, mark, places = DayOrder(), DecimalMark(), tuple(numbers)
    for count, row in enumerate(rows):
        if isinstance(row, Row):
            width = len(row.cells)
            if dates < width and len(row.cells[dates]) < 60:
                order.see(row.cells[dates])
            for place in places:
                if mark.comma is None and place < width and len(row.cells[place]) < 40:
                    mark.see(row.cells[place])
        day_open, mark_open = order.day_first is None, mark.comma is None
        if not (day_open or mark_open) or count >= MOST or (count >= ENOUGH and not (day_open and order.is_unclear) and not (mark_open and mark.is_unclear)):
            break
    return order, mark
