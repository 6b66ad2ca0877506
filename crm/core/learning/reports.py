"""What a model's page shows: figures beside a named baseline, calibration, slices, and how they were measured.

A training run builds a `ModelReport` and stores `as_dict()` in ModelVersion.report; pages read `ModelReport.from_dict`.
Names and labels are codes or English source strings; pages translate them.

Tables that a model's page draws or places specially, by name and columns; any other table is printed as it is:

    lift           tenth (1 = likeliest), rows, stated, happened, lift         a chart of lift by tenth
    deciles        part (1 = highest predicted), customers, predicted, realised   Insights: value, predicted against realised
    drivers        feature, mean_effect (log-odds), direction                  Insights: churn drivers; longest first
    slices         slice, rows, <figures>                                      language, country, tenure, device, gender
    fairness       slice, rows, happened, picked, picked_of_happened           shares by group
    fairness_gaps  slice, parity_difference, ..., parity_after, auc_cost       gaps before and after the mitigation
    stage_flow     from_stage, to_stage, share, customers                      Insights: lifecycle
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from crm.core.learning.drift import Reference
from crm.core.learning.evaluation import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True)
class ReportedFigure:
    """One line of the figures table.

    name: code such as "accuracy".  style: "share", "number", "money", "seconds" or "days", how to print it.
    low, high: 95% interval or None.  baseline: the simple baseline's figure on the same rows, or None.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    baseline: float | None = None
    style: str = "share"
    higher_is_better: bool = True

    @classmethod
    def of(cls, name: str, figure: Figure, *, baseline: float | None = None, style: str = "share", higher_is_better: bool = True) -> Self:
        return cls(name=name, value=figure.value, low=figure.low, high=figure.high, baseline=baseline, style=style, higher_is_better=higher_is_better)


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A small table: slices, classes, parameters.  Each row has one cell per column."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Rows of similar stated confidence: what was said, what was right, how many."""

    stated: float
    observed: float
    rows: int


@dataclass(frozen=True, slots=True)
class DataCard:
    """What a version learned from.

    data_from, data_to: ISO days, '' where unknown.  features: names of the inputs.  personal: those that say who a person is
    rather than what they did; sensitive: those the law protects.  left_out: name -> why (leak, constant, missing).
    under_represented: (group, share of the rows learned from, share of everybody), for groups the data know too little of.
    """

    data_from: str = ""
    data_to: str = ""
    features: tuple[str, ...] = ()
    personal: tuple[str, ...] = ()
    sensitive: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    under_represented: tuple[tuple[str, float, float], ...] = ()

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Self:
        def pairs(name: str) -> tuple[tuple[Any, ...], ...]:
            return tuple(tuple(row) for row in stored.get(name, ()))

        return cls(
            data_from=stored.get("data_from", ""),
            data_to=stored.get("data_to", ""),
            features=tuple(stored.get("features", ())),
            personal=tuple(stored.get("personal", ())),
            sensitive=tuple(stored.get("sensitive", ())),
            left_out=pairs("left_out"),
            under_represented=pairs("under_represented"),
        )


@dataclass(frozen=True, slots=True)
class ModelReport:
    """method: how the figures were measured, one sentence.  baseline: the simple baseline's name.
    notes: what a reader must know (fallbacks used, small samples, data dropped).
    data: what was learned from, None in reports written before.
    references: how each input and the score ("score") were spread when it was trained; drift is measured against them
    (crm/core/learning/drift.py makes and compares them).
    """

    method: str
    baseline: str
    figures: tuple[ReportedFigure, ...]
    calibration: tuple[CalibrationBin, ...] = ()
    tables: tuple[ReportTable, ...] = ()
    notes: tuple[str, ...] = field(default=())
    data: DataCard | None = None
    references: tuple[Reference, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Self:
        """Return the report of a version; one without a report (a failed run) gives an empty one."""
        return cls(
            method=stored.get("method", ""),
            baseline=stored.get("baseline", ""),
            figures=tuple(ReportedFigure(**figure) for figure in stored.get("figures", ())),
            calibration=tuple(CalibrationBin(**part) for part in stored.get("calibration", ())),
            tables=tuple(
                ReportTable(name=table["name"], columns=tuple(table["columns"]), rows=tuple(tuple(row) for row in table["rows"]))
                for table in stored.get("tables", ())
            ),
            notes=tuple(stored.get("notes", ())),
            data=DataCard.from_dict(stored["data"]) if stored.get("data") else None,
            references=tuple(Reference(part["name"], tuple(part["edges"]), tuple(part["shares"])) for part in stored.get("references", ())),
        )

    def table(self, name: str) -> ReportTable | None:
        """Return the table of that name, None where the report has none."""
        return next((table for table in self.tables if table.name == name), None)


def calibration_bins(right: ArrayLike, confidence: ArrayLike, *, bins: int = 10) -> tuple[CalibrationBin, ...]:
    """Return bins of equal row counts, lowest confidence first."""
    hit, stated = np.asarray(right, dtype=float), np.asarray(confidence, dtype=float)
    order = np.argsort(stated, kind="stable")
    return tuple(
        CalibrationBin(stated=float(stated[part].mean()), observed=float(hit[part].mean()), rows=len(part))
        for part in np.array_split(order, min(bins, max(len(order), 1)))
        if len(part)
    )


def per_class(truth: ArrayLike, predicted: ArrayLike, names: Sequence[str]) -> ReportTable:
    """Return precision, recall, F1 and support of each class, hardest first; truth, predicted: (n,) class numbers.

    A class never predicted has precision None, one that never occurs has recall None.
    """
    actual, said = np.asarray(truth, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    rows = []
    for number, name in enumerate(names):
        there, claimed = actual == number, said == number
        right = int((there & claimed).sum())
        precision = right / int(claimed.sum()) if claimed.any() else None
        recall = right / int(there.sum()) if there.any() else None
        rows.append((name, precision, recall, 2 * right / max(int(there.sum() + claimed.sum()), 1), int(there.sum())))
    rows.sort(key=lambda row: (row[3], row[0]))
    return ReportTable(name="classes", columns=("class", "precision", "recall", "f1", "rows"), rows=tuple(rows))


def confusions(truth: ArrayLike, predicted: ArrayLike, names: Sequence[str], *, most: int = 12) -> ReportTable:
    """Return the commonest mistakes: true class, predicted class, how often."""
    actual, said = np.asarray(truth, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    wrong = actual != said
    pairs, counts = np.unique(np.column_stack([actual[wrong], said[wrong]]), axis=0, return_counts=True)
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -counts))[:most] if len(pairs) else np.zeros(0, dtype=np.int64)
    return ReportTable(
        name="confusions",
        columns=("truth", "predicted", "rows"),
        rows=tuple((names[pairs[i, 0]], names[pairs[i, 1]], int(counts[i])) for i in order),
    )


def tenths(predicted: ArrayLike, realised: ArrayLike, *, parts: int = 10) -> ReportTable:
    """Return mean prediction and mean outcome of rows sorted by prediction, highest first; fewer parts for few rows."""
    said, came = np.asarray(predicted, dtype=float), np.asarray(realised, dtype=float)
    order = np.argsort(-said, kind="stable")
    rows = tuple(
        (number, len(part), float(said[part].mean()), float(came[part].mean()))
        for number, part in enumerate(np.array_split(order, max(min(parts, len(order)), 1)), start=1)
        if len(part)
    )
    return ReportTable(name="deciles", columns=("part", "customers", "predicted", "realised"), rows=rows)
