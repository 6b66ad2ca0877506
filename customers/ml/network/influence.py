"""What each known value changed: shares of the log-odds that add up exactly, and the answer had it not been known.

The log-odds of the asked value move from the base rate to the answer as values become known; a value's share is its
mean step over every order in which they could (Shapley 1953), all orders up to MOST_EXACT values, else a fixed draw of
them.  Steps of one order telescope, so shares add up to the whole whatever orders are taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from math import factorial
from typing import TYPE_CHECKING

import numpy as np

from customers.ml.network.inference import EvidenceImpossible, posterior
from customers.ml.network.model import UNKNOWN, Network

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Codes = NDArray[np.int64]

# 2 to this power subsets are asked at once.
MOST_EXACT = 8
DRAWN_ORDERS = 200
# Probabilities are kept this far from 0 and 1 where odds are taken.
EDGE = 1e-12


@dataclass(frozen=True, slots=True)
class Influence:
    """One known value.  effect: its share of the log-odds.  without: the probability had it not been known."""

    variable: str
    value: str
    effect: float
    without: float

    def words(self, probability: float) -> str:
        """Return the influence in an English sentence."""
        if abs(self.effect) < 0.005:
            return f"{self.variable}={self.value} changes nothing worth naming."
        direction = "raises" if self.effect > 0 else "lowers"
        return (
            f"{self.variable}={self.value} {direction} the odds by a factor of {np.exp(abs(self.effect)):.2f}; "
            f"without it the probability would be {self.without:.1%} instead of {probability:.1%}."
        )


@dataclass(frozen=True, slots=True)
class Explained:
    """probability: the answer.  base: with nothing known.  influences: strongest first; the effects add up to
    log-odds(probability) - log-odds(base).
    """

    probability: float
    base: float
    influences: tuple[Influence, ...]


def log_odds(probability: float | Floats) -> Floats:
    clipped = np.clip(probability, EDGE, 1 - EDGE)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def explain(network: Network, query: str, state: int, evidence: Codes, *, seed: int = 0) -> Explained:
    """Return the answer for one row, (v,) codes, with the influence of every known value.

    Raises EvidenceImpossible, TooTangled.
    """
    row = np.array(evidence, dtype=np.int64)
    row[network.names.index(query)] = UNKNOWN
    known = np.flatnonzero(row != UNKNOWN)
    orders = _orders(len(known), seed)
    subsets = sorted({frozenset(order[:taken]) for order in orders for taken in range(len(known) + 1)} | _all_but_one(len(known)), key=sorted)
    asked = np.full((len(subsets), len(row)), UNKNOWN)
    for place, subset in enumerate(subsets):
        chosen = known[sorted(subset)]
        asked[place, chosen] = row[chosen]
    found, chance = posterior(network, query, asked)
    number = {subset: place for place, subset in enumerate(subsets)}
    everything = number[frozenset(range(len(known)))]
    if chance[everything] <= 0:
        raise EvidenceImpossible("What is said to be known cannot occur together under these tables.")
    answers = found[:, state]
    odds = log_odds(answers)
    effect = np.zeros(len(known))
    if len(known) <= MOST_EXACT:
        for subset, place in number.items():
            for value in range(len(known)):
                if value not in subset:
                    weight = factorial(len(subset)) * factorial(len(known) - len(subset) - 1) / factorial(len(known))
                    effect[value] += weight * (odds[number[subset | {value}]] - odds[place])
    else:
        for one in orders:
            for taken, value in enumerate(one):
                effect[value] += (odds[number[frozenset(one[: taken + 1])]] - odds[number[frozenset(one[:taken])]]) / len(orders)
    influences = [
        Influence(
            variable=network.names[place],
            value=network.states[network.names[place]][row[place]],
            effect=float(effect[value]),
            without=float(answers[number[frozenset(range(len(known))) - {value}]]),
        )
        for value, place in enumerate(known)
    ]
    influences.sort(key=lambda one: (-abs(one.effect), one.variable))
    return Explained(float(answers[everything]), float(answers[number[frozenset()]]), tuple(influences))


def _all_but_one(count: int) -> set[frozenset[int]]:
    everything = frozenset(range(count))
    return {everything, frozenset(), *(everything - {one} for one in range(count))}


def _orders(count: int, seed: int) -> list[tuple[int, ...]]:
    """Return orders whose beginnings are all subsets (few values), or a draw of orders and their reverses."""
    if count <= 4:
        return list(permutations(range(count)))
    if count <= MOST_EXACT:
        # Every subset as the beginning of one order; the weights above do the averaging.
        return [(*(one for one in range(count) if mask >> one & 1), *(one for one in range(count) if not mask >> one & 1)) for mask in range(2**count)]
    random = np.random.default_rng(seed)
    drawn = [tuple(int(one) for one in random.permutation(count)) for _round in range(DRAWN_ORDERS // 2)]
    return [*drawn, *(order[::-1] for order in drawn)]
