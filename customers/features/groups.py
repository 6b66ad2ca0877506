"""Sums, first and last values per customer of rows that are sorted by customer. Pure numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class Groups:
    """Rows sorted by `place`, the row's position among n customers; every answer is (n,), NaN or 0 where there is no row.

    total, smallest, greatest answer per group that has rows instead, (g,), in the order of `who`; they need no size.
    """

    def __init__(self, place: NDArray[np.int64], size: int | None) -> None:
        self.size = size or 0
        new = np.ones(len(place), dtype=bool)
        new[1:] = place[1:] != place[:-1]
        self.starts = np.flatnonzero(new)
        self.ends = np.append(self.starts[1:], len(place)) if len(place) else self.starts
        self.who = place[self.starts]
        self.count = self._spread((self.ends - self.starts).astype(float), 0.0) if size is not None else np.zeros(0)

    def _spread(self, per_group: NDArray[np.generic], missing: float) -> Floats:
        out = np.full(self.size, missing)
        out[self.who] = per_group
        return out

    def total(self, values: Floats) -> Floats:
        return np.add.reduceat(values, self.starts) if len(self.starts) else np.zeros(0)

    def smallest(self, values: NDArray[Any]) -> NDArray[Any]:
        return np.minimum.reduceat(values, self.starts) if len(self.starts) else values[:0]

    def greatest(self, values: NDArray[Any]) -> NDArray[Any]:
        return np.maximum.reduceat(values, self.starts) if len(self.starts) else values[:0]

    def sum(self, values: NDArray[np.generic], missing: float = 0.0) -> Floats:
        if not len(self.starts):
            return np.full(self.size, missing)
        return self._spread(np.add.reduceat(values.astype(float), self.starts), missing)

    def mean(self, values: NDArray[np.generic]) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.count > 0, self.sum(values) / self.count, np.nan)

    def largest(self, values: NDArray[np.generic], missing: float = np.nan) -> Floats:
        if not len(self.starts):
            return np.full(self.size, missing)
        return self._spread(np.maximum.reduceat(values.astype(float), self.starts), missing)

    def first(self, values: NDArray[np.generic], missing: float = np.nan) -> Floats:
        return self._spread(values[self.starts], missing)

    def last(self, values: NDArray[np.generic], missing: float = np.nan) -> Floats:
        return self._spread(values[self.ends - 1], missing)

    def either(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the bits set in any row of each customer."""
        out = np.zeros(self.size, dtype=np.int64)
        if len(self.starts):
            out[self.who] = np.bitwise_or.reduceat(values, self.starts)
        return out


def share(part: Floats, whole: Floats) -> Floats:
    """Return part / whole, NaN where the whole is not positive."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole > 0, part / whole, np.nan)


def position(known: NDArray[np.int64], asked: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each of `asked` (m,) stands among `known` (n,), which ascends; -1 for what is not there."""
    if not len(known):
        return np.full(len(asked), -1, dtype=np.int64)
    place = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    return np.where(known[place] == asked, place, -1)
