"""A figure as everybody can use it: a chart, its table, its CSV, and the segments one can make from it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from crm.core.charts import Chart


@dataclass(frozen=True, slots=True)
class Offer:
    """A segment one can make of what is seen. key: as segments.rule_of reads it."""

    key: str
    label: str


@dataclass(frozen=True, slots=True)
class Quotes:
    """What people wrote, word for word. about: whom or what it is of.  praise, blame: clauses as written."""

    about: str
    praise: Sequence[str] = ()
    blame: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Sheet:
    """name: in the address of its CSV.  header, rows: the raw figures, not rounded, for programs and spreadsheets.

    note: what a reader must know.  wide: takes the whole width.  quotes: what stands behind the figures.
    """

    name: str
    chart: Chart
    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    offers: Sequence[Offer] = ()
    note: str = ""
    wide: bool = False
    quotes: Sequence[Quotes] = ()


def as_csv(sheet: Sheet) -> str:
    """Return the sheet's raw figures as CSV with a byte order mark, safe to open in a spreadsheet program."""
    out = io.StringIO()
    # Excel reads UTF-8 only behind this mark.
    out.write("\ufeff")
    writer = csv.writer(out)
    writer.writerow(sheet.header)
    for row in sheet.rows:
        writer.writerow(
            ["" if cell is None else f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else cell for cell in row]
        )
    return out.getvalue()
