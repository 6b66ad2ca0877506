"""The first sheet of an Excel workbook as records of text."""

import zipfile
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

from django.utils.translation import gettext as _

from customers.importing.table import BrokenRow, FileRefused, Row, Table, distinct

# An XLSX file is a zip archive; its parts may not unpack to more than this.
LARGEST = 1 << 30


def open_workbook(path: Path) -> Table:
    """Return the first sheet as a table. Raises FileRefused."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError):
        raise FileRefused(_("The workbook cannot be opened.")) from None
    if "xl/workbook.xml" not in names:
        raise FileRefused(_("This zip archive is no Excel workbook; unpack it and import the CSV inside."))
    if unpacked > LARGEST:
        raise FileRefused(_("The workbook unpacks to more than 1 GB; save it as CSV."))
    first = next(records(Table(path, "xlsx", "", "", ())), None)
    if isinstance(first, BrokenRow):
        raise FileRefused(_("The workbook cannot be read: %(reason)s") % {"reason": first.reason})
    if first is None or not any(first.cells):
        raise FileRefused(_("The first row of the first sheet must hold the column names."))
    return Table(path, "xlsx", "", "", distinct(first.cells))


def records(table: Table) -> Iterator[Row | BrokenRow]:
    """Yield the sheet's rows, the column names first, each with a cell for every column. Raises FileRefused before the first."""
    import openpyxl

    try:
        book = openpyxl.load_workbook(table.path, read_only=True, data_only=True)
    except Exception as error:  # openpyxl raises whatever its XML reader meets
        raise FileRefused(_("The workbook cannot be read: %(reason)s") % {"reason": error}) from None
    number = 0
    try:
        if not book.worksheets:
            raise FileRefused(_("The workbook has no sheet with cells."))
        sheet = book.worksheets[0]
        # What a sheet says of its size is often wrong: 16,384 columns after a column was coloured, or a single cell.
        sheet.reset_dimensions()
        for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
            cells = [_text(value) for value in values]
            yield Row(number, cells + [""] * (len(table.columns) - len(cells)))
    except (FileRefused, GeneratorExit):
        raise
    except Exception as error:  # as above: a part may be damaged in the middle
        yield BrokenRow(number + 1, f"the file ends in the middle: {error}")
    finally:
        book.close()


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime | date):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
