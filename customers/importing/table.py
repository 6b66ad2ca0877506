"""What a file is once it is understood: a table of text, read one record at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crm.core.errors import CrmError


class FileRefused(CrmError):
    """The file as a whole cannot be read; the text says why and what to do."""

    code = "file_refused"
    status = 422


@dataclass(frozen=True, slots=True)
class Table:
    """A file as understood. encoding and delimiter are '' for a workbook.  columns: each name once, as `distinct` made them."""

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


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Return column names, trimmed; the second `price` becomes `price (2)`, so that a person can choose either."""
    seen: dict[str, int] = {}
    found = []
    for name in (name.strip() for name in names):
        seen[name] = seen.get(name, 0) + 1
        found.append(f"{name} ({seen[name]})" if name and seen[name] > 1 else name)
    return tuple(found)
