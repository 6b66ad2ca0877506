"""What each known value changed: shares of the log-odds that add up exactly, and the answer had it not been known.

The log-odds of the asked value move from the base rate to the answer as values become known; a value's share is its
mean step over every order in which they could (Shapley 1953), all orders up to MOST_EXACT values, else a fixed draw of
them.  Steps of one order telescope, so shares add up to the whole whatever orders are taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial
from typing import TYPE_CHECKING

import numpy as np

from customers.ml.network.inference import EvidenceImpossible, every_subset, posterior
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
    share = _of_all_orders if len(known) <= MOST_EXACT else _of_drawn_orders
    answer, base, effect, without = share(network, query, state, row, known, seed)
    influences = [
        Influence(
            variable=network.names[place],
            value=network.states[network.names[place]][row[place]],
            effect=float(effect[value]),
            without=float(without[value]),
        )
        for value, place in enumerate(known)
    ]
    influences.sort(key=lambda one: (-abs(one.effect), one.variable))
    return Explained(answer, base, tuple(influences))


def _of_all_orders(network: Network, query: str, state: int, row: Codes, known: Codes, _seed: int) -> tuple[float, float, Floats, Floats]:
    """Return (answer, base, effects, answers without each value), weighing every subset (Shapley's formula)."""
    count = len(known)
    joint = every_subset(network, query, {network.names[place]: int(row[place]) for place in known})
    total = joint.sum(axis=-1)
    everything = (1,) * count
    _refuse_if_impossible(total[everything])
    # A subset of possible values is possible, so no total is zero.
    answers = joint[..., state] / total
    odds = log_odds(answers)
    effect = np.zeros(count)
    weights = [factorial(size) * factorial(count - size - 1) / factorial(count) for size in range(count)]
    for subset in np.ndindex(*odds.shape):
        for value in range(count):
            if not subset[value]:
                effect[value] += weights[sum(subset)] * (odds[(*subset[:value], 1, *subset[value + 1 :])] - odds[subset])
    without = np.array([answers[(*everything[:value], 0, *everything[value + 1 :])] for value in range(count)])
    return float(answers[everything]), float(answers[(0,) * count]), effect, without


def _of_drawn_orders(network: Network, query: str, state: int, row: Codes, known: Codes, seed: int) -> tuple[float, float, Floats, Floats]:
    """Return the same over a draw of orders and their reverses."""
    count = len(known)
    random = np.random.default_rng(seed)
    drawn = [tuple(int(one) for one in random.permutation(count)) for _round in range(DRAWN_ORDERS // 2)]
    orders = [*drawn, *(order[::-1] for order in drawn)]
    everything = frozenset(range(count))
    subsets = sorted({frozenset(order[:taken]) for order in orders for taken in range(count + 1)} | {everything - {one} for one in everything}, key=sorted)
    asked = np.full((len(subsets), len(row)), UNKNOWN)
    for place, subset in enumerate(subsets):
        chosen = known[sorted(subset)]
        asked[place, chosen] = row[chosen]
    found, chance = posterior(network, query, asked)
    number = {subset: place for place, subset in enumerate(subsets)}
    _refuse_if_impossible(chance[number[everything]])
    answers = found[:, state]
    odds, effect = log_odds(answers), np.zeros(count)
    for one in orders:
        for taken, value in enumerate(one):
            effect[value] += (odds[number[frozenset(one[: taken + 1])]] - odds[number[frozenset(one[:taken])]]) / len(orders)
    without = np.array([answers[number[everything - {value}]] for value in range(count)])
    return float(answers[number[everything]]), float(answers[number[frozenset()]]), effect, without


def _refuse_if_impossible(chance: float) -> None:
    if chance <= 0:
        raise EvidenceImpossible("What is said to be known cannot occur together under these tables.")
