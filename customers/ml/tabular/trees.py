"""Gradient-boosted trees kept as plain arrays: fitted by scikit-learn, stored, scored and explained by this code.

Fitting averages several seeds of histogram gradient boosting (Ke et al. 2017, as in scikit-learn).  Nothing of
scikit-learn is stored: a saved model is a handful of arrays, so it can run no code and outlives library versions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from customers.ml.tabular.treeshap import Leaves, leaves_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from customers.ml.tabular.columns import Matrix

    Floats = NDArray[np.float64]

# Rows scored together: node numbers of 2,048 rows by 150 trees stay within the cache; 100,000 rows take 1.3 s.
CHUNK = 2_048
# Levels a category split can tell apart, scikit-learn's limit.
LEVELS = 256


@dataclass(frozen=True, slots=True)
class TreeSettings:
    """As in scikit-learn's HistGradientBoostingClassifier. features: share looked at per split.  seeds: models averaged."""

    rate: float = 0.05
    trees: int = 150
    leaves: int = 8
    smallest: int = 20
    ridge: float = 1.0
    features: float = 0.5
    depth: int = 8
    seeds: int = 1

    @property
    def name(self) -> str:
        return f"trees {self.trees}x{self.leaves} leaves, rate {self.rate:g}, smallest {self.smallest}"


@dataclass(frozen=True, slots=True)
class Nodes:
    """All trees' nodes, one entry per node; children and roots are node numbers.

    feature: -1 at a leaf.  threshold: at most this goes left.  missing_left: a missing cell goes left.
    levels: row of `masks` that says which category levels go left, -1 for a number.  value: log-odds, at leaves.
    count: training rows that came by.  masks: (k, 256).  roots: first node of each tree.
    """

    feature: NDArray[np.int64]
    threshold: Floats
    missing_left: NDArray[np.bool_]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: Floats
    count: Floats
    levels: NDArray[np.int64]
    masks: NDArray[np.bool_]
    roots: NDArray[np.int64]


class BoostedTrees:
    """nodes_: the trees.  start_: log-odds before any tree."""

    def __init__(self, settings: TreeSettings | None = None) -> None:
        self.settings = settings or TreeSettings()
        self._leaves: Leaves | None = None

    def fit(self, matrix: Matrix, label: NDArray[Any], *, seed: int = 0) -> BoostedTrees:
        """Learn from (rows) labels 0/1, both of which must occur."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        wanted = self.settings
        # Binning cannot take a column without any value, as a fold may have one; as a constant it is never split on.
        values = np.where(np.isnan(matrix.values).all(axis=0), 0.0, matrix.values)
        # scikit-learn 1.9 splits a category of one level and gaps, but then predicts another split; as a number it is right.
        several = np.array([len(np.unique(column[~np.isnan(column)])) > 1 for column in values.T])
        fitted = [
            HistGradientBoostingClassifier(
                learning_rate=wanted.rate, max_iter=wanted.trees, max_leaf_nodes=wanted.leaves, max_depth=wanted.depth,
                min_samples_leaf=wanted.smallest, l2_regularization=wanted.ridge, max_features=wanted.features,
                categorical_features=matrix.is_category & several, early_stopping=False, random_state=seed * 1000 + number,
            ).fit(values, label)
            for number in range(wanted.seeds)
        ]  # fmt: skip
        self.features_ = len(matrix.names)
        self.start_ = float(np.mean([np.ravel(one._baseline_prediction)[0] for one in fitted]))
        self.nodes_ = _exported(fitted, 1 / wanted.seeds)
        self._leaves = None
        # The export reads scikit-learn's inside; should a version arrange it anew, that shows here and not in a forecast.
        some = matrix.take(np.arange(min(len(matrix), 100)))
        if not np.allclose(self.log_odds(some), np.mean([one.decision_function(values[: len(some)]) for one in fitted], axis=0), atol=1e-9):
            raise RuntimeError("This version of scikit-learn keeps its trees in another form than the one this code reads.")
        return self

    def log_odds(self, matrix: Matrix) -> Floats:
        out = np.empty(len(matrix))
        for begin in range(0, len(matrix), CHUNK):
            out[begin : begin + CHUNK] = self._walk(matrix.values[begin : begin + CHUNK])
        return self.start_ + out

    def explain(self, matrix: Matrix) -> tuple[Floats, float]:
        """Return Shapley contributions (rows, features) and the base; their sum is the log-odds, to rounding."""
        if self._leaves is None:
            self._leaves = leaves_of(self.nodes_)
        return self._leaves.contributions(matrix.values, self.features_), self.start_ + self._leaves.expected

    def to_tensors(self, prefix: str) -> dict[str, NDArray[Any]]:
        arrays = {name: np.ascontiguousarray(getattr(self.nodes_, name)) for name in Nodes.__dataclass_fields__}
        arrays["start"], arrays["features"] = np.array([self.start_]), np.array([self.features_])
        return {f"{prefix}{name}": values for name, values in arrays.items()}

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], prefix: str) -> BoostedTrees:
        made = cls()
        made.nodes_ = Nodes(**{name: tensors[f"{prefix}{name}"] for name in Nodes.__dataclass_fields__})
        made.start_, made.features_ = float(tensors[f"{prefix}start"][0]), int(tensors[f"{prefix}features"][0])
        return made

    def _walk(self, values: Floats) -> Floats:
        """Send all rows down all trees a level at a time; finished pairs drop out of the next level's work."""
        nodes, rows = self.nodes_, len(values)
        row = np.repeat(np.arange(rows), len(nodes.roots))
        at = np.tile(nodes.roots, rows)
        total = np.zeros(rows)
        while len(at):
            feature = nodes.feature[at]
            ended = feature < 0
            if ended.any():
                total += np.bincount(row[ended], weights=nodes.value[at[ended]], minlength=rows)
                row, at, feature = row[~ended], at[~ended], feature[~ended]
            cell, limit = values[row, feature], nodes.threshold[at]
            left = np.where(nodes.missing_left[at], ~(cell > limit), cell <= limit)
            if len(nodes.masks):
                group = nodes.levels[at]
                by_level = np.flatnonzero((group >= 0) & ~np.isnan(cell))
                left[by_level] = nodes.masks[group[by_level], cell[by_level].astype(np.int64)]
            at = np.where(left, nodes.left[at], nodes.right[at])
        return total


