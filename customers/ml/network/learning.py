"""Learning a network from rows: which arrows, by hill climbing on BIC; which tables, smoothed; unknown cells by EM.

Unknown cells: every row is completed in all ways its unknown cells allow, each way weighing its probability under the
present network (Dempster, Laird & Rubin 1977); arrows are searched anew on the completed rows (Friedman 1998).
Smoothing: a row of a table is drawn towards the variable's own overall distribution, as strongly as predicts each row
best when it is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from customers.ml.network.model import UNKNOWN, Network, NetworkInvalid, order

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Codes = NDArray[np.int64]

MOST_PARENTS = 3
# Rows with more possible completions than this say next to nothing of any table and are left out of EM.
MOST_COMPLETIONS = 2_000
# Rows of one family's table; more could never be learned.
MOST_ROWS = 20_000
EM_STEPS = 30
EM_TOLERANCE = 1e-4
STRUCTURE_ROUNDS = 3
STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
# Shakes of the hill climber: this many random arrows changed, then it climbs again.
SHAKES = 4


@dataclass(frozen=True, slots=True)
class Rows:
    """A table of codes.  states: values by column.  codes: (n, v), UNKNOWN where not known."""

    states: Mapping[str, tuple[str, ...]]
    codes: Codes

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.states)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the structure may be.  forbidden, required: (from, to).  roots: variables without parents.
    parents: the whole structure where it is given; nothing is searched then.
    """

    most_parents: int = MOST_PARENTS
    forbidden: frozenset[tuple[str, str]] = frozenset()
    required: frozenset[tuple[str, str]] = frozenset()
    roots: frozenset[str] = frozenset()
    parents: Mapping[str, tuple[str, ...]] | None = None

    def allows(self, one: str, two: str) -> bool:
        return one != two and (one, two) not in self.forbidden and two not in self.roots


@dataclass(frozen=True, slots=True)
class Learned:
    """network, and how it came: bic (higher is better), rows used, rows left out for too many unknown cells."""

    network: Network
    bic: float
    rows: int
    left_out: int
    strengths: Mapping[str, float] = field(default_factory=dict)


def rows_of(columns: Mapping[str, Sequence[str]], *, states: Mapping[str, tuple[str, ...]] | None = None) -> Rows:
    """Return the codes of text columns; blanks are unknown. states: where they are fixed, other values are unknown."""
    from customers.ml.network.model import BLANKS, code_of

    found: dict[str, tuple[str, ...]] = {}
    codes = []
    for name, cells in columns.items():
        clean = [cell.strip() for cell in cells]
        values = (states or {}).get(name) or tuple(sorted({cell for cell in clean if cell.casefold() not in BLANKS}, key=_sorting))
        lookup = {value: place for place, value in enumerate(values)}
        distinct = {cell: lookup.get(cell, UNKNOWN if cell.casefold() in BLANKS else code_of(values, cell)) for cell in set(clean)}
        found[name] = values
        codes.append([distinct[cell] for cell in clean])
    return Rows(found, np.array(codes, dtype=np.int64).T.reshape(-1, len(found)))


