"""Shapley values of tree ensembles, exact, for all leaves and many rows at once.

The game is that of path-dependent TreeSHAP (Lundberg et al. 2020, Nature Machine Intelligence 2): a feature that is not
known lets a row go both ways at its splits, by the training rows' shares.  A leaf's value in that game is a product,

    v(S) = value · Π_{j in S} o_j · Π_{j not in S} z_j

o_j: 1 if the row passes all of the leaf's splits on feature j, else 0.  z_j: share of training rows that pass them.
By Owen's multilinear extension (Owen 1972) its Shapley values are integrals of polynomials,

    phi_j = value · (o_j - z_j) · ∫_0^1 Π_{k ≠ j} (t·o_k + (1 - t)·z_k) dt

and Gauss-Legendre quadrature with half as many nodes as the leaf has features gives them without error (the idea of
Linear TreeShap, Yu et al. 2022).  A leaf sees only which of its d conditions a row passes, so where there are more rows
than 2^d such patterns each pattern is worked out once (Fast TreeSHAP v2, Yang 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from customers.ml.tabular.trees import Nodes

    Floats = NDArray[np.float64]

# (rows x leaves x features) numbers held at once: 2 million keep a step near 16 MB.
STEP = 2_000_000
# Rows worked through together, for which one table of patterns serves.
ROWS = 2_048
# Conditions looked at together: 2,048 rows of 1,000 are 16 MB.
CONDITIONS = 1_000
# Beyond 2^10 patterns a table costs more than the rows it spares.
WIDEST_TABLE = 10


@dataclass(frozen=True, slots=True)
class _SameWidth:
    """Leaves of paths with d distinct features. value: (k,).  feature, condition, share: (k, d), z in the docstring."""

    value: Floats
    feature: NDArray[np.int64]
    condition: NDArray[np.int64]
    share: Floats


@dataclass(frozen=True, slots=True)
class _Conditions:
    """What leaves ask of one feature, each different question once; arrays of one entry per condition.

    low, high: the number must lie in (low, high].  missing: a missing cell passes.
    levels: row of `masks` (m, 256) that says which category levels pass, -1 for a number.
    """

    feature: NDArray[np.int64]
    low: Floats
    high: Floats
    missing: NDArray[np.bool_]
    levels: NDArray[np.int64]
    masks: NDArray[np.bool_]

    def passed(self, values: Floats) -> NDArray[np.bool_]:
        """Return (rows, conditions)."""
        out = np.empty((len(values), len(self.feature)), dtype=bool)
        for begin in range(0, len(self.feature), CONDITIONS):
            part = slice(begin, begin + CONDITIONS)
            out[:, part] = self._passed(values, part)
        return out

    def _passed(self, values: Floats, part: slice) -> NDArray[np.bool_]:
        cell = values[:, self.feature[part]]
        passes = (cell > self.low[part]) & (cell <= self.high[part])
        levels = self.levels[part]
        (by_level,) = np.nonzero(levels >= 0)
        if len(by_level):
            level = np.nan_to_num(cell[:, by_level], nan=0.0).astype(np.int64).clip(0, self.masks.shape[1] - 1)
            passes[:, by_level] = self.masks[levels[by_level], level]
        gap = np.isnan(cell)
        passes[gap] = np.broadcast_to(self.missing[part], cell.shape)[gap]
        return passes


@dataclass(frozen=True, slots=True)
class Leaves:
    """groups: leaves by number of distinct features.  expected: mean of the trees' output over the training rows."""

    groups: tuple[_SameWidth, ...]
    conditions: _Conditions
    expected: float

    def contributions(self, values: Floats, features: int) -> Floats:
        """Return (rows, features); with `expected` they sum to the trees' output."""
        out = np.zeros((len(values), features))
        for begin in range(0, len(values), ROWS):
            passed = self.conditions.passed(values[begin : begin + ROWS])
            for group in self.groups:
                self._add(group, passed, out[begin : begin + ROWS])
        return out

    def _add(self, group: _SameWidth, passed: NDArray[np.bool_], out: Floats) -> None:
        leaves, width = group.feature.shape
        has_table = width <= WIDEST_TABLE and 2**width < len(passed)
        rows_at_once = min(len(passed), 256)
        leaves_at_once = max(1, STEP // (max(rows_at_once, 2**width if has_table else 1) * width))
        patterns = (np.arange(2**width if has_table else 0)[:, None] >> np.arange(width)) & 1 == 1
        for first in range(0, leaves, leaves_at_once):
            part = slice(first, first + leaves_at_once)
            condition, share, value = group.condition[part], group.share[part], group.value[part]
            owners = np.zeros((condition.size, out.shape[1]))
            owners[np.arange(len(owners)), group.feature[part].ravel()] = 1.0
            table = _shapley(patterns[:, None, :], share, value) if has_table else None
            for row in range(0, len(passed), rows_at_once):
                rows = slice(row, row + rows_at_once)
                if table is None:
                    given = _shapley(passed[rows][:, condition], share, value)
                else:
                    pattern = np.zeros((len(passed[rows]), len(condition)), dtype=np.int64)
                    for place in range(width):
                        pattern |= passed[rows][:, condition[:, place]].astype(np.int64) << place
                    given = table[pattern, np.arange(len(condition))]
                out[rows] += given.reshape(len(given), -1) @ owners


def _shapley(passes: NDArray[np.bool_], share: Floats, value: Floats) -> Floats:
    """Return (rows, leaves, width); passes: (rows, leaves or 1, width).  share: (leaves, width).  value: (leaves,)."""
    width = share.shape[1]
    points, weights = np.polynomial.legendre.leggauss((width + 1) // 2)
    integral = np.zeros(np.broadcast_shapes(passes.shape, share.shape))
    for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
        factor = (1 - point) * share + point * passes
        integral += weight * factor.prod(axis=2, keepdims=True) / factor
    return integral * (passes - share) * value[:, None]


def leaves_of(nodes: Nodes) -> Leaves:
    """Return every leaf of the trees with the conditions of its path, those on one feature joined into one."""
    found: dict[int, list[tuple[float, dict[int, tuple[Any, ...]]]]] = {}
    expected = 0.0
    everything = np.ones(256, dtype=bool)
    for root in nodes.roots:
        waiting: list[tuple[int, dict[int, tuple[Any, ...]]]] = [(int(root), {})]
        while waiting:
            at, path = waiting.pop()
            feature = int(nodes.feature[at])
            if feature < 0:
                expected += float(nodes.value[at] * nodes.count[at] / nodes.count[root])
                if path:
                    found.setdefault(len(path), []).append((float(nodes.value[at]), path))
                continue
            for child, goes_left in ((int(nodes.left[at]), True), (int(nodes.right[at]), False)):
                low, high, missing, levels, share = path.get(feature, (-np.inf, np.inf, True, None, 1.0))
                missing = missing and bool(nodes.missing_left[at]) == goes_left
                share *= float(nodes.count[child] / nodes.count[at])
                if nodes.levels[at] >= 0:
                    passing = nodes.masks[nodes.levels[at]]
                    before = everything if levels is None else np.frombuffer(levels, dtype=bool)
                    levels = (before & (passing if goes_left else ~passing)).tobytes()
                elif goes_left:
                    high = min(high, float(nodes.threshold[at]))
                else:
                    low = max(low, float(nodes.threshold[at]))
                waiting.append((child, {**path, feature: (low, high, missing, levels, share)}))
    return _joined(found, expected)


def _joined(found: dict[int, list[tuple[float, dict[int, tuple[Any, ...]]]]], expected: float) -> Leaves:
    numbers: dict[tuple[Any, ...], int] = {}
    groups = []
    for _width, leaves in sorted(found.items()):
        paths = [list(path.items()) for _value, path in leaves]
        groups.append(
            _SameWidth(
                value=np.array([value for value, _path in leaves]),
                feature=np.array([[feature for feature, _each in path] for path in paths], dtype=np.int64),
                condition=np.array([[numbers.setdefault((feature, *each[:4]), len(numbers)) for feature, each in path] for path in paths], dtype=np.int64),
                share=np.array([[each[4] for _feature, each in path] for path in paths]),
            )
        )
    masks = sorted({levels for *_rest, levels in numbers if levels is not None})
    place = {levels: row for row, levels in enumerate(masks)}
    conditions = _Conditions(
        feature=np.array([feature for feature, *_rest in numbers], dtype=np.int64),
        low=np.array([low for _feature, low, *_rest in numbers], dtype=float),
        high=np.array([high for _feature, _low, high, *_rest in numbers], dtype=float),
        missing=np.array([missing for *_before, missing, _levels in numbers], dtype=bool),
        levels=np.array([-1 if levels is None else place[levels] for *_rest, levels in numbers], dtype=np.int64),
        masks=np.array([np.frombuffer(levels, dtype=bool) for levels in masks], dtype=bool).reshape(-1, 256),
    )
    return Leaves(tuple(groups), conditions, expected)
