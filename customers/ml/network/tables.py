"""The tables of a network from rows: counted, and smoothed.

A row of a table is drawn towards the variable's own overall distribution, as strongly as predicts each row best when it
is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from customers.ml.network.model import Network

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from customers.ml.network.rows import Rows

    Floats = NDArray[np.float64]
    Codes = NDArray[np.int64]

STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)


def counts_of(rows: Rows, name: str, parents: Sequence[str], codes: Codes, weights: Floats) -> Floats:
    """Return the weighted counts of a family, (combinations of parents, states)."""
    shape = [len(rows.states[each]) for each in (*parents, name)]
    flat = np.ravel_multi_index(tuple(codes[:, rows.names.index(each)] for each in (*parents, name)), tuple(shape))
    found: Floats = np.bincount(flat, weights=weights, minlength=int(np.prod(shape))).astype(float)
    return found.reshape(-1, shape[-1])


def tables_of(rows: Rows, parents: Mapping[str, tuple[str, ...]], codes: Codes, weights: Floats) -> Network:
    """Return the network of these arrows with smoothed tables of the weighted rows."""
    tables = {}
    for name in rows.names:
        counts = counts_of(rows, name, parents[name], codes, weights)
        shape = tuple(len(rows.states[each]) for each in (*parents[name], name))
        tables[name] = smoothed(counts).reshape(shape)
    return Network(dict(rows.states), {name: tuple(parents[name]) for name in rows.names}, tables)


def smoothed(counts: Floats) -> Floats:
    """Return each row of counts as a distribution drawn towards that of all rows together; (rows, states).

    The strength of the pull, in rows of data, is the one of STRENGTHS under which each observation is best foretold by
    the others of its row.  The overall distribution itself starts from one observation spread evenly.
    """
    states = counts.shape[1]
    overall: Floats = counts.sum(axis=0) + 1.0 / states
    overall /= overall.sum()
    if len(counts) == 1:
        return np.asarray(overall[None, :])
    total = counts.sum(axis=1, keepdims=True)

    def foretold(strength: float) -> float:
        left = np.maximum(counts - 1, 0) + strength * overall
        return float((counts * np.log(left / (np.maximum(total - 1, 0) + strength))).sum())

    best = max(STRENGTHS, key=foretold)
    table = (counts + best * overall) / (total + best)
    return np.asarray(table / table.sum(axis=1, keepdims=True))
