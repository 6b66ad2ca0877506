"""Which model a table gets: candidates compared on rows they had not seen, blended, calibrated, then fitted on all rows.

Everything is decided by stratified cross-validation on the training rows, with rows of equal features kept in one fold:
a copy of a row on both sides would flatter whoever remembers best.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from crm.core.learning.evaluation import auroc
from customers.ml.tabular.calibration import Calibration, fit_line, learn_calibration, log_loss, sigmoid
from customers.ml.tabular.columns import Matrix, NothingToLearnFrom
from customers.ml.tabular.linear import LinearSettings, SplineLogistic
from customers.ml.tabular.model import Estimator, Part, TabularModel
from customers.ml.tabular.scattered import ScatteredTrees, ScatterSettings
from customers.ml.tabular.trees import BoostedTrees, TreeSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FOLDS = 5
# Fewer rows of a label cannot be spread over the folds and still be judged.
FEWEST_OF_A_LABEL = 10
# Candidates are compared on at most this many rows; above it their order no longer changes, only the waiting.
MOST_COMPARED = 40_000
# Up to here the finalists are cross-validated thrice, which steadies the choice where chance is large.
FEW = 8_000
# Scattered trees join a blend if their log-loss is at most this times the best kind's.
WORTHY = 1.08
BASE_RATE, SIMPLE, LINEAR, TREES, SCATTERED, BLEND = "base rate", "simple logistic", "spline logistic", "boosted trees", "scattered trees", "blend"
Settings = LinearSettings | TreeSettings | ScatterSettings
SIMPLE_SETTINGS = LinearSettings(strength=1.0, knots=0)
LINEAR_SETTINGS = (LinearSettings(0.01), LinearSettings(0.05), LinearSettings(0.05, products=True), LinearSettings(0.5, products=True))
TREE_SETTINGS = (
    TreeSettings(rate=0.1, trees=150, leaves=2, depth=1),
    TreeSettings(rate=0.05, trees=150, leaves=6, smallest=30, ridge=10, features=0.4),
    TreeSettings(rate=0.05, trees=300, leaves=12, smallest=15, ridge=3, features=0.4),
    TreeSettings(rate=0.1, trees=300, leaves=31, smallest=2, ridge=0.3, features=0.3),
)


@dataclass(frozen=True, slots=True)
class Choice:
    """model: fitted on every row.  candidates: {"auc", "log_loss"} of each by cross-validation, best settings of a kind.
    unseen, unseen_score: (n,) probability, and log-odds before calibration, of each training row by models that had not
    seen it (NaN where it was not compared).  baseline: the simple logistic, fitted on every row, calibrated likewise.
    settings: the best of each kind.
    """

    model: TabularModel
    candidates: dict[str, dict[str, float]]
    unseen: Floats
    unseen_score: Floats
    baseline: TabularModel
    settings: dict[str, Settings]


def choose(
    matrix: Matrix,
    label: NDArray[Any],
    *,
    seed: int = 0,
    linear: Sequence[LinearSettings] = LINEAR_SETTINGS,
    trees: Sequence[TreeSettings] = TREE_SETTINGS,
    scattered: Sequence[ScatterSettings] = (ScatterSettings(),),
    seeds: int = 4,
    repeats: int | None = None,
    groups: NDArray[np.int64] | None = None,
    most_compared: int = MOST_COMPARED,
    say: Callable[[str], None] = lambda _line: None,
) -> Choice:
    """Return the best model by cross-validated log-loss (`_Contest.best`) among base rate, simple logistic, splines, boosted and scattered trees and their blend.

    matrix: n rows.  label: (n,) 0/1.  seeds: tree models averaged in the end.  repeats: cross-validations of each kind's
    best settings; None: 3 up to FEW rows, else 1.  groups: (n,) rows of one group share a fold; None: rows of equal
    features do.  most_compared: rows that candidates are compared on.  Raises NothingToLearnFrom where a label has fewer
    than FEWEST_OF_A_LABEL rows.
    """
    given = np.asarray(label).astype(np.int64)
    _check(given)
    rows = _compared(given, seed, most_compared)
    alike = _alike(matrix.values[rows]) if groups is None else groups[rows]
    contest = _Contest(matrix.take(rows), given[rows], alike, seed=seed, repeats=repeats or (3 if len(rows) <= FEW else 1), say=say)
    contest.enter(SIMPLE, (SIMPLE_SETTINGS,))
    contest.enter(LINEAR, linear)
    if trees:
        contest.enter(TREES, trees)
    # Fully grown trees on many rows would be large and slow to explain, and gain nothing there.
    if scattered and len(rows) <= FEW:
        contest.enter(SCATTERED, scattered)
    blended = contest.worthy((LINEAR, TREES, SCATTERED))
    if len(blended) > 1:
        contest.blend(blended)
    best = contest.best()
    say(f"chosen: {best}")
    unseen, unseen_score = np.full(len(given), np.nan), np.full(len(given), np.nan)
    unseen[rows], unseen_score[rows] = sigmoid(contest.calibrated[best]), contest.score(best)
    fitted: dict[str, Estimator] = {}
    return Choice(
        model=_finished(contest, best, matrix, given, fitted, seeds=seeds, seed=seed),
        candidates={name: {"auc": contest.auc(name), "log_loss": loss} for name, loss in contest.losses.items()},
        unseen=unseen,
        unseen_score=unseen_score,
        baseline=_finished(contest, SIMPLE, matrix, given, fitted, seeds=seeds, seed=seed),
        settings=contest.settings,
    )


def refit(choice: Choice, matrix: Matrix, label: NDArray[Any], *, calibration: Calibration, seeds: int = 4, seed: int = 0) -> TabularModel:
    """Return the chosen blend fitted anew on other rows of the same features, with the calibration given."""
    parts = []
    for part in choice.model.parts:
        kind = choice.model.name if choice.model.name in choice.settings else {"linear": LINEAR, "trees": TREES, "scattered": SCATTERED}[part.kind]
        settings = choice.settings[kind]
        parts.append(Part(part.kind, _fitted(settings, matrix, np.asarray(label).astype(np.int64), seeds, seed), part.weight))
    return replace(choice.model, parts=tuple(parts), calibration=calibration)


class _Contest:
    """Scores of every kind of candidate on the same unseen rows.

    settings: best of a kind.  scores, calibrated: (n,) log-odds before and after a calibration learned on other folds.
    weights: (1 + k,) intercept and weights of the kinds in `members`.  losses: mean log-loss of `calibrated`.
    """

    def __init__(self, matrix: Matrix, label: NDArray[np.int64], groups: NDArray[np.int64], *, seed: int, repeats: int, say: Callable[[str], None]) -> None:
        self.matrix, self.label, self.say = matrix, label, say
        self.folds = [grouped_folds(groups, label, seed=seed + number) for number in range(repeats)]
        self.settings: dict[str, Settings] = {}
        self.scores: dict[str, Floats] = {}
        self.weights: dict[str, Floats] = {}
        self.members: dict[str, tuple[str, ...]] = {}
        rate = np.log(label.mean() / (1 - label.mean()))
        self.calibrated = {BASE_RATE: np.full(len(label), rate)}
        self.losses = {BASE_RATE: float(log_loss(label, self.calibrated[BASE_RATE]).mean())}

    def enter(self, kind: str, candidates: Sequence[Settings]) -> None:
        """Compare all settings on the first cross-validation; the best one's scores are averaged over all of them."""
        found: list[tuple[float, Settings, Floats]] = []
        for settings in candidates:
            scores = _unseen(settings, self.matrix, self.label, self.folds[0])
            loss = float(log_loss(self.label, _calibrated(scores, self.label, self.folds[0])).mean())
            self.say(f"{settings.name}: log-loss {loss:.4f}, AUC {auroc(self.label, scores):.4f}")
            found.append((loss, settings, scores))
        _loss, best, scores = min(found, key=lambda each: each[0])
        others = [_unseen(best, self.matrix, self.label, fold, seed=number + 1) for number, fold in enumerate(self.folds[1:])]
        self.settings[kind] = best
        self._judge(kind, np.mean([scores, *others], axis=0), np.array([0.0, 1.0]), (kind,))

    def worthy(self, kinds: tuple[str, ...]) -> tuple[str, ...]:
        """Return the kinds good enough to join a blend; deep trees that only add noise would cost minutes to explain."""
        entered = [kind for kind in kinds if kind in self.losses]
        least = min(self.losses[kind] for kind in entered)
        return tuple(kind for kind in entered if kind != SCATTERED or self.losses[kind] <= WORTHY * least)

    def blend(self, kinds: tuple[str, ...]) -> None:
        """Enter the kinds' weighted sum, each fold scored by weights learned on the others."""
        stacked = np.column_stack([self.scores[kind] for kind in kinds])
        crossed = np.empty(len(self.label))
        for number in range(FOLDS):
            asked = self.folds[0] == number
            weights = fit_line(stacked[~asked], self.label[~asked])
            crossed[asked] = weights[0] + stacked[asked] @ weights[1:]
        self._judge(BLEND, crossed, fit_line(stacked, self.label), kinds)

    def best(self) -> str:
        """Return the candidate of least log-loss; the blend where it is not worse than that by more than one standard error.

        A mean of different models varies less on new rows than any one of them, and cross-validation cannot see that well.
        """
        least = min(self.losses, key=lambda name: self.losses[name])
        if BLEND not in self.losses or least == BASE_RATE:
            return least
        worse = log_loss(self.label, self.calibrated[BLEND]) - log_loss(self.label, self.calibrated[least])
        return BLEND if worse.mean() <= worse.std() / np.sqrt(len(worse)) else least

    def auc(self, name: str) -> float:
        return auroc(self.label, self.scores[name]) if name in self.scores else 0.5

    def calibration(self, name: str) -> Calibration:
        """Return the calibration of the whole candidate, learned on all unseen scores."""
        return learn_calibration(self.score(name), self.label, self.folds[0])

    def score(self, name: str) -> Floats:
        """Return (n,) log-odds of unseen rows before calibration, as the finished model will form them."""
        if name == BASE_RATE:
            return self.calibrated[name]
        return np.asarray(self.weights[name][0] + np.column_stack([self.scores[member] for member in self.members[name]]) @ self.weights[name][1:])

    def _judge(self, name: str, scores: Floats, weights: Floats, members: tuple[str, ...]) -> None:
        self.scores[name], self.weights[name], self.members[name] = scores, weights, members
        self.calibrated[name] = _calibrated(scores, self.label, self.folds[0])
        self.losses[name] = float(log_loss(self.label, self.calibrated[name]).mean())


