"""Figures of a model in words and charts: against the baseline, calibration, over the versions, cells of tables."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from crm.core import charts, formats, model_words
from crm.core.charts import Chart
from crm.core.learning.registry import TrainingTask
from crm.core.learning.reports import CalibrationBin, ModelReport, ReportedFigure
from crm.core.models import ModelVersion


@dataclass(frozen=True, slots=True)
class FigureLine:
    """One figure in words. interval: '12%–15%' or ''.  verdict: better | worse | unclear | none, against the baseline."""

    label: str
    value: str
    interval: str
    baseline: str
    verdict: str


def headline(task: TrainingTask, version: ModelVersion, report: ModelReport) -> FigureLine | None:
    """Return the task's main figure of a version, from its report or, for lack of one, from its bare metrics."""
    for figure in report.figures:
        if figure.name == task.main_metric:
            return figure_line(figure)
    value = version.metrics.get(task.main_metric)
    if not isinstance(value, (int, float)):
        return figure_line(report.figures[0]) if report.figures else None
    baseline = version.baseline.get(task.main_metric)
    return figure_line(
        ReportedFigure(
            name=task.main_metric,
            value=value,
            baseline=baseline if isinstance(baseline, (int, float)) else None,
            style="number",
            higher_is_better=task.higher_is_better,
        )
    )


def figure_line(figure: ReportedFigure) -> FigureLine:
    """Return a report's figure in words."""
    return FigureLine(
        label=model_words.figure(figure.name),
        value=_told(figure.value, figure.style),
        interval="" if figure.low is None or figure.high is None else f"{_told(figure.low, figure.style)} – {_told(figure.high, figure.style)}",
        baseline="" if figure.baseline is None else _told(figure.baseline, figure.style),
        verdict=_verdict(figure),
    )


def _verdict(figure: ReportedFigure) -> str:
    """Return whether the figure beats its baseline beyond its own interval."""
    if figure.value is None or figure.baseline is None:
        return "none"
    if figure.low is not None and figure.high is not None and figure.low <= figure.baseline <= figure.high:
        return "unclear"
    return "better" if (figure.value > figure.baseline) is figure.higher_is_better and figure.value != figure.baseline else "worse"


def _told(value: float | None, style: str) -> str:
    if style == "share":
        return formats.percent(value, 1)
    if style == "money":
        return formats.money(value)
    if style == "seconds":
        return formats.duration(value)
    if style == "days":
        return _("%(n)s days") % {"n": formats.number(value, 1)}
    return formats.number(value, 3 if value is not None and abs(value) < 10 else 1)


# Columns of report tables that hold rates, and those that hold people, which training may have averaged over months.
SHARES = frozenset({
    "stated", "happened", "bought_again", "picked", "picked_of_happened", "enters", "stays", "silent_three_months", "share", "awake_after_contact",
    "awake_without", "chance_of_purchase", "gone", "asleep", "active", "occasional", "regular", "frequent", "heavy", "precision", "recall", "f1", "refused", "hit_rate_10", "accuracy", "auroc",
})  # fmt: skip
PEOPLE = frozenset({"customers", "customer_months", "rows"})


def cell(value: Any, task: TrainingTask, column: str = "") -> str:
    """Return a cell of a report's table in words. column: its code, which says how numbers are written."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, float) and column in SHARES:
        return formats.percent(value, 1)
    if isinstance(value, float) and column in PEOPLE:
        return formats.number(value, 0)
    if isinstance(value, float):
        told = formats.number(value, 3 if abs(value) < 10 else 1)
        return formats.MINUS + told[1:] if told.startswith("-") else told
    if isinstance(value, int) or value is None:
        return formats.number(value)
    text = str(value)
    word = model_words.cell(text)
    return task.word(text) if word == text and task.word else word


def comparison(report: ModelReport, *, title: str) -> Chart | None:
    """Return model against baseline as differences with their intervals; only figures that are shares can share a scale."""
    rows = []
    for figure in report.figures:
        if figure.style == "share" and figure.value is not None and figure.low is not None and figure.high is not None and figure.baseline is not None:
            base = figure.baseline
            label, is_gain = model_words.figure(figure.name), figure.higher_is_better
            rows.append(charts.Interval(label, figure.value - base, figure.low - base, figure.high - base, is_gain))
    return charts.lift_interval(rows, title=title, show=charts.as_points) if rows else None


def calibration_chart(bins: Sequence[CalibrationBin]) -> Chart | None:
    """Return what was said against what happened, with 95% intervals; None without bins."""
    if not bins:
        return None
    drawn = []
    for part in bins:
        low, high = _wilson(part.observed, part.rows)
        drawn.append(charts.CalibrationBin(predicted=part.stated, observed=part.observed, low=low, high=high, count=part.rows))
    return charts.calibration(drawn, title=_("Said against happened"))


def _wilson(share: float, rows: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95% Wilson score interval of a share (Wilson 1927)."""
    if not rows:
        return 0.0, 1.0
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    reach = z * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows)) / (1 + z * z / rows)
    return max(middle - reach, 0.0), min(middle + reach, 1.0)


def over_time(task: TrainingTask, versions: Sequence[ModelVersion]) -> Chart | None:
    """Return the main figure over the versions that have one; nothing for a single point."""
    points = [(version, version.metrics.get(task.main_metric)) for version in reversed(versions)]
    known = [(version, float(value)) for version, value in points if isinstance(value, (int, float))]
    if len(known) < 2:
        return None
    return charts.line(
        {model_words.figure(task.main_metric): [value for _version, value in known]},
        labels=[_("v%(n)s") % {"n": version.version} for version, _value in known],
        title=_("Main figure by version"),
        label_title=_("Version"),
        show=lambda value: formats.number(value, 3),
    )