def learn(rows: Rows, *, rules: Rules = Rules(), seed: int = 0) -> Learned:
    """Return the network learned from the rows; the same seed gives the same network.

    Raises NetworkInvalid where there are no rows, or a variable has no value at all.
    """
    if not len(rows.codes):
        raise NetworkInvalid("There are no rows to learn from.")
    for place, name in enumerate(rows.names):
        if not rows.states[name] or (rows.codes[:, place] == UNKNOWN).all():
            raise NetworkInvalid(f"{name} has no known value in any row.")
    distinct, weight = _distinct(rows.codes)
    plan = _completions(rows, distinct)
    if not plan.usable.any():
        raise NetworkInvalid("Every row has too many unknown cells to learn from.")
    parents = _checked_start(rows, rules)
    network = _tables(rows, parents, *_completed(None, rows, distinct, weight, plan))
    rounds = 1 if rules.parents is not None else STRUCTURE_ROUNDS if plan.any_unknown else 1
    for _round in range(rounds):
        network = _expectation(network, rows, distinct, weight, plan)
        if rules.parents is None:
            codes, weights = _completed(network, rows, distinct, weight, plan)
            found = _Climber(rows, rules, codes, weights, seed).climb(dict(network.parents))
            is_same = {name: set(above) for name, above in found.items()} == {name: set(above) for name, above in network.parents.items()}
            network = _tables(rows, found, codes, weights)
            if is_same:
                break
    network = _expectation(network, rows, distinct, weight, plan)
    codes, weights = _completed(network, rows, distinct, weight, plan)
    scores = _Climber(rows, rules, codes, weights, seed)
    used = int(weight[plan.usable].sum())
    return Learned(network, sum(scores.score(name, network.parents[name]) for name in rows.names), used, int(weight.sum()) - used)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which completed row belongs to which distinct row.  codes: (c, v).  source: (c,).  usable: (d,) bool."""

    codes: Codes
    source: Codes
    usable: NDArray[np.bool_]
    any_unknown: bool


def _sorting(value: str) -> tuple[int, float, str]:
    try:
        return (0, float(value), value)
    except ValueError:
        return (1, 0.0, value)


def _distinct(codes: Codes) -> tuple[Codes, Floats]:
    found, counts = np.unique(codes, axis=0, return_counts=True)
    return found, counts.astype(float)


def _completions(rows: Rows, distinct: Codes) -> _Plan:
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
    return _Plan(np.concatenate(filled or [empty]), np.concatenate(source or [empty[:, 0]]), usable, bool(unknown.any()))


def _completed(network: Network | None, rows: Rows, distinct: Codes, weight: Floats, plan: _Plan) -> tuple[Codes, Floats]:
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


def _expectation(network: Network, rows: Rows, distinct: Codes, weight: Floats, plan: _Plan) -> Network:
    """Return the network of the same arrows whose tables no longer change as unknown cells are filled in."""
    if not plan.any_unknown:
        return network
    for _step in range(EM_STEPS):
        better = _tables(rows, dict(network.parents), *_completed(network, rows, distinct, weight, plan))
        moved = max(float(np.abs(better.tables[name] - network.tables[name]).max()) for name in rows.names)
        network = better
        if moved < EM_TOLERANCE:
            break
    return network


def _counts(rows: Rows, name: str, parents: Sequence[str], codes: Codes, weights: Floats) -> Floats:
    """Return the weighted counts of a family, (combinations of parents, states)."""
    shape = [len(rows.states[each]) for each in (*parents, name)]
    flat = np.ravel_multi_index(tuple(codes[:, rows.names.index(each)] for each in (*parents, name)), tuple(shape))
    found: Floats = np.bincount(flat, weights=weights, minlength=int(np.prod(shape))).astype(float)
    return found.reshape(-1, shape[-1])


def _tables(rows: Rows, parents: Mapping[str, tuple[str, ...]], codes: Codes, weights: Floats) -> Network:
    tables = {}
    for name in rows.names:
        counts = _counts(rows, name, parents[name], codes, weights)
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


def _checked_start(rows: Rows, rules: Rules) -> dict[str, tuple[str, ...]]:
    """Return the structure to start from: the one given, else only the required arrows."""
    parents: dict[str, tuple[str, ...]] = dict.fromkeys(rows.names, ())
    pairs = rules.required if rules.parents is None else {(parent, name) for name, above in rules.parents.items() for parent in above}
    for one, two in sorted(pairs):
        for name in (one, two):
            if name not in parents:
                raise NetworkInvalid(f"There is no column {name!r} for an arrow; there are: {', '.join(rows.names)}.")
        parents[two] = (*parents[two], one)
    order(parents)
    for name, above in parents.items():
        if np.prod([float(len(rows.states[each])) for each in above], initial=1.0) > MOST_ROWS:
            raise NetworkInvalid(f"{name} has parents with too many combinations to learn a table of.")
    return parents


class _Climber:
    """Hill climbing over arrows: add, remove, turn; the best step each time, then a few shakes to leave a local top."""

    def __init__(self, rows: Rows, rules: Rules, codes: Codes, weights: Floats, seed: int) -> None:
        self.rows, self.rules = rows, rules
        self.codes, self.weights = codes, weights
        self.penalty = 0.5 * float(np.log(max(weights.sum(), 2.0)))
        self.random = np.random.default_rng(seed)
        self.scores: dict[tuple[str, frozenset[str]], float] = {}

    def score(self, name: str, parents: Sequence[str]) -> float:
        """Return the family's log-likelihood less half its parameters times log n."""
        key = (name, frozenset(parents))
        if key not in self.scores:
            above = sorted(parents)
            combinations = float(np.prod([float(len(self.rows.states[each])) for each in above], initial=1.0))
            if combinations > MOST_ROWS:
                self.scores[key] = -np.inf
            else:
                counts = _counts(self.rows, name, above, self.codes, self.weights)
                total = counts.sum(axis=1, keepdims=True)
                likelihood = float((counts * np.log(np.maximum(counts, 1e-300) / np.maximum(total, 1e-300))).sum())
                self.scores[key] = likelihood - self.penalty * combinations * (len(self.rows.states[name]) - 1)
        return self.scores[key]

    def climb(self, start: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        best, value = self._to_top({name: set(above) for name, above in start.items()})
        for _shake in range(SHAKES if len(self.rows.names) > 2 else 0):
            other, reached = self._to_top(self._shaken(best))
            if reached > value + 1e-9:
                best, value = other, reached
        # Parents in the columns' order, so that a table's axes do not depend on the way the climber took.
        return {name: tuple(each for each in self.rows.names if each in best[name]) for name in self.rows.names}

    def _to_top(self, parents: dict[str, set[str]]) -> tuple[dict[str, set[str]], float]:
        value = sum(self.score(name, tuple(above)) for name, above in parents.items())
        while True:
            gain, step = max(self._steps(parents), key=lambda one: one[0], default=(0.0, None))
            if step is None or gain <= 1e-9:
                return parents, value
            parents = step
            value += gain

    def _steps(self, parents: dict[str, set[str]]) -> list[tuple[float, dict[str, set[str]]]]:
        found = []
        for one in self.rows.names:
            for two in self.rows.names:
                if one == two:
                    continue
                now = self.score(two, tuple(parents[two]))
                if one in parents[two]:
                    if (one, two) in self.rules.required:
                        continue
                    loss = self.score(two, tuple(parents[two] - {one})) - now
                    found.append((loss, parents | {two: parents[two] - {one}}))
                    if self._may_add(two, one, parents) and not self._reaches(one, two, parents | {two: parents[two] - {one}}):
                        gain = loss + self.score(one, (*parents[one], two)) - self.score(one, tuple(parents[one]))
                        found.append((gain, parents | {two: parents[two] - {one}, one: parents[one] | {two}}))
                elif self._may_add(one, two, parents) and not self._reaches(two, one, parents):
                    found.append((self.score(two, (*parents[two], one)) - now, parents | {two: parents[two] | {one}}))
        return found

    def _may_add(self, one: str, two: str, parents: dict[str, set[str]]) -> bool:
        return self.rules.allows(one, two) and len(parents[two]) < self.rules.most_parents

    def _reaches(self, one: str, two: str, parents: dict[str, set[str]]) -> bool:
        """Return whether `two` descends from `one`."""
        waiting, seen = [two], set[str]()
        while waiting:
            name = waiting.pop()
            if name == one:
                return True
            if name not in seen:
                seen.add(name)
                waiting.extend(parents[name])
        return False

    def _shaken(self, parents: dict[str, set[str]]) -> dict[str, set[str]]:
        """Return the structure after a few random steps."""
        for _step in range(max(2, len(self.rows.names) // 2)):
            steps = [step for gain, step in self._steps(parents) if np.isfinite(gain)]
            if steps:
                parents = steps[int(self.random.integers(len(steps)))]
        return parents
