"""Files into rows of text: CSV, gzipped CSV and XLSX in the encodings shops send, one row at a time.

Memory stays bounded whatever the file holds: a line is cut off at LONGEST_LINE, a cell at LONGEST_CELL, and both become
faults with their line number instead of ending the import.
"""

import codecs
import csv
import gzip
import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import IO, cast

from django.utils.translation import gettext as _

from crm.core.errors import CrmError

SAMPLE = 1 << 20
LONGEST_CELL = 2_000_000
LONGEST_LINE = 8_000_000
# An XLSX file is a zip archive; its parts may not unpack to more than this.
LARGEST_WORKBOOK = 1 << 30
DELIMITERS = ",;\t|"
ENCODINGS = ("utf-8", "utf-16", "gb18030", "cp1252")


class FileRefused(CrmError):
    """The file as a whole cannot be read; the text says why and what to do."""

    code = "file_refused"
    status = 422


@dataclass(frozen=True, slots=True)
class Table:
    """A file as understood. encoding and delimiter are '' for a workbook."""

    path: Path
    kind: str
    encoding: str
    delimiter: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One record. line: where it starts in the file, from 1; in a workbook the row's number."""

    line: int
    cells: Sequence[str]


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """A record that could not be read at all."""

    line: int
    reason: str


def open_table(path: Path, *, encoding: str = "") -> Table:
    """Look at the start of the file and return how it is written. Raises FileRefused."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise FileRefused(_("%(path)s: %(reason)s.") % {"path": path, "reason": error.strerror}) from None
    if magic[:4] == b"PK\x03\x04":
        return _workbook(path)
    if magic[:4] == b"\xd0\xcf\x11\xe0":
        raise FileRefused(_("This is an old Excel file (.xls); save it as .xlsx or CSV."))
    kind = "gzip" if magic[:2] == b"\x1f\x8b" else "csv"
    try:
        with _bytes(path, kind) as stream:
            sample = stream.read(SAMPLE)
    except (OSError, EOFError) as error:
        raise FileRefused(_("The gzip file cannot be unpacked: %(reason)s.") % {"reason": error}) from None
    if not sample.strip():
        raise FileRefused(_("The file is empty."))
    encoding = encoding or detect_encoding(sample)
    if b"\0" in sample and encoding != "utf-16":
        raise FileRefused(_("This is not a text file."))
    delimiter = _delimiter(sample.decode(encoding, "replace").lstrip("\ufeff"))
    table = Table(path, kind, encoding, delimiter, ())
    first = next(iter(_csv_rows(table)), None)
    if not isinstance(first, Row) or not any(first.cells):
        raise FileRefused(_("The first line must hold the column names."))
    return Table(path, kind, encoding, delimiter, tuple(cell.strip() for cell in first.cells))


def rows(table: Table) -> Iterator[Row | BrokenRow]:
    """Yield the records below the column names; blank lines are left out.

    Bytes that do not fit the encoding stay in the text as lone surrogates, to be found by `undecodable`.
    """
    source = _workbook_rows(table) if table.kind == "xlsx" else _csv_rows(table)
    next(source, None)
    for row in source:
        if isinstance(row, BrokenRow) or any(row.cells):
            yield row


def undecodable(text: str) -> bool:
    """Return whether the text holds bytes that its file's encoding could not read."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def detect_encoding(sample: bytes) -> str:
    """Return the codec of a text sample: by its byte order mark, as UTF-8 if it mostly is, else GB18030 or Windows Latin.

    A file that is UTF-8 but for a few bytes counts as UTF-8: those cells become faults, instead of all others becoming
    gibberish. Between the other two: Chinese text has its high bytes in pairs, western text has them alone.
    """
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if sample.startswith(codecs.BOM_UTF8) or sample.isascii():
        return "utf-8"
    decoded = sample.decode("utf-8", "replace")
    # The sample may end inside a character.
    faults = decoded.rstrip("\ufffd").count("\ufffd")
    good = sum(1 for letter in decoded if letter > "\x7f" and letter != "\ufffd")
    if good >= faults:
        return "utf-8"
    high = pairs = run = 0
    for byte in sample:
        if byte >= 0x80:
            run += 1
            continue
        high += run
        pairs += run if run > 1 else 0
        run = 0
    high += run
    pairs += run if run > 1 else 0
    return "gb18030" if high and pairs / high > 0.8 else "cp1252"


