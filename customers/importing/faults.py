"""The rows that did not go in: a CSV for a person to mend, and counts by reason for the page."""

import csv
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from customers.importing.lines import Fault

EXCERPT = 100
# Spreadsheet programs run cells that begin with these, even behind spaces and control characters.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_INVISIBLE = "".join(map(chr, range(33))) + "\u00a0\u200b\u200c\u200d\u2060\ufeff"


@dataclass(frozen=True, slots=True)
class Reason:
    """How often one fault occurred, and where first."""

    column: str
    reason: str
    count: int
    first_line: int
    value: str


class FaultFile:
    """Writes faults to a CSV on disk as they come; memory does not grow with their number."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="perennial-import-")
        self.path = Path(self._folder.name) / "faults.csv"
        self._file = self.path.open("w", encoding="utf-8-sig", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerow(["line", "column", "value", "reason"])
        self._counts: Counter[tuple[str, str]] = Counter()
        self._first: dict[tuple[str, str], Fault] = {}
        self.rows = 0
        self.left_out = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
        self._folder.cleanup()

    def add(self, faults: list[Fault]) -> None:
        """Note the faults of one row."""
        if all(fault.left_out for fault in faults):
            self.left_out += 1
        else:
            self.rows += 1
        for fault in faults:
            self._writer.writerow([fault.line, safe_cell(fault.column), safe_cell(excerpt(fault.value)), safe_cell(fault.reason)])
            # "longer than 100 characters (1,000,000)" and its like count as one reason.
            key = (fault.column, fault.reason.partition(" (")[0])
            self._counts[key] += 1
            self._first.setdefault(key, fault)

    def close(self) -> None:
        """Have everything on disk; the file may be read now."""
        self._file.flush()

    def reasons(self) -> tuple[Reason, ...]:
        """Return the faults grouped, most frequent first."""
        return tuple(
            Reason(column, reason, count, self._first[column, reason].line, excerpt(self._first[column, reason].value))
            for (column, reason), count in sorted(self._counts.items(), key=lambda pair: (-pair[1], pair[0]))[:50]
        )


def excerpt(value: str) -> str:
    """Return a printable start of a cell; bytes its encoding could not read appear as \\xNN."""
    shown = value[:EXCERPT].encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return shown.replace("\0", "\\0") + ("…" if len(value) > EXCERPT else "")


def safe_cell(value: str) -> str:
    """Return the text so that no spreadsheet program takes it for a formula."""
    return f"'{value}" if value.lstrip(_INVISIBLE).startswith(_FORMULA) or value.startswith(_FORMULA) else value
