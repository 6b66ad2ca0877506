"""Text files into records: encodings, separators, and quotes that somebody forgot to close.

Memory stays bounded whatever the file holds: a line is cut off at LONGEST_LINE, a cell at LONGEST_CELL, and both become
faults with their line number instead of ending the import.
"""

import codecs
import contextlib
import csv
import gzip
import io
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from customers.importing.table import BrokenRow, Row, Table

SAMPLE = 1 << 20
# How far a file that begins in plain ASCII is searched for the first other letter, which tells its encoding.
SEARCHED = 1 << 30
LONGEST_CELL = 2_000_000
LONGEST_LINE = 8_000_000
# A cell with more line breaks is no text a shop exports but a quote that was never closed.
LONGEST_RECORD_LINES = 1_000
DELIMITERS = ",;\t|"
ENCODINGS = ("utf-8", "utf-16", "gb18030", "cp1252")
UNCLOSED = "a quote is opened in this line and not closed"
# Excel's way to state the separator, in a line before the column names.
_SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)


def opened(path: Path, kind: str) -> IO[bytes]:
    """Return the file's bytes, unpacked; the caller closes it."""
    stream = gzip.open(path, "rb") if kind == "gzip" else path.open("rb")  # noqa: SIM115 - the caller closes it
    return cast("IO[bytes]", stream)


def sample_of(stream: IO[bytes]) -> tuple[bytes, bytes]:
    """Return the file's first bytes, and those that tell its encoding: the first that are not plain ASCII, if there are any.

    An English shop's first accent may stand megabytes behind the beginning.
    """
    first = telling = stream.read(SAMPLE)
    read = len(first)
    # A gzip file that ends too early is told when its rows are read; those before the end are good.
    with contextlib.suppress(OSError, EOFError):
        while telling and telling.isascii() and read < SEARCHED:
            telling = stream.read(SAMPLE)
            read += len(telling)
        if telling is not first and telling:
            # The character may have been cut at the end of the piece.
            telling += stream.read(SAMPLE)
    return first, telling or first


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


def detect_delimiter(text: str) -> str:
    """Return the separator that the file states, else the one that occurs most in the header, outside quotes."""
    text = text.lstrip("\ufeff")
    stated = _SEPARATOR_LINE.match(text)
    if stated:
        return stated[1]
    header = next((line for line in text.splitlines() if line.strip()), "")
    outside = "".join(header.split('"')[::2])
    return max(DELIMITERS, key=lambda candidate: (outside.count(candidate), -DELIMITERS.index(candidate)))


class _Lines:
    """The physical lines of a file, of which the last ones may be given back. taken: those since `forget`, with their numbers."""

    def __init__(self, table: Table) -> None:
        self._fresh = _numbered_lines(table)
        self._again: deque[tuple[int, str | None]] = deque()
        self.taken: list[tuple[int, str | None]] = []

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if len(self.taken) > LONGEST_RECORD_LINES:
            raise _Endless
        number, line = self._again.popleft() if self._again else next(self._fresh)
        self.taken.append((number, line))
        # A line that was cut off says nothing; what it was part of ends here.
        return "\n" if line is None else line

    def give_back(self, lines: list[tuple[int, str | None]]) -> None:
        self._again.extendleft(reversed(lines))


class _Endless(Exception):
    """A record goes on for more lines than any record has."""


def _numbered_lines(table: Table) -> Iterator[tuple[int, str | None]]:
    """Yield physical lines with their numbers from 1; None for one that is too long."""
    with opened(table.path, table.kind) as raw:
        text = io.TextIOWrapper(raw, encoding=table.encoding, errors="surrogateescape" if table.encoding != "utf-16" else "replace", newline="")  # type: ignore[type-var]
        number = 0
        while line := text.readline(LONGEST_LINE):
            number += 1
            if number == 1:
                line = line.removeprefix("\ufeff")
                if _SEPARATOR_LINE.fullmatch(line):
                    continue
            if len(line) >= LONGEST_LINE and not line.endswith(("\n", "\r")):
                while (rest := text.readline(LONGEST_LINE)) and not rest.endswith(("\n", "\r")):
                    pass
                yield number, None
            else:
                yield number, line


def records(table: Table) -> Iterator[Row | BrokenRow]:
    """Yield the file's records, the column names first; blank ones have no cells.

    A quote that is opened and never closed would swallow the rows behind it, up to the next quote, as the text of one cell.
    It gives itself away: the file ends inside it, letters stand where it closes, the record has too many lines or another
    number of cells than the first line. Then only the line with the quote is a fault, and reading goes on behind it.
    """
    # The limit is the process's own; nothing else here reads CSV.
    csv.field_size_limit(LONGEST_CELL)
    lines = _Lines(table)
    reader = csv.reader(lines, delimiter=table.delimiter, strict=True)
    while True:
        lines.taken.clear()
        fault = ""
        cells: list[str] = []
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            fault = f"a cell is longer than {LONGEST_CELL:,} characters" if "field larger" in str(error) else UNCLOSED
        except _Endless:
            fault = UNCLOSED
        except (OSError, EOFError) as error:
            yield BrokenRow(lines.taken[-1][0] + 1 if lines.taken else 1, f"the file ends in the middle: {error}")
            return
        record = lines.taken.copy()
        if len(record) > 1 and (fault or _misshapen(cells, table) or any(line is None for _, line in record)):
            lines.give_back(record[1:])
            yield BrokenRow(record[0][0], UNCLOSED)
            continue
        number, line = record[0]
        if line is None:
            yield BrokenRow(number, f"the line is longer than {LONGEST_LINE:,} characters")
        elif fault == UNCLOSED:
            yield _leniently(number, line, table)
        elif fault:
            yield BrokenRow(number, fault)
        else:
            yield Row(number, cells)


def _misshapen(cells: list[str], table: Table) -> bool:
    """Return whether a record has another number of cells than there are columns; empty ones at its end do not count."""
    width = len(table.columns)
    return bool(width) and (len(cells) < width or any(cells[width:]))


def _leniently(number: int, line: str, table: Table) -> Row | BrokenRow:
    """Read one line as spreadsheets do: within it a stray quote does no harm."""
    try:
        return Row(number, next(csv.reader([line], delimiter=table.delimiter)))
    except (csv.Error, StopIteration) as error:
        return BrokenRow(number, str(error) or UNCLOSED)
