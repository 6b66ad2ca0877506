"""Reading and writing the CSV files of `manage.py evaluate`: a header, one row per line, gzip where the name says so."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from crm.core.errors import CrmError

# A cell of 100 k characters must read; a megabyte in one cell is a broken quote.
csv.field_size_limit(1_000_000)


class TableUnreadable(CrmError):
    """A file is missing, empty, no CSV, or lacks a column; the message names the file, and the line where there is one."""

    code = "table_unreadable"
    status = 422


@dataclass(frozen=True, slots=True)
class Table:
    """columns: names as in the header.  rows: text cells, each row as long as the header."""

    path: str
    columns: tuple[str, ...]
    rows: list[list[str]]

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> list[str]:
        """Return one column's cells. Raises TableUnreadable naming the columns there are, or where two bear the name."""
        if name not in self.columns:
            raise TableUnreadable(f"{self.path} has no column {name!r}; it has: {', '.join(self.columns)}.", column=name)
        if name and self.columns.count(name) > 1:
            raise TableUnreadable(f"{self.path} has {self.columns.count(name)} columns named {name!r}; name them apart.", column=name)
        at = self.columns.index(name)
        return [row[at] for row in self.rows]

    def has(self, name: str) -> bool:
        return name in self.columns


def read(path: str, *, least_columns: int = 1) -> Table:
    """Read a CSV (UTF-8 with or without BOM, gzip by its .gz name). Raises TableUnreadable, naming file and line."""
    try:
        with _open(path) as stream:
            records = _records(path, stream)
            _line, header = next(records, (0, None))
            if not header or not any(name.strip() for name in header):
                raise TableUnreadable(f"{path} is empty; its first line must name the columns.", path=path)
            columns = tuple(name.strip() for name in header)
            if len(columns) < least_columns:
                raise TableUnreadable(f"{path} has {len(columns)} column(s); {least_columns} are needed.", path=path)
            rows: list[list[str]] = []
            for line, row in records:
                if not row:
                    continue
                if len(row) != len(columns):
                    raise TableUnreadable(f"{path}, line {line}: {len(row)} cells where the header has {len(columns)}.", path=path)
                rows.append(row)
    except UnicodeDecodeError as error:
        raise TableUnreadable(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8.", path=path) from error
    except csv.Error as error:
        raise TableUnreadable(f"{path} is no CSV: {error}.", path=path) from error
    except (OSError, EOFError, zlib.error) as error:
        raise TableUnreadable(f"{path} cannot be read: {error}.", path=path) from error
    if not rows:
        raise TableUnreadable(f"{path} has a header but no rows.", path=path)
    return Table(path, columns, rows)


# A line no file holds, behind the last: a quote that is still open swallows it.
_END = "\ufdd0"


def _records(path: str, stream: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each record and the number of its last line.

    Raises TableUnreadable for a quote that is not closed, which would swallow rows below it without a word. Quotes within
    a cell of one line are taken as they are: people's files are full of them.
    """
    lines: list[str] = []

    def noted() -> Iterator[str]:
        for line in chain(stream, [_END]):
            lines.append(line)
            yield line

    reader = csv.reader(noted())
    began = 1
    for row in reader:
        if row == [_END]:
            return
        if len(lines) > 1 and not _is_quoted_well(lines):
            raise TableUnreadable(f"{path}, line {began}: a quote is opened and not closed.", path=path)
        yield reader.line_num, row
        began = reader.line_num + 1
        lines.clear()


def _is_quoted_well(lines: list[str]) -> bool:
    try:
        return len(list(csv.reader(lines, strict=True))) == 1
    except csv.Error:
        return False


def write(path: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV with a header; floats with ten significant digits, None as an empty cell. Raises TableUnreadable."""
    try:
        with Path(path).open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows([f"{cell:.10g}" if isinstance(cell, float) else "" if cell is None else cell for cell in row] for row in rows)
    except OSError as error:
        raise TableUnreadable(f"{path} cannot be written: {error}.", path=path) from error


def _open(path: str):  # type: ignore[no-untyped-def]
    if path.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return Path(path).open(encoding="utf-8-sig", newline="")
