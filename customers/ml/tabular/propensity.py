"""How likely each customer is to do something in the coming days, over the features of `customers.features`.

`PropensityModel` is what a trained version becomes in memory: probabilities for everybody, exact reasons for whom somebody
looks at.  Pure: it reads a table of numbers and knows no database.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from customers.ml.tabular.columns import Matrix
from customers.ml.tabular.model import TabularModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from crm.core.learning.modelstore import LoadedModel

    Floats = NDArray[np.float64]

# Rows scored at once: 50,000 rows of 80 features are 32 MB as float64.
BATCH = 50_000


class Table(Protocol):
    """What `customers.features.FeatureTable` offers: names of k columns and (n, k) values, NaN where unknown."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def values(self) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True)
class Scores:
    """probability: (n,) of doing it, NaN for whom the question makes no sense (a return by someone who never ordered).

    The reasons of any row are `PropensityModel.reasons`, worked out when somebody asks.
    """

    probability: Floats

    @property
    def asked(self) -> NDArray[np.bool_]:
        return np.isfinite(self.probability)


@dataclass(frozen=True, slots=True)
class PropensityModel:
    """task: "churn", "next_purchase" or "returns".  horizon_days: over which days.  asks: smallest value a feature must
    have for the question to make sense, by name.
    """

    task: str
    horizon_days: int
    asks: dict[str, float]
    model: TabularModel

    def score(self, table: Table) -> Scores:
        """Return the probabilities of all rows. A column the table lacks counts as unknown."""
        asked = self.asked(table)
        out = np.full(len(table.values), np.nan)
        rows = np.flatnonzero(asked)
        for begin in range(0, len(rows), BATCH):
            part = rows[begin : begin + BATCH]
            out[part] = self.model.probability(self._matrix(table, part))
        return Scores(out)

    def reasons(self, table: Table, row: int) -> list[dict[str, Any]]:
        """Return why one row has its probability: the base, then every feature that moves it, strongest first.

        Each is {"code": feature or "base", "data": {"effect": log-odds, "value": number or None}}; the effects sum to the
        log-odds of the probability to 1e-9.  [] for a row that is not asked.
        """
        if not self.asked(table)[row]:
            return []
        matrix = self._matrix(table, np.array([row]))
        why = self.model.explain(matrix)
        values = dict(zip(matrix.names, matrix.values[0], strict=True))
        told: list[dict[str, Any]] = [{"code": "base", "data": {"effect": why.base}}]
        for name, effect in why.strongest(0, most=len(why.columns)):
            known = np.isfinite(values[name])
            told.append({"code": name, "data": {"effect": effect, "value": float(values[name]) if known else None}})
        return told

    def asked(self, table: Table) -> NDArray[np.bool_]:
        """Return for which rows the question makes sense, (n,)."""
        return is_asked(self.asks, table)

    def to_saved(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        tensors, model = self.model.to_tensors()
        return tensors, {"task": self.task, "horizon_days": self.horizon_days, "asks": self.asks, "model": model}

    @classmethod
    def from_saved(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> PropensityModel:
        return cls(config["task"], config["horizon_days"], config["asks"], TabularModel.from_tensors(tensors, config["model"]))

    def _matrix(self, table: Table, rows: NDArray[np.int64]) -> Matrix:
        return matrix_of(table, self.model.names, rows)


def is_asked(asks: Mapping[str, float], table: Table) -> NDArray[np.bool_]:
    asked = np.ones(len(table.values), dtype=bool)
    for name, least in asks.items():
        asked &= table.values[:, table.names.index(name)] >= least if name in table.names else False
    return asked


def matrix_of(table: Table, names: tuple[str, ...], rows: NDArray[Any]) -> Matrix:
    """Return these features of these rows as the matrix that models read; a feature the table lacks is unknown."""
    place = {name: index for index, name in enumerate(table.names)}
    values = np.full((len(table.values[rows]), len(names)), np.nan)
    for index, name in enumerate(names):
        if name in place:
            values[:, index] = table.values[rows, place[name]]
    return Matrix.of_numbers(values, names)


def propensity_model(loaded: LoadedModel) -> PropensityModel:
    """Return the model of a version; given to `modelstore.build`."""
    return PropensityModel.from_saved(loaded.tensors, loaded.config)
