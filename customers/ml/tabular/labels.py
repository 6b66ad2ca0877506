"""The label column of a table to evaluate: which rows bear it, what its positive value is, and how a test file spells it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crm.core.errors import CrmError
from customers.ml.tabular.columns import is_missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crm.core.learning.tables import Table

# Words for "it happened"; where neither value is one of them the rarer is the positive.
POSITIVE = ("1", "yes", "y", "true", "t", "positive", "bad", "churn", "churned", "returned", "是")
ANY_OTHER = "any other"
Key = float | str


class LabelUnusable(CrmError):
    """The label column cannot be learned: one value only, many values and none named, or too many gaps."""

    code = "label_unusable"
    status = 422


@dataclass(frozen=True, slots=True)
class Task:
    """What is learned. rows: training rows with a label.  label: (n,) 0/1.  positive, negative: the label's two sides, as
    the training file spells them mostly.
    """

    table: Table
    rows: list[int]
    label: NDArray[np.int64]
    positive: str
    negative: str

    def cells(self, column: str) -> list[str]:
        given = self.table.column(column)
        return [given[row] for row in self.rows]


@dataclass(frozen=True, slots=True)
class Truth:
    """The labels of the test rows that bear one of the two. label: (m,) 0/1.  rows: (m,) their row numbers.
    strange: other values in the column, with their rows.
    """

    label: NDArray[np.int64]
    rows: NDArray[np.int64]
    strange: dict[str, int]


def learnable(table: Table, label: str, positive: str | None) -> Task:
    """Return which rows have a label and what its positive value is. Raises LabelUnusable, TableUnreadable."""
    given = [cell.strip() for cell in table.column(label)]
    rows = [row for row, cell in enumerate(given) if not is_missing(cell)]
    if not rows:
        raise LabelUnusable(f"The label column {label!r} of {table.path} is empty.", column=label)
    keys = [spelling(given[row]) for row in rows]
    names = _names(keys, [given[row] for row in rows])
    values = sorted(names.values())
    if len(names) == 1:
        raise LabelUnusable(f"Every row of {table.path} has the label {values[0][:80]!r}; two different labels are needed to learn from.", column=label)
    if positive is not None and spelling(positive) not in names:
        raise LabelUnusable(f"No row of {table.path} has the label {positive!r}; there are: {listed(values)}.", column=label)
    if positive is None and len(names) > 2:
        raise LabelUnusable(f"The label column {label!r} has {len(names)} values ({listed(values)}); name the one to predict with --positive.", column=label)
    wanted = spelling(positive) if positive is not None else _positive(keys)
    others = [names[key] for key in names if key != wanted]
    marks = np.array([key == wanted for key in keys], dtype=np.int64)
    return Task(table, rows, marks, names[wanted], others[0] if len(others) == 1 else ANY_OTHER)


def truth_of(test: Table, task: Task, label: str) -> Truth | None:
    """Return the labels of a test file, None where it bears none."""
    if not test.has(label):
        return None
    wanted, other = spelling(task.positive), spelling(task.negative)
    marks: list[int] = []
    rows: list[int] = []
    strange = Counter[str]()
    for row, cell in enumerate(test.column(label)):
        if is_missing(cell):
            continue
        key = spelling(cell)
        if key != wanted and key != other and task.negative != ANY_OTHER:
            strange[cell.strip()] += 1
            continue
        marks.append(int(key == wanted))
        rows.append(row)
    if not rows and not strange:
        return None
    return Truth(np.array(marks, dtype=np.int64), np.array(rows, dtype=np.int64), dict(strange))


def spelling(cell: str) -> Key:
    """Return what all spellings of one label have in common: 1 is 1.0, Yes is yes."""
    text = cell.strip()
    try:
        number = float(text)
    except ValueError:
        return text.casefold()
    return number if math.isfinite(number) else text.casefold()


def listed(values: Sequence[str]) -> str:
    return ", ".join(repr(value[:40]) for value in values[:8]) + (", …" if len(values) > 8 else "")


def _names(keys: Sequence[Key], cells: Sequence[str]) -> dict[Key, str]:
    """Return each label's commonest spelling."""
    counts = Counter(zip(keys, cells, strict=True))
    names: dict[Key, str] = {}
    for (key, cell), _count in sorted(counts.items(), key=lambda each: (-each[1], each[0][1])):
        names.setdefault(key, cell)
    return names


def _positive(keys: Sequence[Key]) -> Key:
    counts = Counter(keys)
    known = [key for key in counts if key in {spelling(word) for word in POSITIVE}]
    return known[0] if len(known) == 1 else min(counts, key=lambda key: (counts[key], str(key)))
