"""What a version of the life cycle shows: its hidden states, the monthly flow between stages, and what contact changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from crm.core.learning.reports import ReportTable
from customers.contacts import HELD_OUT, WRITTEN_TO, Contacts
from customers.ml.hmm import fitting
from customers.ml.hmm.model import HiddenMarkov
from customers.ml.hmm.stages import StageModel, asleep_and_often, stage_probabilities, state_names
from customers.ml.lifecycle import STAGES, Lifecycle

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from customers.ml.dataset import OrderRows
    from customers.ml.hmm.panel import Panel

    Floats = NDArray[np.float64]

# Months of flow that are averaged, and customers looked at; enough for a share within a percent.
FLOW_MONTHS = 6
FLOW_CUSTOMERS = 20_000
# Fewer expected customer months than this behind a share say nothing about contact.
FEWEST_CONTACTS = 30.0


def tables(model: StageModel, rows: OrderRows, told: Contacts, sample: Callable[[OrderRows, Contacts], Panel], *, seed: int) -> tuple[ReportTable, ...]:
    """Return the tables `states`, `state_moves`, `stage_flow` and `contact_effect`, those there is something to say in.

    sample: returns the panel of a sample of the customers, with contacts as levels.
    """
    found = []
    if model.states is not None:
        found += [states(model.states), state_moves(model.states)]
    if len(flow := stage_flow(model, rows, seed=seed).rows):
        found.append(ReportTable("stage_flow", FLOW_COLUMNS, flow))
    if model.states is not None and len(told):
        panel = sample(rows, told)
        if panel.levels > 1 and len(effect := contact_effect(model.states, panel, seed=seed).rows):
            found.append(ReportTable("contact_effect", EFFECT_COLUMNS, effect))
    return tuple(found)


def states(model: HiddenMarkov) -> ReportTable:
    """Return what each hidden state does: orders per month, how many enter there, how many stay from month to month."""
    names, stays = state_names(model), np.diag(model.transitions[0])
    silent = 1 - np.array([model.buys_again(np.eye(model.states)[[state]], periods=3.0)[0] for state in range(model.states)])
    rows = [
        (names[state], float(model.emission.mean[state]), float(model.initial[state]), float(stays[state]), float(silent[state]))
        for state in range(model.states)
    ]
    return ReportTable("states", ("state", "orders_per_month", "enters", "stays", "silent_three_months"), tuple(rows))


def state_moves(model: HiddenMarkov) -> ReportTable:
    """Return the transition matrix, one row per state, columns named by state."""
    names = state_names(model)
    rows = [(names[state], *(float(share) for share in model.transitions[0][state])) for state in range(model.states)]
    return ReportTable("state_moves", ("state", *names), tuple(rows))


FLOW_COLUMNS = ("from_stage", "to_stage", "share", "customers")


def stage_flow(model: StageModel, rows: OrderRows, *, seed: int) -> ReportTable:
    """Return the month-to-month map of the public stages: of who stood where, which share stood where a month later.

    Averaged over the last FLOW_MONTHS months, each month weighing as its customers.  `customers` is the mean number per
    month (of the sample, scaled to the shop).  Customers without an order have no row.
    """
    everyone = np.unique(rows.customer)
    chosen = everyone
    if len(everyone) > FLOW_CUSTOMERS:
        chosen = np.sort(np.random.default_rng(seed).choice(everyone, FLOW_CUSTOMERS, replace=False))
    inside = np.isin(rows.customer, chosen)
    customer, day = rows.customer[inside], rows.day[inside]
    flow = np.zeros((len(STAGES), len(STAGES)))
    months, before = 0, None
    for back in range(min(FLOW_MONTHS, int(rows.as_of_day - rows.day.min()) // model.period_days), -1, -1):
        now = stage_probabilities(model, customer=customer, day=day, customers=chosen, as_of_day=rows.as_of_day - back * model.period_days)
        column = now.probability.argmax(axis=1)
        if before is not None:
            np.add.at(flow, (before, column), 1.0)
            months += 1
        before = column
    flow[STAGES.index("prospect")] = 0.0
    scale, totals = len(everyone) / max(len(chosen) * months, 1), flow.sum(axis=1)
    found = [
        (STAGES[one], STAGES[two], float(flow[one, two] / totals[one]), round(flow[one, two] * scale, 1))
        for one in range(len(STAGES))
        for two in range(len(STAGES))
        if flow[one, two]
    ]
    return ReportTable("stage_flow", FLOW_COLUMNS, tuple(found))


EFFECT_COLUMNS = ("state", "awake_after_contact", "awake_without", "difference", "low", "high", "compared_with", "customer_months")


def contact_effect(model: HiddenMarkov, panel: Panel, *, seed: int) -> ReportTable:
    """Return, per state, how much likelier a customer is awake a month later when they were written to.

    The states are learned once more with a transition matrix per level of contact.  Where enough customers had been
    held out of the same campaigns by lot, they are the comparison; otherwise it is everybody not written to, who may
    differ in other ways too (`compared_with` says which).  The 95% interval treats expected moves as counts, so it is
    a little narrow.
    """
    fitted = fitting.fit(panel, states=model.states, family=model.emission.family, seed=seed)
    asleep, _often = asleep_and_often(fitted)
    names, rows = state_names(fitted), []
    moves = fitted.moves
    if panel.levels <= WRITTEN_TO:
        return ReportTable("contact_effect", EFFECT_COLUMNS, ())
    for state in range(fitted.states):
        held_out, nothing = moves[HELD_OUT, state], moves[0, state]
        is_random = held_out.sum() >= FEWEST_CONTACTS
        other = held_out if is_random else nothing
        written = moves[WRITTEN_TO, state]
        if min(written.sum(), other.sum()) < FEWEST_CONTACTS:
            continue
        one, two = float(written[~asleep].sum() / written.sum()), float(other[~asleep].sum() / other.sum())
        error = float(np.sqrt(one * (1 - one) / written.sum() + two * (1 - two) / other.sum()))
        rows.append(
            (
                names[state],
                one,
                two,
                one - two,
                one - two - 1.96 * error,
                one - two + 1.96 * error,
                "held_out" if is_random else "not_written_to",
                round(float(written.sum())),
            )
        )
    return ReportTable("contact_effect", EFFECT_COLUMNS, tuple(rows))


def rhythm(model: Lifecycle) -> tuple[tuple[str, float], ...]:
    """Return what the rhythm of gaps has learned."""
    return (
        ("median_gap_days", float(np.exp(model.log_gap_))),
        ("spread_between_customers", float(np.sqrt(model.between_))),
        ("spread_within_customers", float(np.sqrt(model.within_))),
        ("loyal_orders", float(model.loyal_orders_)),
        ("gaps_seen", float(model.gaps_)),
    )
