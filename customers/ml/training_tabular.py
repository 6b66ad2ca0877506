"""Training runs of the propensity models: who leaves, who buys in the next days, who sends something back.

Learned on snapshots up to two horizons ago, judged on what happened in the last horizon, then fitted on all of them.
The baseline is a logistic curve on the two numbers a shopkeeper would look at.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from crm.core import clock
from crm.core.learning import modelstore, registry
from crm.core.learning.evaluation import auroc, bootstrap, compare
from customers.ml import judging, tabular_card, tabular_report
from customers.ml.tabular.calibration import Calibration, learn_calibration
from customers.ml.tabular.choosing import Choice, choose, grouped_folds, refit
from customers.ml.tabular.columns import Matrix
from customers.ml.tabular.leaks import find_leaks
from customers.ml.tabular.linear import LinearSettings
from customers.ml.tabular.model import TabularModel
from customers.ml.tabular.propensity import PropensityModel, matrix_of, propensity_model
from customers.ml.tabular.trees import TreeSettings
from customers.ml.tabular_dataset import QUESTIONS, Question, Snapshot, TooYoung, horizon_days, personal_fields, snapshots

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Part of every data hash: raise when the same rows would give another model.
RECIPE = 1
SEED = 0
# Fewer customers, or fewer of either outcome, than this say nothing about a model.
FEWEST_CUSTOMERS, FEWEST_OF_A_KIND = 60, 20
# Small on purpose: a million customers are scored every night, and a shop's signal is smooth.
LINEAR = (LinearSettings(0.002, knots=3), LinearSettings(0.02, knots=3))
TREES = (
    TreeSettings(rate=0.06, trees=80, leaves=4, smallest=40, ridge=10, features=0.3),
    TreeSettings(rate=0.06, trees=120, leaves=8, smallest=40, ridge=10, features=0.3),
)
SEEDS = 1
# Rows that candidates are compared on; the winner is then fitted on all.
MOST_COMPARED = 15_000


@dataclass(frozen=True, slots=True)
class Judged:
    """A model learned before the held-out snapshot, and what it said of it.

    probability, score, baseline: (n,) of the held-out rows, calibrated, before calibration, and of the named baseline.
    left_out: reason by feature.
    """

    choice: Choice
    held_out: Snapshot
    probability: Floats
    score: Floats
    baseline: Floats
    left_out: dict[str, str]


def train_churn(*, as_of: datetime, force: bool = False) -> registry.TrainingOutcome:
    """Learn who will not order in the next 90 days."""
    return _train(QUESTIONS["churn"], as_of=as_of, force=force)


def train_next_purchase(*, as_of: datetime, force: bool = False) -> registry.TrainingOutcome:
    """Learn who orders within 30 days."""
    return _train(QUESTIONS["next_purchase"], as_of=as_of, force=force)


def train_returns(*, as_of: datetime, force: bool = False) -> registry.TrainingOutcome:
    """Learn who sends something back within 100 days."""
    return _train(QUESTIONS["returns"], as_of=as_of, force=force)


def _train(question: Question, *, as_of: datetime, force: bool) -> registry.TrainingOutcome:
    started = time.monotonic()
    days = horizon_days(question, as_of=as_of)
    shots = snapshots(question, as_of=as_of, days=days)
    _check(shots)
    data_hash = modelstore.fingerprint(
        question.task, RECIPE, days, shots[0].table.names, *(part for shot in shots for part in (shot.table.customer, shot.table.values, shot.label))
    )
    if not force and (same := modelstore.unchanged(question.task, data_hash)):
        return registry.skipped(same)
    judged = judge(question, shots)
    model = PropensityModel(question.task, days, question.asks, finish(judged, shots))
    figure = bootstrap(auroc, judged.held_out.label, judged.probability)
    baseline = auroc(judged.held_out.label, judged.baseline)
    report = replace(tabular_report.report(question, judged, days=days), references=tabular_card.references_of(model, as_of=as_of))
    tensors, config = model.to_saved()
    version = modelstore.save(
        task=question.task,
        algorithm=model.model.name,
        tensors=tensors,
        config={**config, "personal_fields": personal_fields(model.model.names)},
        metrics=tabular_report.metrics(judged.held_out.label, judged.probability),
        baseline=tabular_report.metrics(judged.held_out.label, judged.baseline),
        report=report.as_dict(),
        data_hash=data_hash,
        rows=sum(len(shot.label) for shot in shots),
        as_of=as_of,
        trained_at=clock.now(),
        seconds=time.monotonic() - started,
    )
    verdict = compare(challenger=figure.value, champion=_champion(question.task, judged.held_out), baseline=baseline, margin=judging.standard_error(figure))
    return judging.concluded(version, verdict, as_of=as_of)


def judge(question: Question, shots: list[Snapshot]) -> Judged:
    """Choose and fit on all snapshots but the latest, and say of the latest what was not known then."""
    held_out, *known = shots
    matrix, label, people, left_out = rows_of(known)
    choice = choose(
        matrix, label, seed=SEED, linear=LINEAR, trees=TREES, scattered=(), seeds=SEEDS, repeats=1, groups=people, most_compared=MOST_COMPARED
    )  # fmt: skip
    asked = matrix_of(held_out.table, matrix.names, np.arange(len(held_out.label)))
    score = choice.model.score(asked)
    return Judged(choice, held_out, choice.model.probability(asked), score, _baseline(question, known, held_out), left_out)


def finish(judged: Judged, shots: list[Snapshot]) -> TabularModel:
    """Return the chosen model fitted on every snapshot, calibrated on all rows as models that had not seen them scored them."""
    matrix, label, people, _ = rows_of(shots, names=judged.choice.model.names)
    known = np.isfinite(judged.choice.unseen_score)
    earlier, _people = np.concatenate([shot.label for shot in shots[1:]]), people[len(shots[0].label) :]
    scores = np.concatenate([judged.score, judged.choice.unseen_score[known]])
    happened = np.concatenate([judged.held_out.label, earlier[known]])
    who = np.concatenate([people[: len(shots[0].label)], _people[known]])
    calibration = learn_calibration(scores, happened, grouped_folds(who, happened)) if judged.choice.model.parts else Calibration()
    return refit(judged.choice, matrix, label, calibration=calibration, seeds=SEEDS, seed=SEED)


def rows_of(shots: list[Snapshot], *, names: tuple[str, ...] | None = None) -> tuple[Matrix, NDArray[np.int64], NDArray[np.int64], dict[str, str]]:
    """Return (matrix, label, customer) of the snapshots, one under the other, and why features are left out.

    names: take these features; None: all that vary and do not give the answer away.
    """
    label = np.concatenate([shot.label for shot in shots])
    people = np.concatenate([shot.table.customer for shot in shots])
    wanted = names or shots[0].table.names
    values = np.vstack([matrix_of(shot.table, wanted, np.arange(len(shot.label))).values for shot in shots])
    left_out: dict[str, str] = {}
    matrix = Matrix.of_numbers(values, wanted)
    if names is None:
        with_gaps = np.nan_to_num(values, nan=-1.0)
        left_out = {name: "every row has the same value" for name, spread in zip(wanted, np.ptp(with_gaps, axis=0), strict=True) if spread == 0}
        left_out |= {leak.column: leak.reason for leak in find_leaks(matrix, label, seed=SEED) if leak.is_certain}
        keep = [place for place, name in enumerate(wanted) if name not in left_out]
        matrix = Matrix.of_numbers(values[:, keep], [wanted[place] for place in keep])
    return matrix, label, people, left_out


def _check(shots: list[Snapshot]) -> None:
    """Raise TooYoung where there is nothing to learn from, or nothing to judge on."""
    if len(shots) < 2:
        raise TooYoung("There is one period of orders only; one to learn from and one to judge on are needed.")
    for label in (shots[0].label, np.concatenate([shot.label for shot in shots[1:]])):
        rarer = int(min(label.sum(), len(label) - label.sum()))
        if len(label) < FEWEST_CUSTOMERS or rarer < FEWEST_OF_A_KIND:
            raise TooYoung(
                f"Of {len(label)} customers asked about, {rarer} did the rarer thing; {FEWEST_CUSTOMERS} and {FEWEST_OF_A_KIND} are needed.",
                customers=len(label),
                rarer=rarer,
            )


def _baseline(question: Question, known: list[Snapshot], held_out: Snapshot) -> Floats:
    """Return (n,) what a logistic curve on the baseline's features says of the held-out rows."""
    matrix, label, people, _ = rows_of(known, names=question.baseline)
    choice = choose(
        matrix, label, seed=SEED, linear=(LinearSettings(1.0, knots=0),), trees=(), scattered=(), repeats=1, groups=people, most_compared=MOST_COMPARED
    )
    return choice.baseline.probability(matrix_of(held_out.table, matrix.names, np.arange(len(held_out.label))))


def _champion(task: str, held_out: Snapshot) -> float | None:
    """Return the serving model's AUC on the same rows; where it has seen what happened to them, its own AUC on unseen ones.

    A nightly run judges on nearly the rows the last version was finally fitted to: remembering them, it would never be
    replaced.
    """
    try:
        serving = modelstore.build(task, propensity_model)
    except (modelstore.ModelMissing, modelstore.ModelCorrupt, modelstore.ModelIncompatible):
        return None
    version = modelstore.champion(task)
    if version is not None and version.as_of > held_out.cut:
        own = version.metrics.get("auroc")
        return None if own is None else float(own)
    said = serving.score(held_out.table).probability
    known = np.isfinite(said)
    return auroc(held_out.label[known], said[known])