def grouped_folds(groups: NDArray[np.int64], label: NDArray[np.int64], *, folds: int = FOLDS, seed: int = 0) -> NDArray[np.int64]:
    """Return each row's fold; rows of a group share one, and each label is spread evenly over them. groups: (n,)."""
    _, group = np.unique(groups, return_inverse=True)
    share = np.bincount(group, weights=label) / np.bincount(group)
    shuffled = np.random.default_rng(seed).permutation(len(share))
    order = shuffled[np.argsort(share[shuffled], kind="stable")]
    fold = np.empty(len(share), dtype=np.int64)
    fold[order] = np.arange(len(share)) % folds
    return fold[group]


def _alike(values: Floats) -> NDArray[np.int64]:
    """Return one number per row, the same for rows of equal features; missing equals missing."""
    _, group = np.unique(np.nan_to_num(values, nan=-1.234567e300), axis=0, return_inverse=True)
    return np.ravel(group).astype(np.int64)


def _check(label: NDArray[np.int64]) -> None:
    positive = int(label.sum())
    if min(positive, len(label) - positive) < FEWEST_OF_A_LABEL:
        raise NothingToLearnFrom(
            f"{positive} of {len(label)} rows bear the positive label; at least {FEWEST_OF_A_LABEL} rows with it and without it are needed.",
            positive=positive,
            rows=len(label),
        )


