"""Fitting the model to a panel: expectation maximisation with restarts, number of states and family by BIC.

Restarts are short runs from random starts; only the best goes on to convergence (Biernacki, Celeux & Govaert 2003).
Steps are extrapolated (SQUAREM, Varadhan & Roland 2008) where that does not lower the likelihood: sticky states make
plain expectation maximisation crawl.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from customers.ml.hmm import emissions, recursions
from customers.ml.hmm.emissions import FAMILIES, LEAST_RATE, Emission, Family
from customers.ml.hmm.model import HiddenMarkov
from customers.ml.hmm.panel import Panel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RESTARTS = 8
SHORT_STEPS = 12
MOST_STEPS = 400
# Converged when a step adds less log-likelihood than this per observation.
TOLERANCE = 2e-8
# Weight of the prior that keeps every transition possible, in customers per row; and of the one that draws the
# transitions of contacted periods to those of all others.
ROW_PRIOR = 0.5
LEVEL_PRIOR = 20.0
# More states than this have never been chosen on any data seen here, and nobody can name them.
MOST_STATES = 6


@dataclass(frozen=True, slots=True)
class Attempt:
    """One fitted candidate. bic: lower is better."""

    family: Family
    states: int
    log_likelihood: float
    parameters: int
    bic: float


@dataclass(frozen=True, slots=True)
class Fitted:
    """The chosen model and every candidate with its BIC."""

    model: HiddenMarkov
    attempts: tuple[Attempt, ...]


def fit(panel: Panel, *, states: int, family: Family = "poisson", seed: int = 0, restarts: int = RESTARTS) -> HiddenMarkov:
    """Return the model of that many states and family; the same seed gives the same model.

    Raises nothing on degenerate panels: rates stay positive and rows of transitions sum to 1.
    """
    random = np.random.default_rng([seed, states, FAMILIES.index(family)])
    starts = [_start(panel, states, family, random, spread=index / max(restarts - 1, 1)) for index in range(max(restarts, 1) if states > 1 else 1)]
    tried = [_run(panel, one, steps=SHORT_STEPS) for one in starts]
    return _run(panel, max(tried, key=lambda one: one.log_likelihood), steps=MOST_STEPS).in_order()


def choose(
    panel: Panel,
    *,
    states: Sequence[int] = range(1, MOST_STATES + 1),
    families: Sequence[Family] = FAMILIES,
    seed: int = 0,
    restarts: int = RESTARTS,
    say: Callable[[str], None] = lambda _line: None,
) -> Fitted:
    """Return the model of lowest BIC over numbers of states, then over families.

    The number of states is settled with the first family, more being tried until two in a row made the BIC worse; the
    other families are tried at that number and one fewer, since a richer family may do with fewer states.
    """
    found: list[tuple[float, HiddenMarkov]] = []
    attempts: list[Attempt] = []

    def attempt(family: Family, count: int) -> float:
        model = fit(panel, states=count, family=family, seed=seed, restarts=restarts)
        bic = model.bic(panel)
        attempts.append(Attempt(family, count, model.log_likelihood, model.parameters, bic))
        found.append((bic, model))
        say(f"{family}, {count} state(s): log-likelihood {model.log_likelihood:.1f}, BIC {bic:.1f}")
        return bic

    worse, best, settled = 0, np.inf, 1
    for count in states:
        bic = attempt(families[0], count)
        worse, settled, best = (0, count, bic) if bic < best else (worse + 1, settled, best)
        if worse == 2:
            break
    for family in families[1:]:
        for count in sorted({settled, max(settled - 1, min(states))}):
            attempt(family, count)
    return Fitted(min(found, key=lambda one: one[0])[1], tuple(attempts))


def _start(panel: Panel, states: int, family: Family, random: np.random.Generator, *, spread: float) -> HiddenMarkov:
    """Return a first guess: rates fanned out around the panel's mean, states that last. The first is not random."""
    mean = max(panel.orders_per_period, LEAST_RATE)
    highest = max(float(panel.count.max(initial=0.0)), mean * 2)
    if states == 1:
        rates = np.array([mean])
    else:
        top = min(highest, mean * 12 * (0.5 + spread))
        rates = np.geomspace(mean / 8, max(top, mean), states) * (np.exp(random.normal(0, 0.5 * spread, states)) if spread else 1.0)
    stay = 0.9 - 0.4 * random.random() * spread
    away = (1 - stay) / max(states - 1, 1)
    transitions = np.full((states, states), away) + np.eye(states) * (stay - away)
    transitions /= transitions.sum(axis=1, keepdims=True)
    return HiddenMarkov(emissions.start(family, np.sort(rates)), np.full(states, 1 / states), np.repeat(transitions[None], panel.levels, axis=0))