def _exported(fitted: list[Any], weight: float) -> Nodes:
    """Return the trees of fitted scikit-learn models as arrays, each tree's leaf values times `weight`."""
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in Nodes.__dataclass_fields__}
    offset = masks = 0
    bits_by_level: dict[int, NDArray[np.bool_]] = {}
    for model in fitted:
        order, place = _as_scikit_orders(model)
        for (tree,) in model._predictors:
            nodes = tree.nodes
            leaf, category = nodes["is_leaf"] == 1, (nodes["is_categorical"] == 1) & (nodes["is_leaf"] == 0)
            parts["roots"].append(np.array([offset]))
            parts["feature"].append(np.where(leaf, -1, order[nodes["feature_idx"].astype(np.int64)]))
            # A category split has no threshold; infinity keeps the comparison harmless until its mask decides.
            parts["threshold"].append(np.where(leaf | category, np.inf, nodes["num_threshold"]))
            parts["missing_left"].append(nodes["missing_go_to_left"].astype(bool))
            for side in ("left", "right"):
                parts[side].append(nodes[side].astype(np.int64) + offset)
            parts["value"].append(np.where(leaf, nodes["value"] * weight, 0.0))
            parts["count"].append(nodes["count"].astype(float))
            parts["levels"].append(np.where(category, nodes["bitset_idx"].astype(np.int64) + masks, -1))
            words = np.asarray(tree.raw_left_cat_bitsets, dtype=np.uint32).reshape(-1, 8)
            bits = ((words[:, :, None] >> np.arange(32, dtype=np.uint32)) & 1).astype(bool).reshape(-1, LEVELS)
            for node in np.flatnonzero(category):
                codes = place[int(order[nodes["feature_idx"][node]])]
                # A level that no training row had goes where a missing cell goes.
                seen = np.where(codes >= 0, bits[nodes["bitset_idx"][node]][np.maximum(codes, 0)], bool(nodes["missing_go_to_left"][node]))
                bits_by_level[int(nodes["bitset_idx"][node]) + masks] = seen
            parts["masks"].append(np.array([bits_by_level[masks + k] for k in range(len(words))], dtype=bool).reshape(-1, LEVELS))
            offset += len(nodes)
            masks += len(words)
    return Nodes(**{name: np.concatenate(values) for name, values in parts.items()})


def _as_scikit_orders(model: Any) -> tuple[NDArray[np.int64], dict[int, NDArray[np.int64]]]:
    """Return our feature number by scikit-learn's, and per category feature its code of each level (-1: it has none).

    scikit-learn moves category features to the front and numbers the levels that the training rows had.
    """
    categories = model.is_categorical_
    if categories is None or not categories.any():
        return np.arange(model.n_features_in_), {}
    front = np.flatnonzero(categories)
    order = np.concatenate([front, np.flatnonzero(~categories)])
    codes = {}
    for feature, levels in zip(front, model._preprocessor.named_transformers_["encoder"].categories_, strict=True):
        code = np.full(LEVELS, -1, dtype=np.int64)
        known = levels[~np.isnan(levels)].astype(np.int64)
        code[known] = np.arange(len(known))
        codes[int(feature)] = code
    return order, codes
