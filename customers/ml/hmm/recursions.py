"""Forward and backward passes over all stories at once (Rabiner 1989, scaled; Devijver 1985 for the backward form).

Arrays are (t, s, k): period of the story's life, story, state.  Nothing here knows what a state is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Expectations:
    """What the expectation step found, weights applied.

    log_likelihood: of all customers.  occupied: (v, k) expected customer periods per kind of cell and state.
    moves: (l, k, k) expected transitions per level.  first: (k,) expected first states.
    """

    log_likelihood: float
    occupied: Floats
    moves: Floats
    first: Floats


def likelihoods(log_table: Floats, cell: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return each cell's likelihood per state, scaled to at most 1, and the logarithms of the scales.

    log_table: (v, k) log-likelihood per kind of cell; row 0, "not observed", must be zeros.  cell: (s, t).
    Returns (t, s, k) and (t, s).
    """
    highest = log_table.max(axis=1)
    scaled = np.exp(log_table - highest[:, None])
    return scaled[cell.T], highest[cell.T]


def forward(given: Floats, initial: Floats, transitions: Floats, level: NDArray[np.int8] | None) -> tuple[Floats, Floats]:
    """Return state probabilities given the past and present, (t, s, k), and each step's scale, (t, s).

    transitions: (l, k, k), rows sum to 1.  level: (s, t) or None where there is one matrix.
    """
    steps, stories, _states = given.shape
    filtered = np.empty_like(given)
    scale = np.empty((steps, stories))
    now, ones = initial[None, :] * given[0], np.ones(len(initial))
    for step in range(steps):
        if step:
            now = _moved(filtered[step - 1], transitions, None if level is None else level[:, step])
            now *= given[step]
        total = now @ ones  # a sum over a short last axis is four times slower
        np.maximum(total, 1e-300, out=total)
        np.divide(now, total[:, None], out=filtered[step])
        scale[step] = total
    return filtered, scale


def backward(given: Floats, scale: Floats, transitions: Floats, level: NDArray[np.int8] | None) -> Floats:
    """Return the scaled backward variable, (t, s, k): filtered x backward is the smoothed probability."""
    later = np.empty_like(given)
    later[-1] = 1.0
    for step in range(len(given) - 2, -1, -1):
        seen = given[step + 1] * later[step + 1]
        seen /= scale[step + 1][:, None]
        later[step] = _moved(seen, transitions.transpose(0, 2, 1), None if level is None else level[:, step + 1])
    return later


def expect(
    log_table: Floats,
    cell: NDArray[np.int64],
    level: NDArray[np.int8] | None,
    weight: Floats,
    length: NDArray[np.int64],
    initial: Floats,
    transitions: Floats,
) -> Expectations:
    """Return the expectation step over all stories. Periods after a story's end say nothing and move nobody."""
    given, scales = likelihoods(log_table, cell)
    filtered, scale = forward(given, initial, transitions, level)
    later = backward(given, scale, transitions, level)
    smoothed = filtered * later
    smoothed *= weight[None, :, None]
    steps, _stories, states = given.shape
    flat = cell.T.ravel()
    occupied: Floats = np.stack([np.bincount(flat, weights=smoothed[:, :, state].ravel(), minlength=len(log_table)) for state in range(states)], axis=1)
    occupied[0] = 0.0
    moves = np.zeros_like(transitions)
    for step in range(1, steps):
        alive = np.where(length > step, weight, 0.0) / scale[step]
        arriving = given[step] * later[step] * alive[:, None]
        for number in range(len(transitions)):
            here = slice(None) if level is None else level[:, step] == number
            moves[number] += filtered[step - 1][here].T @ arriving[here]
    moves *= transitions
    log_likelihood = float(weight @ (np.log(scale) + scales).sum(axis=0))
    return Expectations(log_likelihood, occupied, moves, smoothed[0].sum(axis=0))


def _moved(states: Floats, transitions: Floats, level: NDArray[np.int8] | None) -> Floats:
    """Return states @ the matrix of each story's level; states: (s, k)."""
    if level is None or len(transitions) == 1:
        return np.asarray(states @ transitions[0])
    moved: Floats = states @ transitions[0]
    for number in range(1, len(transitions)):
        there = level == number
        if there.any():
            moved[there] = states[there] @ transitions[number]
    return moved