def _run(panel: Panel, model: HiddenMarkov, *, steps: int) -> HiddenMarkov:
    """Return the model after up to `steps` expectation steps, extrapolating in between."""
    tolerance = TOLERANCE * max(panel.observations, 1.0)
    taken, now, value = 0, model, -np.inf
    while taken < steps:
        one, value = _step(panel, now)
        two, value_one = _step(panel, one)
        taken += 2
        if value_one - value < tolerance and taken > 4:
            now = replace(one, log_likelihood=value_one)
            break
        leap = _leap(now, one, two)
        if leap is None:
            now = two
            continue
        landed, value_leap = _step(panel, leap)
        taken += 1
        # The leap must have gone up, measured before its own step; else the two plain steps stand.
        now = landed if value_leap >= value_one else two
        value = max(value_leap, value_one)
    _, value = _step(panel, now)
    return replace(now, log_likelihood=value)


def _step(panel: Panel, model: HiddenMarkov) -> tuple[HiddenMarkov, float]:
    """Return the model after one step of expectation maximisation, and the log-likelihood before it."""
    table = emissions.log_table(model.emission, panel.count, panel.exposure)
    level = panel.level if len(model.transitions) > 1 else None
    found = recursions.expect(table, panel.cell, level, panel.weight, panel.length, model.initial, model.transitions)
    states = len(model.initial)
    initial = found.first + ROW_PRIOR / states
    base = found.moves.sum(axis=0) + ROW_PRIOR / states
    base /= base.sum(axis=1, keepdims=True)
    moves = found.moves + (ROW_PRIOR / states if len(found.moves) == 1 else LEVEL_PRIOR * base[None])
    return (
        HiddenMarkov(
            emissions.maximise(model.emission, found.occupied, panel.count, panel.exposure),
            initial / initial.sum(),
            moves / moves.sum(axis=2, keepdims=True),
            moves=found.moves,
        ),
        found.log_likelihood,
    )


def _leap(first: HiddenMarkov, second: HiddenMarkov, third: HiddenMarkov) -> HiddenMarkov | None:
    """Return the extrapolation of two steps, on logarithms so that it stays a model; None where there is nothing to do."""
    points = [_logs(one) for one in (first, second, third)]
    step, bend = points[1] - points[0], points[2] - 2 * points[1] + points[0]
    size = float(np.linalg.norm(bend))
    if size < 1e-12:
        return None
    length = -min(max(float(np.linalg.norm(step)) / size, 1.0), 16.0)
    if length == -1.0:
        return None
    return _from_logs(points[0] - 2 * length * step + length**2 * bend, third)


def _logs(model: HiddenMarkov) -> Floats:
    parts = (model.emission.rate, model.emission.extra, model.initial, model.transitions.ravel())
    return np.log(np.maximum(np.concatenate(parts), 1e-12))


def _from_logs(logs: Floats, like: HiddenMarkov) -> HiddenMarkov:
    values = np.exp(np.clip(logs, -28, 12))
    states, extras = len(like.initial), len(like.emission.extra)
    rate, extra, rest = np.maximum(values[:states], LEAST_RATE), values[states : states + extras], values[states + extras :]
    if like.emission.family == "zero-inflated poisson":
        extra = np.minimum(extra, 1 - 1e-6)
    elif extras:
        extra = np.clip(extra, *emissions.SHAPE_BOUNDS)
    transitions = rest[states:].reshape(like.transitions.shape)
    return HiddenMarkov(Emission(like.emission.family, rate, extra), rest[:states] / rest[:states].sum(), transitions / transitions.sum(axis=2, keepdims=True))
