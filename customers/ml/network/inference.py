"""Exact answers by variable elimination (Dechter 1999), for many rows of evidence at once.

Rows that know the same variables share one elimination: their known values pick slices of the tables, which then carry
one axis of rows through every product.  Variables that neither are asked for, nor are known, nor have such a descendant
cannot matter and are left out before anything is multiplied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from customers.ml.network.model import UNKNOWN, Network, NetworkInvalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Codes = NDArray[np.int64]

# Cells of the largest product; above it the network is too tangled for an exact answer in memory.
MOST_CELLS = 50_000_000
# Rows carried at once through one elimination.
CHUNK = 4_096
_ROWS = "rows"


class TooTangled(NetworkInvalid):
    """An exact answer would need a table larger than memory."""

    code = "network_too_tangled"


class EvidenceImpossible(NetworkInvalid):
    """What is said to be known cannot occur together."""

    code = "evidence_impossible"


def posterior(network: Network, query: str, evidence: Codes) -> tuple[Floats, Floats]:
    """Return P(query | evidence) of each row, (n, states), and the probability of each row's evidence, (n,).

    evidence: (n, v) codes in the order of `network.names`, UNKNOWN where not known; what is said of the query itself is
    not used.  Rows whose evidence cannot occur get zeros and probability 0.  Raises TooTangled.
    """
    known = np.array(evidence, dtype=np.int64, ndmin=2)
    known[:, network.names.index(query)] = UNKNOWN
    rows, place = np.unique(known, axis=0, return_inverse=True)
    found, chance = np.zeros((len(rows), len(network.states[query]))), np.zeros(len(rows))
    patterns, group = np.unique(rows != UNKNOWN, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        members = np.flatnonzero(group.reshape(-1) == number)
        seen = tuple(name for name, is_known in zip(network.names, pattern, strict=True) if is_known)
        for begin in range(0, len(members), CHUNK):
            part = members[begin : begin + CHUNK]
            values = {name: rows[part, network.names.index(name)] for name in seen}
            joint = _eliminate(network, query, values, len(part))
            total = joint.sum(axis=1)
            chance[part] = total
            found[part] = joint / np.where(total > 0, total, 1.0)[:, None]
    place = place.reshape(-1)
    return found[place], chance[place]


def probability(network: Network, query: str, value: str, evidence: dict[str, str]) -> float:
    """Return P(query = value | evidence); blank and unheard-of values count as not known.

    Raises NetworkInvalid for a variable or query value that does not exist, EvidenceImpossible.
    """
    wanted = network.code(query, value)
    if wanted == UNKNOWN:
        raise NetworkInvalid(f"{query} has no value {value!r}; it has: {', '.join(network.states[query])}.")
    row = np.full((1, len(network.names)), UNKNOWN)
    for name, text in evidence.items():
        row[0, network.names.index(name) if name in network.states else 0] = network.code(name, text)
    found, chance = posterior(network, query, row)
    if chance[0] <= 0:
        raise EvidenceImpossible("What is said to be known cannot occur together under these tables.")
    return float(found[0, wanted])


class _Factor:
    """A table over named axes; the axis `rows`, where there is one, comes first."""

    __slots__ = ("axes", "table")

    def __init__(self, axes: tuple[str, ...], table: Floats) -> None:
        self.axes, self.table = axes, table


def every_subset(network: Network, query: str, known: dict[str, int]) -> Floats:
    """Return P(query, what is known) for every subset of the known values at once, (2,) * n + (states,).

    The axes follow `known`; index 1 is "known", 0 is "not known".  One elimination: each known variable gets a switch
    between its value and all of its values.  Meant for up to about ten known values.
    """
    sizes = {name: len(values) for name, values in network.states.items()}
    relevant = _relevant(network, {query, *known})
    factors = [_Factor((*network.parents[name], name), network.tables[name]) for name in network.names if name in relevant]
    for name, code in known.items():
        switch = np.ones((sizes[name], 2))
        switch[:, 1] = np.arange(sizes[name]) == code
        sizes[f"{name} is known"] = 2
        factors.append(_Factor((name, f"{name} is known"), switch))
    joint = _reduced(factors, [name for name in network.names if name in relevant and name != query], sizes)
    wanted = [*(f"{name} is known" for name in known), query]
    return np.transpose(joint.table, [joint.axes.index(axis) for axis in wanted])


def _eliminate(network: Network, query: str, known: dict[str, Codes], rows: int) -> Floats:
    """Return P(query, evidence) for each row, (rows, states)."""
    relevant = _relevant(network, {query, *known})
    factors = [_sliced(network, name, known) for name in network.names if name in relevant]
    hidden = [name for name in network.names if name in relevant and name != query and name not in known]
    joint = _reduced(factors, hidden, {name: len(values) for name, values in network.states.items()} | {_ROWS: rows})
    table = joint.table if _ROWS in joint.axes else np.broadcast_to(joint.table, (rows, *joint.table.shape))
    return np.asarray(table, dtype=float)


def _reduced(factors: list[_Factor], hidden: list[str], sizes: dict[str, int]) -> _Factor:
    """Return the product of all factors with the hidden variables summed out, the cheapest first."""
    while hidden:
        name = min(hidden, key=lambda one: (_cells(_axes(factors, one), sizes), one))
        hidden.remove(name)
        touched = [factor for factor in factors if name in factor.axes]
        factors = [factor for factor in factors if name not in factor.axes]
        factors.append(_product(touched, without=name, sizes=sizes))
    return _product(factors, without="", sizes=sizes)


def _relevant(network: Network, wanted: set[str]) -> set[str]:
    """Return the wanted variables and all their ancestors."""
    found, waiting = set[str](), list(wanted)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(network.parents[name])
    return found


def _sliced(network: Network, name: str, known: dict[str, Codes]) -> _Factor:
    """Return the variable's table at the known values."""
    axes = (*network.parents[name], name)
    if not any(axis in known for axis in axes):
        return _Factor(axes, network.tables[name])
    free = tuple(axis for axis in axes if axis not in known)
    # Known axes first, then one fancy index over all of them puts the rows in front.
    table = np.moveaxis(network.tables[name], [axes.index(axis) for axis in axes if axis in known], range(len(axes) - len(free)))
    return _Factor((_ROWS, *free), table[tuple(known[axis] for axis in axes if axis in known)])


