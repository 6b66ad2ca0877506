"""What the order models learn from: checked histories, rows of equal history grouped, and the errors they end in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crm.core.errors import CrmError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

# Parameters beyond these sit on a flat ridge of the likelihood: their size is an accident of the stopping rule.
GREATEST_PARAMETER = 5e3
LEAST_PARAMETER = 1e-4
# Fewer buyers than this give a likelihood too flat for four parameters; the two-parameter rate is used instead.
FEWEST_BUYERS = 20


class DegenerateFit(CrmError):
    """The likelihood has no usable maximum on these customers; `reason` says what was seen."""

    code = "degenerate_fit"
    status = 422

    def __init__(self, reason: str) -> None:
        super().__init__(f"The model does not fit this shop: {reason}.", reason=reason)
        self.reason = reason


class InconsistentHistory(CrmError):
    """A customer's last order lies outside the observed period, or a count is negative; `data["rows"]` says for how many."""

    code = "inconsistent_history"
    status = 422

    def __init__(self, rows: int) -> None:
        super().__init__(f"{rows} customers have a last order later than the observed period, or a negative count.", rows=rows)


def checked_history(frequency: ArrayLike, recency_days: ArrayLike, age_days: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return the three columns as float arrays of one length; raises InconsistentHistory if they contradict each other."""
    x, recency, age = (np.atleast_1d(np.asarray(column, dtype=float)) for column in (frequency, recency_days, age_days))
    x, recency, age = np.broadcast_arrays(x, recency, age)
    wrong = ~(np.isfinite(x) & np.isfinite(recency) & np.isfinite(age))
    wrong |= (x < 0) | (recency < 0) | (recency > age + 1e-9) | ((x == 0) & (recency > 0))
    if wrong.any():
        raise InconsistentHistory(int(wrong.sum()))
    return x, recency, age


def distinct(*columns: Floats) -> tuple[tuple[Floats, ...], NDArray[np.int64]]:
    """Return the distinct rows of the columns and, per row given, the place of its distinct one.

    A sort of one combined number: NumPy's own unique(axis=0) compares records and takes 20 times as long.
    """
    key = _combined(columns)
    _, first, place = np.unique(key, return_index=True, return_inverse=True)
    return tuple(column[first] for column in columns), place


def _combined(columns: tuple[Floats, ...]) -> NDArray[np.int64]:
    """Return one whole number per row, equal where the rows are."""
    key = np.zeros(len(columns[0]), dtype=np.int64)
    if not len(key):
        return key
    room = 1
    for column in columns:
        # Whole days and counts are their own codes; anything else is numbered by its distinct values.
        codes = column.astype(np.int64) if _are_codes(column) else np.unique(column, return_inverse=True)[1]
        size = int(codes.max()) + 1
        if room * size > 2**62:
            key = np.unique(key, return_inverse=True)[1]
            room = int(key.max()) + 1
        key, room = key * size + codes, room * size
    return key


def _are_codes(column: Floats) -> bool:
    """Return whether all values are whole, not negative, and small enough to count up to: 1,000,000 days are 2,700 years."""
    return bool(column.min() >= 0 and column.max() < 1_000_000 and np.array_equal(np.floor(column), column))


def numbered(column: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Return the distinct values and the place of each row's among them."""
    if len(column) and _are_codes(column):
        codes = column.astype(np.int64)
        present = np.flatnonzero(np.bincount(codes))
        place = np.zeros(int(codes.max()) + 1, dtype=np.int64)
        place[present] = np.arange(len(present))
        return present.astype(float), place[codes]
    values, places = np.unique(column, return_inverse=True)
    return values, places


@dataclass(frozen=True, slots=True)
class Grouped:
    """Customers of equal history counted once.

    x, recency, age: (g,).  weight: (g,) customers.  Each of the three is also given as its few distinct values and the
    place of every row among them (`x_at` into `xs`, …): logarithms and gamma functions are taken of those alone.
    """

    x: Floats
    recency: Floats
    age: Floats
    weight: Floats
    xs: Floats
    x_at: NDArray[np.int64]
    recencies: Floats
    recency_at: NDArray[np.int64]
    ages: Floats
    age_at: NDArray[np.int64]

    @classmethod
    def of(cls, x: Floats, recency: Floats, age: Floats) -> Grouped:
        if not len(x) or not all(_are_codes(column) for column in (x, recency, age)):
            (gx, gt, ga), place = distinct(x, recency, age)
            return cls.of_rows(gx, gt, ga, np.bincount(place, minlength=len(gx)).astype(float))
        # Whole days, the usual case: sort the packed numbers and unpack them, a third of the time that indices take.
        last, longest = int(recency.max()) + 1, int(age.max()) + 1
        packed = np.sort((x.astype(np.int64) * last + recency.astype(np.int64)) * longest + age.astype(np.int64))
        begins = np.flatnonzero(np.concatenate([[True], packed[1:] != packed[:-1]]))
        keys, weight = packed[begins], np.diff(np.append(begins, len(packed))).astype(float)
        return cls.of_rows((keys // (last * longest)).astype(float), (keys // longest % last).astype(float), (keys % longest).astype(float), weight)

    @classmethod
    def of_rows(cls, x: Floats, recency: Floats, age: Floats, weight: Floats) -> Grouped:
        """Return the rows as they are; equal ones need not be counted together."""
        (xs, x_at), (recencies, recency_at), (ages, age_at) = (numbered(column) for column in (x, recency, age))
        return cls(x, recency, age, weight, xs, x_at, recencies, recency_at, ages, age_at)

    def scaled(self, unit: float) -> Grouped:
        """Return the same with times divided by `unit`."""
        return Grouped(
            self.x,
            self.recency / unit,
            self.age / unit,
            self.weight,
            self.xs,
            self.x_at,
            self.recencies / unit,
            self.recency_at,
            self.ages / unit,
            self.age_at,
        )

    def sample(self, rows: int, *, seed: int = 0) -> Grouped:
        """Return `rows` customers' worth of groups, drawn by weight; the whole where it is no larger."""
        if len(self.x) <= rows:
            return self
        generator = np.random.default_rng(seed)
        drawn = generator.choice(len(self.x), size=rows, p=self.weight / self.weight.sum())
        chosen, counts = np.unique(drawn, return_counts=True)
        return self.of_rows(self.x[chosen], self.recency[chosen], self.age[chosen], counts.astype(float))

    @property
    def customers(self) -> float:
        return float(self.weight.sum())

    def __len__(self) -> int:
        return len(self.x)
