"""The public stages of a life cycle, each with its probability, from the hidden Markov model or the rhythm of gaps.

The function other modules call is `stage_probabilities(model, customer=…, day=…, customers=…, as_of_day=…)`; `model` is
`modelstore.build("lifecycle", customers.ml.saved.stage_model)`, or `StageModel(Lifecycle().fit([], []))` where no
version serves.

What is asked of the hidden states: is the customer awake (in a state that orders) or asleep, now and a while ago?  The
while is LOOK_BACK periods; to tell at risk from lapsed it is four of the usual gaps of the state they fell asleep from,
between LOOK_BACK and MOST_BACK periods: a year of silence is long for a weekly buyer and not for a yearly one.

| then | now | stage |
|---|---|---|
| any | awake, one order so far | new |
| asleep | awake | reactivated |
| awake | awake, a state of the often ordering | loyal |
| awake | awake, else | growing |
| awake | asleep | at risk |
| asleep | asleep | lapsed |

A customer of one order who may have gone to sleep at once counts as new at first, and moves on with the first
LOOK_BACK periods.  Nobody without an order has a state: they are prospects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from customers.ml.hmm.model import HiddenMarkov
from customers.ml.hmm.panel import panel_of_orders
from customers.ml.lifecycle import STAGES, Lifecycle, gap_history

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from customers.ml.hmm.panel import Panel

    Floats = NDArray[np.float64]

# A month of life; 36 of them are enough to tell any state, and keep a million stories in memory.
PERIOD_DAYS = 30
MOST_PERIODS = 36
LOOK_BACK = 3
MOST_BACK = 12
GAPS_AT_RISK = 4.0
# A state is asleep if it brings less than this share of what a customer brings on entering.
ASLEEP_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class StageProbabilities:
    """One row per customer asked for.

    names: the seven stages, in the order of the columns.  probability: (n, 7), rows sum to 1.  stage: (n,) the most
    probable.  buys_again: (n,) probability of an order within the model's horizon, NaN where only the gaps serve.
    is_probability: False where the rules of the gaps name the stage; its column is then 1 and the others 0.
    """

    names: tuple[str, ...]
    probability: Floats
    stage: NDArray[np.str_]
    buys_again: Floats
    is_probability: bool


@dataclass(frozen=True, slots=True)
class StageModel:
    """gaps: the model of personal order gaps, which also gives the reasons in days.  states: the hidden Markov model, or
    None where the gaps serve.  horizon_days: what `buys_again` looks ahead.
    """

    gaps: Lifecycle
    states: HiddenMarkov | None = None
    horizon_days: float = 90.0
    period_days: int = PERIOD_DAYS
    most_periods: int = MOST_PERIODS

    def to_config(self) -> dict[str, Any]:
        return {
            "horizon_days": self.horizon_days,
            "period_days": self.period_days,
            "most_periods": self.most_periods,
            "states": None if self.states is None else self.states.to_config(),
        }

    @classmethod
    def from_config(cls, gaps: Lifecycle, config: dict[str, Any] | None) -> Self:
        """config: of `to_config`; None or empty for versions from before there were states."""
        if not config:
            return cls(gaps)
        states = None if config["states"] is None else HiddenMarkov.from_config(config["states"])
        return cls(gaps, states, float(config["horizon_days"]), int(config["period_days"]), int(config["most_periods"]))


def asleep_and_often(model: HiddenMarkov) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which states are asleep and which order often, each (k,) bool.

    Often: every awake state but the slowest; with a single awake state none, and the count of orders must tell.
    """
    rate = model.emission.mean
    asleep = rate < ASLEEP_SHARE * float(model.initial @ rate)
    awake = np.flatnonzero(~asleep)
    often = ~asleep
    often[awake[:1]] = False
    return asleep, often


def names_stages(model: HiddenMarkov) -> bool:
    """Return whether the states can tell stages apart: at least one asleep, at least one awake."""
    asleep, _often = asleep_and_often(model)
    return bool(asleep.any() and not asleep.all())


def state_names(model: HiddenMarkov) -> tuple[str, ...]:
    """Return a name per state by what it does: asleep or gone, then ordering rarely to very often.

    gone: asleep and hardly ever left (under 2% a period).  With several states of one kind a number follows.
    """
    asleep, _often = asleep_and_often(model)
    stays = np.diag(model.transitions[0])
    scale = {1: ("active",), 2: ("occasional", "frequent"), 3: ("occasional", "regular", "frequent")}
    awake = int((~asleep).sum())
    words = iter(scale.get(awake, ("occasional", "regular", "frequent", *("heavy",) * awake)))
    names, seen = [], dict[str, int]()
    for state in range(model.states):
        name = next(words) if not asleep[state] else "gone" if stays[state] > 0.98 else "asleep"
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name} {seen[name]}")
    return tuple(names)