def _axes(factors: Sequence[_Factor], name: str) -> tuple[str, ...]:
    """Return the axes of the product of every factor that has this one."""
    return tuple(dict.fromkeys(axis for factor in factors if name in factor.axes for axis in factor.axes))


def _cells(axes: Sequence[str], sizes: dict[str, int]) -> int:
    cells = 1
    for axis in axes:
        cells *= sizes[axis]
    return cells


def _product(factors: Sequence[_Factor], *, without: str, sizes: dict[str, int]) -> _Factor:
    """Return the product of the factors, summed over one variable."""
    axes = tuple(dict.fromkeys(axis for factor in factors for axis in factor.axes))
    cells = _cells(axes, sizes)
    if cells > MOST_CELLS or len(axes) > 50:
        raise TooTangled(f"An exact answer would need a table of {cells:.1e} cells; leave out variables or parents.")
    kept = tuple(sorted((axis for axis in axes if axis != without), key=lambda axis: axis != _ROWS))
    number = {axis: place for place, axis in enumerate(axes)}
    operands: list[Any] = []
    for factor in factors:
        operands += [factor.table, [number[axis] for axis in factor.axes]]
    if not operands:
        return _Factor((), np.ones(()))
    # Pairwise products of many factors may cost far more than one pass; einsum finds the cheaper way itself.
    return _Factor(kept, np.einsum(*operands, [number[axis] for axis in kept], optimize="greedy" if len(factors) > 2 else False))
