"""What each column of a text table is (number, category, date, text, nothing of use) and the matrix learned from it.

`ColumnPlan.learn` looks at training cells alone; `encode` then gives the same matrix for any table with those columns.
A cell that is empty or says NA, NaN, null or ? is missing, which is a fact of its own and never an error.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from crm.core.errors import CrmError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# "none" and "no" are answers, not gaps ("other debtors: none").
MISSING = frozenset({"", "na", "n/a", "nan", "null", "?", "<na>"})
# A column is of a kind if at least this share of its filled cells reads as that kind; the others count as missing.
MOSTLY = 0.95
# Levels kept of a category; the boosted trees hold at most 255, and rarer levels teach nothing.
MOST_LEVELS = 120
# A level seen fewer times than this joins "other".
RAREST_LEVEL = 3
# Cells longer than this on average are text, of which only the length is used.
TEXT_LENGTH = 40
OTHER = "(other)"
# Numbers are held within this: in single precision (scattered trees) they still are numbers, and so are their cubes in double.
LARGEST = 1e30
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?")
_IDENTIFIER = re.compile(r"(^|[^a-z])(id|uuid|key|index|rowid)$|[a-z]I[dD]$|ID$|(^|_)(row|record|line)_?(number|no|nr|id)?$")
_DATE_FORMATS = ("%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d.%m.%Y", "%d-%m-%Y")
_LOOKS_LIKE_DATE = re.compile(r"\d{4}[-/]\d{1,2}[-/]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}")


class ColumnMissing(CrmError):
    """A table lacks a column that the model was learned with."""

    code = "column_missing"
    status = 422


class NothingToLearnFrom(CrmError):
    """No usable column is left, or too few rows of a kind."""

    code = "nothing_to_learn_from"
    status = 422


@dataclass(frozen=True, slots=True)
class Matrix:
    """A table as numbers.

    values: (rows, features) float64; a category feature holds level numbers 0, 1, …; NaN is a missing cell.
    names: features.  columns: the column each feature was made from, which reasons speak of.
    levels: names of a category feature's levels, () for a number.
    """

    values: Floats
    names: tuple[str, ...]
    columns: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def is_category(self) -> NDArray[np.bool_]:
        return np.array([bool(levels) for levels in self.levels], dtype=bool)

    def take(self, rows: NDArray[Any]) -> Matrix:
        return Matrix(self.values[rows], self.names, self.columns, self.levels)

    @classmethod
    def of_numbers(cls, values: Floats, names: Sequence[str]) -> Matrix:
        """Return a matrix whose features are all numbers; infinite values count as missing."""
        given = np.array(values, dtype=float)
        given[~np.isfinite(given)] = np.nan
        return cls(given, tuple(names), tuple(names), ((),) * len(names))


@dataclass(frozen=True, slots=True)
class Column:
    """One used column. kind: "number", "category", "date" or "text". levels: of a category, commonest first."""

    name: str
    kind: str
    levels: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        if self.kind == "date":
            return (self.name, f"{self.name}: month", f"{self.name}: weekday")
        return (f"{self.name}: length",) if self.kind == "text" else (self.name,)

    def encode(self, cells: Sequence[str]) -> Floats:
        """Return (rows, features of this column)."""
        if self.kind == "number":
            return np.array([number(cell) for cell in cells], dtype=float)[:, None]
        if self.kind == "date":
            return np.array([_date_parts(cell) for cell in cells], dtype=float).reshape(-1, 3)
        if self.kind == "text":
            return np.array([math.log1p(len(cell)) for cell in cells], dtype=float)[:, None]
        codes = {level: float(place) for place, level in enumerate(self.levels)}
        other = codes.get(OTHER, math.nan)
        return np.array([math.nan if is_missing(cell) else codes.get(level_of(cell), other) for cell in cells], dtype=float)[:, None]


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """columns: what is used.  left_out: reason by column name, for people."""

    columns: tuple[Column, ...]
    left_out: dict[str, str]

    @classmethod
    def learn(cls, cells: Mapping[str, Sequence[str]]) -> ColumnPlan:
        """Return the plan for these training columns. Raises NothingToLearnFrom where no column is of use."""
        used: list[Column] = []
        left_out: dict[str, str] = {}
        seen: dict[tuple[str, ...], str] = {}
        for name, given in cells.items():
            filled = [cell.strip() for cell in given if not is_missing(cell)]
            twin = seen.setdefault(tuple(given), name)
            if not filled:
                left_out[name] = "every cell is missing"
            elif len(set(filled)) == 1 and len(filled) == len(given):
                left_out[name] = "every row has the same value"
            elif twin != name:
                left_out[name] = f"it repeats the column {twin!r}"
            elif (kind := _kind(name, filled)) == "identifier":
                left_out[name] = "it names the row and differs in nearly every one"
            else:
                used.append(Column(name, kind, _levels(filled) if kind == "category" else ()))
        if not used:
            told = "; ".join(f"{name}: {reason}" for name, reason in left_out.items()) or "there is none"
            raise NothingToLearnFrom(f"No column can be learned from ({told}).")
        return cls(tuple(used), left_out)

    def encode(self, cells: Mapping[str, Sequence[str]]) -> Matrix:
        """Return the table as a matrix. Raises ColumnMissing naming what is absent."""
        absent = [column.name for column in self.columns if column.name not in cells]
        if absent:
            raise ColumnMissing(f"The table lacks {', '.join(map(repr, absent))}, which the model was learned with.", columns=absent)
        parts = [column.encode(cells[column.name]) for column in self.columns]
        return Matrix(
            np.hstack(parts),
            tuple(feature for column in self.columns for feature in column.features),
            tuple(column.name for column in self.columns for _ in column.features),
            tuple(column.levels for column in self.columns for _ in column.features),
        )

    def without(self, names: Mapping[str, str]) -> ColumnPlan:
        """Return the plan less these columns; names: reason by column. Raises NothingToLearnFrom if none is left."""
        kept = tuple(column for column in self.columns if column.name not in names)
        if not kept:
            raise NothingToLearnFrom(f"No column is left to learn from; left out: {'; '.join(f'{name}: {reason}' for name, reason in names.items())}.")
        return ColumnPlan(kept, {**self.left_out, **{column.name: names[column.name] for column in self.columns if column.name in names}})


def is_missing(cell: str) -> bool:
    return len(cell) < 12 and cell.strip().lower() in MISSING


def level_of(cell: str) -> str:
    """Return a category cell's level: trimmed, and cut at 200 characters so that a pasted page is no level."""
    return cell.strip()[:200]


