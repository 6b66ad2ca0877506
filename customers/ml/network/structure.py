"""Which arrows a network has: hill climbing on BIC within rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from customers.ml.network.model import NetworkInvalid, order
from customers.ml.network.tables import counts_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from customers.ml.network.rows import Rows

    Floats = NDArray[np.float64]
    Codes = NDArray[np.int64]

MOST_PARENTS = 3
# Rows of one family's table; more could never be learned.
MOST_ROWS = 20_000
# Shakes of the hill climber: this many random arrows changed, then it climbs again.
SHAKES = 4


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


def checked_start(rows: Rows, rules: Rules) -> dict[str, tuple[str, ...]]:
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


class Climber:
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
                counts = counts_of(self.rows, name, above, self.codes, self.weights)
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
