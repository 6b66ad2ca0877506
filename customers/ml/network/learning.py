"""Learning a network from rows: which arrows (structure.py), which tables (tables.py), unknown cells by EM (unknown.py).

Where cells are unknown, arrows are searched anew on the completed rows (Friedman 1998).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from customers.ml.network.model import UNKNOWN, Network, NetworkInvalid
from customers.ml.network.rows import Rows, rows_of
from customers.ml.network.structure import Climber, Rules, checked_start
from customers.ml.network.tables import smoothed, tables_of
from customers.ml.network.unknown import completed, completions, distinct_rows, expectation

__all__ = ["Learned", "Rows", "Rules", "learn", "rows_of", "smoothed"]

STRUCTURE_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Learned:
    """network, and how it came: bic (higher is better), rows used, rows left out for too many unknown cells."""

    network: Network
    bic: float
    rows: int
    left_out: int
    strengths: Mapping[str, float] = field(default_factory=dict)


def learn(rows: Rows, *, rules: Rules | None = None, seed: int = 0) -> Learned:
    """Return the network learned from the rows; the same seed gives the same network.

    Raises NetworkInvalid where there are no rows, or a variable has no value at all.
    """
    rules = rules or Rules()
    if not len(rows.codes):
        raise NetworkInvalid("There are no rows to learn from.")
    for place, name in enumerate(rows.names):
        if not rows.states[name] or (rows.codes[:, place] == UNKNOWN).all():
            raise NetworkInvalid(f"{name} has no known value in any row.")
    distinct, weight = distinct_rows(rows.codes)
    plan = completions(rows, distinct)
    if not plan.usable.any():
        raise NetworkInvalid("Every row has too many unknown cells to learn from.")
    parents = checked_start(rows, rules)
    network = tables_of(rows, parents, *completed(None, rows, distinct, weight, plan))
    rounds = 1 if rules.parents is not None else STRUCTURE_ROUNDS if plan.any_unknown else 1
    for _round in range(rounds):
        network = expectation(network, rows, distinct, weight, plan)
        if rules.parents is None:
            codes, weights = completed(network, rows, distinct, weight, plan)
            found = Climber(rows, rules, codes, weights, seed).climb(dict(network.parents))
            is_same = {name: set(above) for name, above in found.items()} == {name: set(above) for name, above in network.parents.items()}
            network = tables_of(rows, found, codes, weights)
            if is_same:
                break
    network = expectation(network, rows, distinct, weight, plan)
    codes, weights = completed(network, rows, distinct, weight, plan)
    scores = Climber(rows, rules, codes, weights, seed)
    used = int(weight[plan.usable].sum())
    return Learned(network, sum(scores.score(name, network.parents[name]) for name in rows.names), used, int(weight.sum()) - used)
