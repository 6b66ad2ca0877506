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

    A sort of one combined key: NumPy's own unique(axis=0) compares records and takes 20 times as long.
    """
    key = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        values, codes = np.unique(column, return_inverse=True)
        key = key * (len(values) + 1) + codes
        # Fold back into 0..n before the next factor, so that the product cannot overflow.
        _, key = np.unique(key, return_inverse=True)
    _, first = np.unique(key, return_index=True)
    return tuple(column[first] for column in columns), key


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
        (gx, gt, ga), place = distinct(x, recency, age)
        return cls.of_rows(gx, gt, ga, np.bincount(place, minlength=len(gx)).astype(float))

    @classmethod
    def of_rows(cls, x: Floats, recency: Floats, age: Floats, weight: Floats) -> Grouped:
        """Return the rows as they are; equal ones need not be counted together."""
        (xs, x_at), (recencies, recency_at), (ages, age_at) = (np.unique(column, return_inverse=True) for column in (x, recency, age))
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