def stage_probabilities(model: StageModel, *, customer: ArrayLike, day: ArrayLike, customers: ArrayLike, as_of_day: int) -> StageProbabilities:
    """Return each customer's stages with probabilities as of that day.

    customer, day: (m,) one row per order, whole UTC days since any fixed origin; later ones are not seen.
    customers: (n,) ascending ids, also those without an order.
    A million customers with four million orders take about 10 s and 1 GB on one core.  Runs no query.
    """
    wanted = np.asarray(customers, dtype=np.int64)
    history = gap_history(customer, day, customers=wanted, as_of_day=as_of_day)
    buyers = np.flatnonzero(history.orders > 0)
    probability = np.zeros((len(wanted), len(STAGES)))
    buys_again = np.full(len(wanted), np.nan)
    if model.states is None or not len(buyers):
        stage = model.gaps.stages(history).stage
        for column, name in enumerate(STAGES):
            probability[stage == name, column] = 1.0
        return StageProbabilities(STAGES, probability, stage, buys_again, is_probability=False)
    panel = panel_of_orders(
        customer,
        day,
        customers=wanted[buyers],
        as_of_day=as_of_day,
        period_days=model.period_days,
        most_periods=model.most_periods,
    )
    backs = _backs(model.states)
    joints = model.states.joints(panel, backs=sorted({LOOK_BACK, *backs.values()}))
    by_back = dict(zip(sorted({LOOK_BACK, *backs.values()}), joints, strict=True))
    both = by_back[LOOK_BACK]
    again = model.states.buys_again(both.sum(axis=1), periods=model.horizon_days / model.period_days)
    buys_again[buyers] = again[panel.story]
    buys_again[history.orders <= 0] = 0.0
    probability[buyers] = _of_buyers(model.states, both, _dozed_off(model.states, by_back, backs), panel, history.orders[buyers], model.gaps.loyal_orders_)
    probability[history.orders <= 0, 0] = 1.0
    return StageProbabilities(STAGES, probability, np.array(STAGES)[probability.argmax(axis=1)], buys_again, is_probability=True)


def _backs(states: HiddenMarkov) -> dict[int, int]:
    """Return for each awake state how many periods back tell at risk from lapsed."""
    asleep, _often = asleep_and_often(states)
    gaps = np.ceil(GAPS_AT_RISK / np.maximum(states.emission.mean, 1e-6))
    return {int(state): int(np.clip(gaps[state], LOOK_BACK, MOST_BACK)) for state in np.flatnonzero(~asleep)}


def _dozed_off(states: HiddenMarkov, by_back: dict[int, Floats], backs: dict[int, int]) -> Floats:
    """Return each story's probability of being asleep now after a state that was still awake a while ago, (s,)."""
    asleep, _often = asleep_and_often(states)
    now = by_back[LOOK_BACK][:, :, asleep].sum(axis=(1, 2))
    found = sum((by_back[back][:, state][:, asleep].sum(axis=1) for state, back in backs.items()), np.zeros(len(now)))
    # Looks of different lengths overlap a little; together they cannot exceed being asleep at all.
    return np.asarray(np.minimum(found, now))


def _of_buyers(states: HiddenMarkov, both: Floats, dozed_off: Floats, panel: Panel, orders: Floats, loyal_orders: int) -> Floats:
    """Return (n, 7) from each story's probability of state then and now, (s, k, k); see the table above."""
    asleep, often = asleep_and_often(states)
    awake = ~asleep
    slept_on = both[:, :, asleep].sum(axis=(1, 2)) - dozed_off
    woke = both[:, asleep][:, :, awake].sum(axis=(1, 2))
    orders_often = both[:, awake][:, :, often].sum(axis=(1, 2))
    orders_rarely = both[:, awake][:, :, awake & ~often].sum(axis=(1, 2))
    per_story = np.column_stack([slept_on, dozed_off, woke, orders_often, orders_rarely])[panel.story]
    slept_on, dozed_off, woke, orders_often, orders_rarely = per_story.T
    if not often.any():
        is_loyal = orders >= loyal_orders
        orders_often, orders_rarely = np.where(is_loyal, orders_rarely, 0.0), np.where(is_loyal, 0.0, orders_rarely)
    once = orders == 1
    # The part of a one-time buyer's sleep that may still be the usual wait for a second order.
    waiting = np.where(once, np.clip(1 - (panel.length[panel.story] - 1) / LOOK_BACK, 0.0, 1.0), 0.0)
    young = panel.length[panel.story] <= LOOK_BACK
    # Whoever slept from the first period on did so only since the first order, which they did place.
    dozed_off, slept_on = np.where(young, dozed_off + slept_on, dozed_off), np.where(young, 0.0, slept_on)
    came_back = np.where(young, 0.0, woke)
    orders_rarely = orders_rarely + np.where(young, woke, 0.0)
    columns = {
        "prospect": np.zeros(len(orders)),
        "new": np.where(once, orders_often + orders_rarely + came_back, 0.0) + waiting * dozed_off,
        "growing": np.where(once, 0.0, orders_rarely),
        "loyal": np.where(once, 0.0, orders_often),
        "at_risk": (1 - waiting) * dozed_off,
        "lapsed": slept_on,
        "reactivated": np.where(once, 0.0, came_back),
    }
    found = np.column_stack([columns[name] for name in STAGES])
    return np.asarray(found / found.sum(axis=1, keepdims=True))
