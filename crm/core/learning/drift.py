"""Whether what a model sees today still looks like what it learned from: the population stability index.

    kept = references({"silence_days": column, "score": probability})     at training, into ModelReport.references
    index = stability(kept[0], column_of_today)

PSI = sum over bins of (now - then) ln(now / then), with bins at the deciles of the training rows and one more for missing
values (Siddiqi 2006, Credit Risk Scorecards, ch. 6).  Rules of thumb from there: below .1 steady, to .25 shifted, above: drifted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

STEADY, SHIFTED = 0.1, 0.25
BINS = 10
# An empty bin counts as this share, so that the logarithm stays finite.
FLOOR = 1e-4


@dataclass(frozen=True, slots=True)
class Reference:
    """One quantity as it was at training. edges: rising inner bounds (k - 1,); shares: (k + 1,), the last of missing values."""

    name: str
    edges: tuple[float, ...]
    shares: tuple[float, ...]


def references(columns: Mapping[str, ArrayLike], *, bins: int = BINS) -> tuple[Reference, ...]:
    """Return how each column is spread. columns: name -> (n,) numbers, NaN for missing; empty ones are left out."""
    found = []
    for name, values in columns.items():
        column = np.asarray(values, dtype=float)
        known = column[np.isfinite(column)]
        if not len(column):
            continue
        # Equal edges of a column with few values would make bins that nothing can fall into.
        edges = tuple(float(edge) for edge in np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1]))) if len(known) else ()
        found.append(Reference(name, edges, shares(edges, column)))
    return tuple(found)


def shares(edges: tuple[float, ...], values: ArrayLike) -> tuple[float, ...]:
    """Return the share of values in each bin, missing ones last; a value on an edge belongs to the bin above it."""
    column = np.asarray(values, dtype=float)
    known = column[np.isfinite(column)]
    counts = np.bincount(np.searchsorted(np.asarray(edges), known, side="right"), minlength=len(edges) + 1)
    everything: NDArray[np.float64] = np.append(counts, len(column) - len(known)) / max(len(column), 1)
    return tuple(float(share) for share in everything)


def stability(reference: Reference, values: ArrayLike) -> float:
    """Return the population stability index of today's values; 0 for the same spread. Raises ValueError without a value."""
    column = np.asarray(values, dtype=float)
    if not len(column):
        raise ValueError("There is no value to compare.")
    then = np.maximum(reference.shares, FLOOR)
    now = np.maximum(shares(reference.edges, column), FLOOR)
    return math.fsum((now - then) * np.log(now / then))


def verdict(index: float) -> str:
    """Return steady, shifted or drifted."""
    return "steady" if index < STEADY else "shifted" if index < SHIFTED else "drifted"
