"""Files into rows of text: CSV, gzipped CSV and XLSX in the encodings shops send, one row at a time."""

from collections.abc import Iterator
from pathlib import Path

from django.utils.translation import gettext as _

from customers.importing import csvfile, workbook
from customers.importing.csvfile import ENCODINGS, LONGEST_CELL, LONGEST_LINE
from customers.importing.table import BrokenRow, FileRefused, Row, Table, distinct

__all__ = ["ENCODINGS", "LONGEST_CELL", "LONGEST_LINE", "BrokenRow", "FileRefused", "Row", "Table", "open_table", "rows", "undecodable"]


def open_table(path: Path, *, encoding: str = "") -> Table:
    """Look at the start of the file and return how it is written. Raises FileRefused."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise FileRefused(_("%(path)s: %(reason)s.") % {"path": path, "reason": error.strerror}) from None
    if magic[:4] == b"PK\x03\x04":
        return workbook.open_workbook(path)
    if magic[:4] == b"\xd0\xcf\x11\xe0":
        raise FileRefused(_("This is an old Excel file (.xls); save it as .xlsx or CSV."))
    kind = "gzip" if magic[:2] == b"\x1f\x8b" else "csv"
    try:
        with csvfile.opened(path, kind) as stream:
            sample, telling = (stream.read(csvfile.SAMPLE), b"") if encoding else csvfile.sample_of(stream)
    except (OSError, EOFError) as error:
        raise FileRefused(_("The gzip file cannot be unpacked: %(reason)s.") % {"reason": error}) from None
    if not sample.strip():
        raise FileRefused(_("The file is empty."))
    encoding = encoding or csvfile.detect_encoding(telling)
    if b"\0" in sample and encoding != "utf-16":
        raise FileRefused(_("This is not a text file."))
    table = Table(path, kind, encoding, csvfile.detect_delimiter(sample.decode(encoding, "replace")), ())
    first = next((record for record in csvfile.records(table) if not isinstance(record, Row) or any(record.cells)), None)
    if not isinstance(first, Row):
        raise FileRefused(_("The first line must hold the column names."))
    return Table(path, kind, encoding, table.delimiter, distinct(first.cells))


def rows(table: Table) -> Iterator[Row | BrokenRow]:
    """Yield the records below the column names; blank lines are left out.

    Bytes that do not fit the encoding stay in the text as lone surrogates, to be found by `undecodable`.
    """
    source = workbook.records(table) if table.kind == "xlsx" else csvfile.records(table)
    filled = (row for row in source if isinstance(row, BrokenRow) or any(row.cells))
    next(filled, None)
    yield from filled


def undecodable(text: str) -> bool:
    """Return whether the text holds bytes that its file's encoding could not read."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