def _delimiter(text: str) -> str:
    """Return the separator that occurs most in the header, outside quotes."""
    header = text.splitlines()[0] if text else ""
    outside = "".join(header.split('"')[::2])
    return max(DELIMITERS, key=lambda candidate: (outside.count(candidate), -DELIMITERS.index(candidate)))


def _bytes(path: Path, kind: str) -> IO[bytes]:
    opened = gzip.open(path, "rb") if kind == "gzip" else path.open("rb")  # noqa: SIM115 - the caller closes it
    return cast("IO[bytes]", opened)


def _lines(table: Table, broken: list[int]) -> Iterator[str]:
    """Yield physical lines; one that is too long is cut and its number noted in `broken`."""
    with _bytes(table.path, table.kind) as raw:
        text = io.TextIOWrapper(raw, encoding=table.encoding, errors="surrogateescape" if table.encoding != "utf-16" else "replace", newline="")  # type: ignore[type-var]
        number = 0
        while line := text.readline(LONGEST_LINE):
            number += 1
            if number == 1:
                line = line.removeprefix("\ufeff")
            if len(line) >= LONGEST_LINE and not line.endswith(("\n", "\r")):
                broken.append(number)
                while (rest := text.readline(LONGEST_LINE)) and not rest.endswith(("\n", "\r")):
                    pass
                line = "\n"
            yield line


def _csv_rows(table: Table) -> Iterator[Row | BrokenRow]:
    # The limit is the process's own; nothing else here reads CSV.
    csv.field_size_limit(LONGEST_CELL)
    cut: list[int] = []
    reader = csv.reader(_lines(table, cut), delimiter=table.delimiter, strict=False)
    line = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            reason = f"a cell is longer than {LONGEST_CELL:,} characters" if "field larger" in str(error) else str(error)
            yield BrokenRow(line, reason)
            line = reader.line_num + 1
            continue
        except (OSError, EOFError) as error:
            yield BrokenRow(reader.line_num + 1, f"the file ends in the middle: {error}")
            break
        while cut:
            yield BrokenRow(cut.pop(0), f"the line is longer than {LONGEST_LINE:,} characters")
        yield Row(line, cells)
        line = reader.line_num + 1
    for number in cut:
        yield BrokenRow(number, f"the line is longer than {LONGEST_LINE:,} characters")


def _workbook(path: Path) -> Table:
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError):
        raise FileRefused(_("The workbook cannot be opened.")) from None
    if "xl/workbook.xml" not in names:
        raise FileRefused(_("This zip archive is no Excel workbook; unpack it and import the CSV inside."))
    if unpacked > LARGEST_WORKBOOK:
        raise FileRefused(_("The workbook unpacks to more than 1 GB; save it as CSV."))
    first = next(_workbook_rows(Table(path, "xlsx", "", "", ())), None)
    if first is None or not any(first.cells):
        raise FileRefused(_("The first row of the first sheet must hold the column names."))
    return Table(path, "xlsx", "", "", tuple(cell.strip() for cell in first.cells))


def _workbook_rows(table: Table) -> Iterator[Row]:
    import openpyxl

    try:
        book = openpyxl.load_workbook(table.path, read_only=True, data_only=True)
    except Exception as error:  # openpyxl raises whatever its XML reader meets
        raise FileRefused(_("The workbook cannot be read: %(reason)s") % {"reason": error}) from None
    try:
        for number, values in enumerate(book.worksheets[0].iter_rows(values_only=True), start=1):
            yield Row(number, [_cell_text(value) for value in values])
    finally:
        book.close()


def _cell_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime | date):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