def number(cell: str) -> float:
    """Return the number a cell says (1,234.5, 12%, $30 and £30 read too), NaN where it says none or is not finite.

    Beyond LARGEST it is LARGEST.
    """
    text = cell.strip()
    if len(text) > 60:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        bare = text.strip("$£€¥% ")
        if _THOUSANDS.fullmatch(bare):
            bare = bare.replace(",", "")
        try:
            value = float(bare)
        except ValueError:
            return math.nan
    return max(-LARGEST, min(value, LARGEST)) if math.isfinite(value) else math.nan


def moment(cell: str) -> date | None:
    """Return the day a cell names, in ISO or a common day-first or month-first form."""
    text = cell.strip()
    if len(text) > 40 or not _LOOKS_LIKE_DATE.match(text):
        return None
    try:
        return datetime.fromisoformat(text).date()
    except ValueError:
        pass
    for form in _DATE_FORMATS:
        try:
            return datetime.strptime(text.split(" ")[0], form).replace(tzinfo=UTC).date()
        except ValueError:
            continue
    return None


def _date_parts(cell: str) -> tuple[float, float, float]:
    day = moment(cell)
    return (float(day.toordinal()), float(day.month), float(day.weekday())) if day else (math.nan,) * 3


def _kind(name: str, filled: Sequence[str]) -> str:
    distinct = len(set(filled))
    nearly_all_differ = distinct > 20 and distinct > 0.9 * len(filled)
    if _mostly(filled, lambda cell: not math.isnan(number(cell))):
        whole = all(cell.lstrip("+-").isdigit() for cell in filled)
        return "identifier" if whole and nearly_all_differ and _IDENTIFIER.search(name) else "number"
    if _mostly(filled, lambda cell: moment(cell) is not None):
        return "date"
    if sum(map(len, filled)) > TEXT_LENGTH * len(filled) and distinct > 0.2 * len(filled):
        return "text"
    return "identifier" if nearly_all_differ else "category"


def _mostly(filled: Sequence[str], reads: Callable[[str], bool]) -> bool:
    return sum(1 for cell in filled if reads(cell)) >= MOSTLY * len(filled)


def _levels(filled: Sequence[str]) -> tuple[str, ...]:
    counts = Counter(level_of(cell) for cell in filled)
    ordered = sorted(counts, key=lambda level: (-counts[level], level))
    kept = [level for level in ordered[:MOST_LEVELS] if counts[level] >= RAREST_LEVEL]
    return tuple(kept) if len(kept) == len(ordered) else (*kept, OTHER)
