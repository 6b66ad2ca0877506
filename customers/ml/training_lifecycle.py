"""The training run of the life cycle: hidden states of ordering where they foretell better than the rhythm of gaps.

Both are fitted on the facts before a held-out period and judged on who ordered in it; the better one names the stages
of the version that serves, and the choice is in its report.  The rhythm of gaps is always fitted: the reasons in days
("twice the usual gap") are its own.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from crm.core import clock
from crm.core.learning import modelstore, registry
from crm.core.learning.evaluation import Figure, auroc, bootstrap, calibration_error, compare
from crm.core.learning.reports import ModelReport, ReportedFigure, ReportTable, calibration_bins
from customers import contacts
from customers.ml import dataset, judging, lifecycle_report
from customers.ml.features import Outcomes
from customers.ml.hmm import fitting
from customers.ml.hmm.model import HiddenMarkov
from customers.ml.hmm.panel import Panel, panel_of_orders
from customers.ml.hmm.stages import MOST_PERIODS, PERIOD_DAYS, StageModel, names_stages, stage_probabilities
from customers.ml.lifecycle import STAGES, Lifecycle, gap_history
from customers.ml.saved import stage_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Part of every data hash: raise when the same rows would give another model.
RECIPE = 2
RECENCY = "whoever ordered last orders first"
GAPS = "personal order gaps (empirical Bayes)"
HIDDEN = "hidden Markov model of orders per month"
# Customers the hidden states are learned from; more change the rates in the third digit only and cost linear time.
MOST_LEARNED_FROM = 30_000
# Fewer periods than this show no change of state.
FEWEST_PERIODS = 4
SEED = 0


@dataclass(frozen=True, slots=True)
class _Judged:
    """Both candidates on the held-out period. states: None where the hidden states could not be learned, with `why`."""

    gaps: Lifecycle
    gap_figure: Figure
    states: HiddenMarkov | None
    state_figure: Figure | None
    buys_again: Floats
    why: str

    @property
    def is_hidden(self) -> bool:
        return self.state_figure is not None and self.state_figure.value > self.gap_figure.value

    @property
    def figure(self) -> Figure:
        return self.state_figure if self.is_hidden and self.state_figure is not None else self.gap_figure


def train_lifecycle(*, as_of: datetime, force: bool = False) -> registry.TrainingOutcome:
    """Learn the shop's rhythm, its hidden states and its stages; judged by who of the last 90 days' customers bought again."""
    started = time.monotonic()
    rows, orders_hash = judging.orders(as_of, recipe=RECIPE)
    told = contacts.until(as_of)
    data_hash = modelstore.fingerprint(orders_hash, told.customer, told.day, told.level)
    if not force and (same := modelstore.unchanged("lifecycle", data_hash)):
        return registry.skipped(same)
    split = judging.split(rows)
    known = judging.known_before(rows, split.days)
    judged = _judge(rows, known, split)
    recency = auroc(split.bought_again, -split.history.silence_days)
    model = _fitted(rows, split.days, judged)
    judged_model = StageModel(judged.gaps, judged.states if judged.is_hidden else None, float(split.days))
    stage = stage_probabilities(judged_model, customer=known.customer, day=known.day, customers=split.history.customer, as_of_day=known.as_of_day).stage
    rates = _rates(stage, split.bought_again)
    metrics = {"auroc": judged.figure.value, "customers": len(split.history), "bought_again": float(split.bought_again.mean())}
    if judged.is_hidden:
        metrics["calibration_error"] = calibration_error(split.bought_again, judged.buys_again)
    version = modelstore.save(
        task="lifecycle",
        algorithm=HIDDEN if judged.is_hidden else GAPS,
        tensors={},
        config={"model": model.gaps.to_config(), "stages": model.to_config(), "rates": {name: rate for name, rate, _count in rates}},
        metrics=metrics,
        baseline={"auroc": recency},
        report=replace(
            _report(judged, model, rows, told, split, recency, rates), data=judging.learned_from_orders(rows, as_of=as_of, inputs=("order_days", "messages"))
        ).as_dict(),
        data_hash=data_hash,
        rows=len(rows),
        as_of=as_of,
        trained_at=clock.now(),
        seconds=time.monotonic() - started,
    )
    verdict = compare(
        challenger=judged.figure.value,
        champion=_champion(rows, known, split),
        baseline=recency,
        margin=judging.standard_error(judged.figure),
    )
    return judging.concluded(version, verdict, as_of=as_of)


def _judge(rows: dataset.OrderRows, known: dataset.OrderRows, split: Outcomes) -> _Judged:
    """Fit both candidates on what was known before the held-out period, and measure both on it."""
    gaps = Lifecycle().fit(known.customer, known.day)
    gap_figure = bootstrap(auroc, split.bought_again, _gap_score(gaps, rows, known, split))
    states, why = _hidden(known)
    if states is None:
        return _Judged(gaps, gap_figure, None, None, np.zeros(0), why)
    again = _buys_again(StageModel(gaps, states, float(split.days)), known, split)
    return _Judged(gaps, gap_figure, states, bootstrap(auroc, split.bought_again, again), again, "")


def _hidden(rows: dataset.OrderRows) -> tuple[HiddenMarkov | None, str]:
    """Return the hidden states of the shop, or None and the reason, one sentence."""
    panel = sample_panel(rows)
    if panel.periods < FEWEST_PERIODS:
        return None, f"The orders span {panel.periods} months; {FEWEST_PERIODS} are needed to see customers change."
    model = fitting.choose(panel, seed=SEED).model
    if not names_stages(model):
        return None, "No state of rest could be told from the states that order."
    return model, ""


def sample_panel(rows: dataset.OrderRows, told: contacts.Contacts | None = None) -> Panel:
    """Return the panel of at most MOST_LEARNED_FROM customers, drawn by the seed.

    told: with contacts the levels of the panel say who was written to or held out before each period.
    """
    everyone = np.unique(rows.customer)
    if len(everyone) > MOST_LEARNED_FROM:
        everyone = np.sort(np.random.default_rng(SEED).choice(everyone, MOST_LEARNED_FROM, replace=False))
    inside = np.isin(rows.customer, everyone)
    contact = {} if told is None else {"contact_customer": told.customer, "contact_day": told.day, "contact_level": told.level}
    return panel_of_orders(
        rows.customer[inside],
        rows.day[inside],
        customers=everyone,
        as_of_day=rows.as_of_day,
        period_days=PERIOD_DAYS,
        most_periods=MOST_PERIODS,
        **contact,
    )


def _fitted(rows: dataset.OrderRows, days: int, judged: _Judged) -> StageModel:
    """Return the model that serves, fitted on everything, of the kind that was better."""
    gaps, states = Lifecycle().fit(rows.customer, rows.day), None
    if judged.is_hidden and judged.states is not None:
        # Of the number and family that were judged; only the figures behind them are learned anew.
        states = fitting.fit(sample_panel(rows), states=judged.states.states, family=judged.states.emission.family, seed=SEED)
        states = states if names_stages(states) else judged.states
    return StageModel(gaps, states, horizon_days=float(days))


def _buys_again(model: StageModel, known: dataset.OrderRows, split: Outcomes) -> Floats:
    found = stage_probabilities(model, customer=known.customer, day=known.day, customers=split.history.customer, as_of_day=known.as_of_day)
    return found.buys_again


def _gap_score(model: Lifecycle, rows: dataset.OrderRows, known: dataset.OrderRows, split: Outcomes) -> Floats:
    """Return the earlier period's buying rate of each customer's stage; within a stage the shorter silence goes first.

    How often each stage buys again is itself learned, one period earlier, so that nothing of the judged period enters.
    """
    earlier, before = judging.period_before(rows, split.days)
    rates = {name: rate for name, rate, _count in _rates(_gap_stages(model, earlier, before), before.bought_again)}
    overall = float(before.bought_again.mean())
    by_stage = np.array([rates.get(str(name), overall) for name in _gap_stages(model, known, split)])
    return by_stage - 1e-9 * split.history.silence_days


def _gap_stages(model: Lifecycle, rows: dataset.OrderRows, split: Outcomes) -> NDArray[np.str_]:
    return model.stages(gap_history(rows.customer, rows.day, customers=split.history.customer, as_of_day=rows.as_of_day)).stage


def _rates(stage: NDArray[np.str_], bought_again: NDArray[np.bool_]) -> list[tuple[str, float, int]]:
    """Return per stage how often its customers bought again, drawn towards the shop's rate by ten customers' weight."""
    overall, rates = float(bought_again.mean()), []
    for name in STAGES:
        members = stage == name
        count = int(members.sum())
        if count:
            rates.append((name, (float(bought_again[members].sum()) + 10 * overall) / (count + 10), count))
    return rates


def _champion(rows: dataset.OrderRows, known: dataset.OrderRows, split: Outcomes) -> float | None:
    """Return the serving version's figure on the same rows. It may have seen some of them, which only favours it."""
    try:
        serving = modelstore.build("lifecycle", stage_model)
    except (modelstore.ModelMissing, modelstore.ModelCorrupt, modelstore.ModelIncompatible):
        return None
    if serving.states is None:
        return auroc(split.bought_again, _gap_score(serving.gaps, rows, known, split))
    return auroc(split.bought_again, _buys_again(serving, known, split))