def _compared(label: NDArray[np.int64], seed: int, most: int) -> NDArray[np.int64]:
    if len(label) <= most:
        return np.arange(len(label))
    return np.sort(np.random.default_rng(seed).choice(len(label), most, replace=False))


def _estimator(settings: Settings) -> Estimator:
    if isinstance(settings, LinearSettings):
        return SplineLogistic(settings)
    return BoostedTrees(settings) if isinstance(settings, TreeSettings) else ScatteredTrees(settings)


def _unseen(settings: Settings, matrix: Matrix, label: NDArray[np.int64], fold: NDArray[np.int64], *, seed: int = 0) -> Floats:
    """Return (n,) log-odds of each row by an estimator that had not seen its fold."""
    out = np.empty(len(label))
    for number in np.unique(fold):
        learned, asked = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        out[asked] = _estimator(settings).fit(matrix.take(learned), label[learned], seed=FOLDS * seed + int(number)).log_odds(matrix.take(asked))
    return out


def _calibrated(scores: Floats, label: NDArray[np.int64], fold: NDArray[np.int64]) -> Floats:
    """Return (n,) calibrated log-odds, each fold's by a calibration learned on the others."""
    out = np.empty(len(label))
    for number in np.unique(fold):
        known, asked = fold != number, fold == number
        out[asked] = learn_calibration(scores[known], label[known], fold[known]).apply(scores[asked])
    return out


def _fitted(settings: Settings, matrix: Matrix, label: NDArray[np.int64], seeds: int, seed: int) -> Estimator:
    wanted = replace(settings, seeds=seeds) if isinstance(settings, TreeSettings) else settings
    return _estimator(wanted).fit(matrix, label, seed=seed)


def _finished(contest: _Contest, name: str, matrix: Matrix, label: NDArray[np.int64], fitted: dict[str, Estimator], *, seeds: int, seed: int) -> TabularModel:
    """Return the candidate fitted on every row. fitted: estimators already there, by kind; filled."""
    shape: dict[str, Any] = {"names": matrix.names, "columns": matrix.columns, "levels": matrix.levels, "name": name}
    if name == BASE_RATE:
        return TabularModel(**shape, parts=(), offset=float(np.log(label.mean() / (1 - label.mean()))), calibration=Calibration())
    parts = []
    for member, weight in zip(contest.members[name], contest.weights[name][1:], strict=True):
        if weight <= 0:
            continue
        if member not in fitted:
            fitted[member] = _fitted(contest.settings[member], matrix, label, seeds, seed)
        kind = "scattered" if member == SCATTERED else "trees" if member == TREES else "linear"
        parts.append(Part(kind, fitted[member], float(weight)))
    return TabularModel(**shape, parts=tuple(parts), offset=float(contest.weights[name][0]), calibration=contest.calibration(name))
