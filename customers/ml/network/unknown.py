"""Unknown cells: every row is completed in all ways its unknown cells allow, each way weighing its probability under the
present network (Dempster, Laird & Rubin 1977).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from customers.ml.network.model import UNKNOWN, Network
from customers.ml.network.tables import tables_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from customers.ml.network.rows import Rows

    Floats = NDArray[np.float64]
    Codes = NDArray[np.int64]

# Rows with more possible completions than this say next to nothing of any table and are left out of EM.
MOST_COMPLETIONS = 2_000
EM_STEPS = 30
EM_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Plan:
    """Which completed row belongs to which distinct row.  codes: (c, v).  source: (c,).  usable: (d,) bool."""

    codes: Codes
    source: Codes
    usable: NDArray[np.bool_]
    any_unknown: bool


def distinct_rows(codes: Codes) -> tuple[Codes, Floats]:
    """Return each different row once, and how often it came."""
    found, counts = np.unique(codes, axis=0, return_counts=True)
    return found, counts.astype(float)


def completions(rows: Rows, distinct: Codes) -> Plan:
    """Return every way to fill in the unknown cells of every distinct row, pattern by pattern."""
    sizes = np.array([len(rows.states[name]) for name in rows.names])
    unknown = distinct == UNKNOWN
    ways = np.where(unknown, sizes[None, :], 1).prod(axis=1, dtype=float)
    usable = (ways <= MOST_COMPLETIONS) & ~unknown.all(axis=1)
    filled, source = [], []
    patterns, group = np.unique(unknown[usable], axis=0, return_inverse=True)
    members = np.flatnonzero(usable)
    for number, pattern in enumerate(patterns):
        here = members[group.reshape(-1) == number]
        columns = np.flatnonzero(pattern)
        options = np.array(list(product(*(range(sizes[column]) for column in columns))), dtype=np.int64)
        options = options.reshape(int(np.prod(sizes[columns])), len(columns))
        block = np.repeat(distinct[here], len(options), axis=0)
        block[:, columns] = np.tile(options, (len(here), 1))
        filled.append(block)
        source.append(np.repeat(here, len(options)))
    empty = np.zeros((0, distinct.shape[1]), dtype=np.int64)
    return Plan(np.concatenate(filled or [empty]), np.concatenate(source or [empty[:, 0]]), usable, bool(unknown.any()))


def completed(network: Network | None, rows: Rows, distinct: Codes, weight: Floats, plan: Plan) -> tuple[Codes, Floats]:
    """Return the completed rows and their weights; without a network every way weighs as its values are common."""
    if not plan.any_unknown:
        return plan.codes, weight[plan.source]
    chance = np.zeros(len(plan.codes))
    for place, name in enumerate(rows.names):
        if network is None:
            seen = distinct[:, place] != UNKNOWN
            share = np.bincount(distinct[seen, place], weights=weight[seen], minlength=len(rows.states[name])) + 0.5
            chance += np.log(share / share.sum())[plan.codes[:, place]]
        else:
            axes = [rows.names.index(parent) for parent in network.parents[name]] + [place]
            chance += np.log(np.maximum(network.tables[name], 1e-300))[tuple(plan.codes[:, axis] for axis in axes)]
    highest = np.full(len(distinct), -np.inf)
    np.maximum.at(highest, plan.source, chance)
    chance = np.exp(chance - highest[plan.source])
    total = np.bincount(plan.source, weights=chance, minlength=len(distinct))
    return plan.codes, chance / total[plan.source] * weight[plan.source]


def expectation(network: Network, rows: Rows, distinct: Codes, weight: Floats, plan: Plan) -> Network:
    """Return the network of the same arrows whose tables no longer change as unknown cells are filled in."""
    if not plan.any_unknown:
        return network
    for _step in range(EM_STEPS):
        better = tables_of(rows, dict(network.parents), *completed(network, rows, distinct, weight, plan))
        moved = max(float(np.abs(better.tables[name] - network.tables[name]).max()) for name in rows.names)
        network = better
        if moved < EM_TOLERANCE:
            break
    return network
