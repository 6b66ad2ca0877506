"""Extremely randomised trees (Geurts, Ernst & Wehenkel 2006) as one more additive part of a blend.

Where a table is full of near copies and sharp corners, many deep trees with random cuts see what boosting smooths away.
Their mean leaf rate is used as it is, times a constant, so that it adds up over leaves and its reasons stay exact; the
blend's weights and the calibration bring it to log-odds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from customers.ml.tabular.trees import LEVELS, BoostedTrees, Nodes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from customers.ml.tabular.columns import Matrix

    Floats = NDArray[np.float64]

# Rates of 0 to 1 become scores of -4 to 4, about as wide as log-odds are.
SCALE = 8.0


@dataclass(frozen=True, slots=True)
class ScatterSettings:
    """trees: how many.  smallest: rows per leaf at least."""

    trees: int = 100
    smallest: int = 1

    @property
    def name(self) -> str:
        return f"scattered trees {self.trees}, smallest {self.smallest}"


class ScatteredTrees(BoostedTrees):
    """Stored, scored and explained as BoostedTrees are; only the fit differs."""

    def __init__(self, settings: ScatterSettings | None = None) -> None:
        super().__init__()
        self.scatter = settings or ScatterSettings()

    def fit(self, matrix: Matrix, label: NDArray[Any], *, seed: int = 0) -> ScatteredTrees:
        """Learn from (rows) labels 0/1, both of which must occur. Category levels count as numbers, commonest first."""
        from sklearn.ensemble import ExtraTreesClassifier

        values = np.where(np.isnan(matrix.values).all(axis=0), 0.0, matrix.values)
        forest = ExtraTreesClassifier(self.scatter.trees, max_features=None, min_samples_leaf=self.scatter.smallest, random_state=seed, n_jobs=1)
        forest.fit(values, label)
        known = [np.unique(column[~np.isnan(column)]) for column in values.T]
        self.features_ = len(matrix.names)
        self.start_ = -SCALE / 2
        self.nodes_ = _exported([tree.tree_ for tree in forest.estimators_], known)
        self._leaves = None
        some = matrix.take(np.arange(min(len(matrix), 100)))
        if not np.allclose(self.log_odds(some), self.start_ + SCALE * forest.predict_proba(values[: len(some)])[:, 1], atol=1e-9):
            raise RuntimeError("This version of scikit-learn keeps its trees in another form than the one this code reads.")
        return self


def _exported(trees: list[Any], known: list[Floats]) -> Nodes:
    """Return the trees as arrays. known: values each feature had; cuts move to the middle between two of them.

    That changes no training row's way, frees the cuts of scikit-learn's 32-bit rounding, and makes many of them equal.
    """
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in Nodes.__dataclass_fields__}
    offset = 0
    for tree in trees:
        leaf = tree.children_left < 0
        feature = np.where(leaf, -1, tree.feature).astype(np.int64)
        parts["roots"].append(np.array([offset]))
        parts["feature"].append(feature)
        parts["threshold"].append(_snapped(feature, tree.threshold, known))
        parts["missing_left"].append(np.asarray(tree.missing_go_to_left).astype(bool))
        parts["left"].append(np.where(leaf, 0, tree.children_left).astype(np.int64) + offset)
        parts["right"].append(np.where(leaf, 0, tree.children_right).astype(np.int64) + offset)
        rate = tree.value[:, 0, 1] / tree.value[:, 0].sum(axis=1)
        parts["value"].append(np.where(leaf, SCALE * rate / len(trees), 0.0))
        parts["count"].append(tree.weighted_n_node_samples.astype(float))
        parts["levels"].append(np.full(len(leaf), -1, dtype=np.int64))
        parts["masks"].append(np.zeros((0, LEVELS), dtype=bool))
        offset += len(leaf)
    return Nodes(**{name: np.concatenate(values) for name, values in parts.items()})


def _snapped(feature: NDArray[np.int64], threshold: Floats, known: list[Floats]) -> Floats:
    out = np.full(len(feature), np.inf)
    for number, values in enumerate(known):
        rows = np.flatnonzero(feature == number)
        if not len(rows) or not len(values):
            continue
        # The comparison scikit-learn made: 32-bit cells against the cut.
        above = np.searchsorted(values.astype(np.float32), threshold[rows], side="right")
        inside = (above > 0) & (above < len(values))
        middle = (values[np.maximum(above - 1, 0)] + values[np.minimum(above, len(values) - 1)]) / 2
        out[rows] = np.where(inside, middle, np.where(above == 0, -np.inf, np.inf))
    return out
