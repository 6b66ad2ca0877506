"""The fitted model: what state each customer is in, what they will order, and what the states are called."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from customers.ml.hmm import emissions, recursions
from customers.ml.hmm.emissions import Emission

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from customers.ml.hmm.panel import Panel

    Floats = NDArray[np.float64]

# Stories per pass when many are scored: (24 periods, 100,000 stories, 5 states) in float64 is 96 MB.
CHUNK = 100_000


@dataclass(frozen=True, slots=True)
class HiddenMarkov:
    """States ordered by rate, lowest first.

    initial: (k,).  transitions: (l, k, k), from row to column; level 0 is a period without contact.
    moves: (l, k, k) expected transitions behind them, customers; empty where not kept.
    log_likelihood: of the panel it was fitted to.
    """

    emission: Emission
    initial: Floats
    transitions: Floats
    log_likelihood: float = float("nan")
    moves: Floats = field(default_factory=lambda: np.zeros(0))

    @property
    def states(self) -> int:
        return len(self.initial)

    @property
    def parameters(self) -> int:
        return self.emission.parameters + self.states - 1 + len(self.transitions) * self.states * (self.states - 1)

    def bic(self, panel: Panel) -> float:
        """Return Schwarz's criterion of the fitted model; a customer's period is one observation."""
        return -2 * self.log_likelihood + self.parameters * float(np.log(max(panel.observations, 1.0)))

    def in_order(self) -> Self:
        """Return the same model with its states ordered by expected orders per period."""
        order = np.argsort(self.emission.mean, kind="stable")
        return replace(
            self,
            emission=self.emission.ordered(order),
            initial=self.initial[order],
            transitions=self.transitions[:, order][:, :, order],
            moves=self.moves[:, order][:, :, order] if self.moves.size else self.moves,
        )

    def filtered(self, panel: Panel) -> Floats:
        """Return each story's state probabilities at every age given what was known then; (s, t, k)."""
        return self._passes(panel, smooth=False)

    def smoothed(self, panel: Panel) -> Floats:
        """Return each story's state probabilities at every age given the whole story; (s, t, k)."""
        return self._passes(panel, smooth=True)

    def _passes(self, panel: Panel, *, smooth: bool) -> Floats:
        table = emissions.log_table(self.emission, panel.count, panel.exposure)
        found = np.empty((*panel.cell.shape, self.states))
        for begin in range(0, len(panel.cell), CHUNK):
            part = slice(begin, begin + CHUNK)
            level = panel.level[part] if len(self.transitions) > 1 else None
            given, _scales = recursions.likelihoods(table, panel.cell[part])
            states, scale = recursions.forward(given, self.initial, self.transitions, level)
            if smooth:
                states = states * recursions.backward(given, scale, self.transitions, level)
            found[part] = states.transpose(1, 0, 2)
        return found

    def last(self, panel: Panel) -> Floats:
        """Return the state probabilities at the end of each story, (s, k)."""
        return np.asarray(self.joint(panel, back=0).sum(axis=1))

    def joint(self, panel: Panel, *, back: int) -> Floats:
        """Return each story's probability of (state `back` periods ago, state now), (s, k, k); see `joints`."""
        return np.asarray(self.joints(panel, backs=(back,))[0])

    def joints(self, panel: Panel, *, backs: Sequence[int]) -> Floats:
        """Return each story's probability of (state that many periods ago, state now), (len(backs), s, k, k).

        Stories shorter than that are looked back to their first period.
        """
        table = emissions.log_table(self.emission, panel.count, panel.exposure)
        found = np.empty((len(backs), len(panel.cell), self.states, self.states))
        for begin in range(0, len(panel.cell), CHUNK):
            part = slice(begin, begin + CHUNK)
            level = panel.level[part] if len(self.transitions) > 1 else None
            given, _scales = recursions.likelihoods(table, panel.cell[part])
            states, _scale = recursions.forward(given, self.initial, self.transitions, level)
            for number, back in enumerate(backs):
                found[number, part] = self._looked_back(states, given, level, panel.length[part] - 1, back)
        return found

    def _looked_back(self, states: Floats, given: Floats, level: NDArray[np.int8] | None, last: NDArray[np.int64], back: int) -> Floats:
        """Return (s, k, k) by carrying the state `back` periods before `last` along to it."""
        rows = np.arange(states.shape[1])
        since = np.maximum(last - back, 0)
        both = states[since, rows][:, :, None] * np.eye(self.states)[None]
        for step in range(1, back + 1):
            there = np.flatnonzero(since + step <= last)
            age = since[there] + step
            matrix = self.transitions[0] if level is None else self.transitions[level[there, age]]
            moved = (both[there] @ matrix) * given[age, there][:, None, :]
            both[there] = moved / np.maximum(moved.sum(axis=(1, 2), keepdims=True), 1e-300)
        return both

    def expected_orders(self, last: Floats, *, periods: float) -> Floats:
        """Return orders expected in the next periods, (n,); last: (n, k).  Without contacts."""
        return last @ self._per_state(periods, lambda step, part: (step * part) @ self.emission.mean)

    def buys_again(self, last: Floats, *, periods: float) -> Floats:
        """Return the probability of at least one order in the next periods, (n,); last: (n, k)."""
        matrix, none = self.transitions[0], np.ones(self.states)
        whole, part = int(periods), periods - int(periods)
        empty = np.exp(emissions.log_table(self.emission, np.zeros(2), np.array([1.0, max(part, 1e-9)])))
        for exposed in ([1] if part > 1e-6 else []) + [0] * whole:
            none = matrix @ (empty[exposed] * none)
        return np.clip(1 - last @ none, 0.0, 1.0)

    def _per_state(self, periods: float, of: Any) -> Floats:
        step, total = np.eye(self.states), np.zeros(self.states)
        left = periods
        while left > 1e-9:
            step = step @ self.transitions[0]
            total = total + of(step, min(left, 1.0))
            left -= 1.0
        return total

    def to_config(self) -> dict[str, Any]:
        return {
            "family": self.emission.family,
            "rate": self.emission.rate.tolist(),
            "extra": self.emission.extra.tolist(),
            "initial": self.initial.tolist(),
            "transitions": self.transitions.tolist(),
            "moves": self.moves.tolist(),
            "log_likelihood": self.log_likelihood,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Raises KeyError or ValueError where the configuration is not one of `to_config`."""
        emission = Emission(config["family"], np.array(config["rate"], dtype=float), np.array(config["extra"], dtype=float))
        return cls(
            emission,
            np.array(config["initial"], dtype=float),
            np.array(config["transitions"], dtype=float),
            log_likelihood=float(config["log_likelihood"]),
            moves=np.array(config["moves"], dtype=float),
        )