def _report(
    judged: _Judged, model: StageModel, rows: dataset.OrderRows, told: contacts.Contacts, split: Outcomes, recency: float, rates: list[tuple[str, float, int]]
) -> ModelReport:
    hidden = judged.state_figure
    figures = [ReportedFigure.of("auroc", judged.figure, baseline=recency)]
    if judged.is_hidden:
        figures.append(ReportedFigure("calibration_error", calibration_error(split.bought_again, judged.buys_again), style="share", higher_is_better=False))
    candidates = [(GAPS, judged.gap_figure.value), (RECENCY, recency), *([] if hidden is None else [(HIDDEN, hidden.value)])]
    method = (
        f"States learned on the facts up to {split.days} days ago; the probability of an order against who bought in the {split.days} days since."
        if judged.is_hidden
        else f"Stages named {split.days} days ago, ranked by how often each stage bought again in the period before; who bought in the {split.days} days since."
    )
    return ModelReport(
        method=method,
        baseline=RECENCY,
        figures=tuple(figures),
        calibration=calibration_bins(split.bought_again, judged.buys_again) if judged.is_hidden else (),
        tables=(
            ReportTable("stages", ("stage", "rows", "bought_again"), tuple((name, count, rate) for name, rate, count in rates)),
            ReportTable("candidates", ("name", "auroc"), tuple(sorted(candidates, key=lambda row: -row[1]))),
            *lifecycle_report.tables(model, rows, told, sample_panel, seed=SEED),
            ReportTable("parameters", ("name", "value"), lifecycle_report.rhythm(model.gaps)),
        ),
        notes=(judged.why,) if judged.why else (),
    )
