"""Parts of a model's page beside its figures: what it learned from, lift by tenth, drift by week, what training cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Count, Sum
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from crm.core import charts, countries, formats, model_words
from crm.core.charts import Chart
from crm.core.learning.drift import SHIFTED, STEADY, verdict
from crm.core.learning.registry import TrainingTask
from crm.core.learning.reports import ModelReport, ReportTable
from crm.core.models import DriftReading, ModelVersion
from crm.core.models.learning import ModelState

DRIFT_WEEKS, DRIFTED_SHOWN = 26, 12
# Tables that have a place of their own on the page; all others follow in the order given.
DRAWN = ("lift",)
SCORE = "score"


@dataclass(frozen=True, slots=True)
class GroupShare:
    """A group the data know too little of. rows, everybody: its share, in words."""

    label: str
    rows: str
    everybody: str


@dataclass(frozen=True, slots=True)
class DataView:
    """What the serving version learned from, in words. personal, sensitive: names of inputs, empty for none."""

    period: str
    features: Sequence[str]
    personal: Sequence[str]
    sensitive: Sequence[str]
    left_out: Sequence[tuple[str, str]]
    under_represented: Sequence[GroupShare]


@dataclass(frozen=True, slots=True)
class DriftLine:
    """One quantity of the newest week. state: steady | shifted | drifted."""

    label: str
    index: str
    state: str


@dataclass(frozen=True, slots=True)
class DriftView:
    """week: of the readings.  over_time: the score's index week by week, None for a single week."""

    week: date
    lines: Sequence[DriftLine]
    others: int
    state: str
    over_time: Chart | None


@dataclass(frozen=True, slots=True)
class Cost:
    """All trainings of a model together: how many, how long, how many of them gave no model."""

    runs: int
    failed: int
    seconds: str
    rows_a_second: str


def data_view(report: ModelReport, task: TrainingTask) -> DataView | None:
    """Return what was learned from, None where the report does not say. No query."""
    data = report.data
    if data is None:
        return None
    word = _word(task)
    first, last = parse_date(data.data_from or "x"), parse_date(data.data_to or "x")
    period = _("%(first)s to %(last)s") % {"first": formats.day(first), "last": formats.day(last)} if first and last else ""
    return DataView(
        period=period,
        features=[word(name) for name in data.features],
        personal=[word(name) for name in data.personal],
        sensitive=[word(name) for name in data.sensitive],
        left_out=[(word(name), model_words.sentence(why)) for name, why in data.left_out],
        under_represented=[
            GroupShare(_group(label, word), formats.percent(rows, 1), formats.percent(everybody, 1)) for label, rows, everybody in data.under_represented
        ],
    )


def lift_chart(table: ReportTable | None) -> Chart | None:
    """Return said against happened by tenth, from a report's "lift" table; None without one."""
    if table is None or not table.rows:
        return None
    place = {name: index for index, name in enumerate(table.columns)}
    if not {"tenth", "stated", "happened"} <= set(place):
        return None
    return charts.grouped(
        {_("Said"): [row[place["stated"]] for row in table.rows], _("Happened"): [row[place["happened"]] for row in table.rows]},
        labels=[_("tenth %(n)s") % {"n": row[place["tenth"]]} for row in table.rows],
        title=_("By tenths, the likeliest first"),
        label_title=_("Tenth"),
        show=charts.as_percent,
    )


def drift_view(task: TrainingTask, version: ModelVersion | None) -> DriftView | None:
    """Return the newest week's readings of the serving version, most drifted first; None while there are none. One query."""
    if version is None:
        return None
    rows = list(
        DriftReading.objects.filter(task=task.name, version=version.version)
        .order_by("-week", "-index")
        .values_list("week", "name", "index")[: 40 * DRIFT_WEEKS]
    )
    if not rows:
        return None
    newest, word = rows[0][0], _word(task)
    now = [(name, index) for week, name, index in rows if week == newest]
    now.sort(key=lambda reading: (reading[0] != SCORE, -reading[1]))
    since = newest - timedelta(weeks=DRIFT_WEEKS)
    score = sorted((week, index) for week, name, index in rows if name == SCORE and week >= since)
    over_time = None
    if len(score) > 1:
        over_time = charts.line(
            {_("Score"): [index for _week, index in score]},
            labels=[formats.day(week) for week, _index in score],
            title=_("Drift of the score by week"),
            label_title=pgettext("period", "Week"),
            show=lambda value: formats.number(value, 3),
        )
    return DriftView(
        week=newest,
        lines=[
            DriftLine(_("the score itself") if name == SCORE else word(name), formats.number(index, 3), verdict(index)) for name, index in now[:DRIFTED_SHOWN]
        ],
        others=max(len(now) - DRIFTED_SHOWN, 0),
        state=verdict(max((index for _name, index in now), default=0.0)),
        over_time=over_time,
    )


def cost(task: TrainingTask, version: ModelVersion | None) -> Cost | None:
    """Return what all trainings of this model took. One query."""
    found = {
        state: (runs, seconds)
        for state, runs, seconds in ModelVersion.objects.filter(task=task.name)
        .values_list("state")
        .annotate(runs=Count("pk"), seconds=Sum("seconds"))
        .order_by()
    }
    runs = sum(count for count, _seconds in found.values())
    if not runs:
        return None
    return Cost(
        runs=runs,
        failed=found.get(ModelState.FAILED, (0, 0.0))[0],
        seconds=formats.duration(sum(seconds or 0 for _count_, seconds in found.values())),
        rows_a_second=formats.number(round(version.rows / version.seconds)) if version and version.seconds else "",
    )


def limits() -> tuple[str, str]:
    """Return the bounds of steady and shifted, in words."""
    return formats.number(STEADY, 2), formats.number(SHIFTED, 2)


def _word(task: TrainingTask) -> Callable[[str], str]:
    """Return how names of inputs are told: by the app that knows them, else by the shared words."""

    def word(code: str) -> str:
        told = model_words.cell(code)
        if told == code and task.word:
            told = task.word(code)
        return told.replace("_", " ") if told == code else told

    return word


def _group(label: str, word: Callable[[str], str]) -> str:
    """Return "language=zh-hans" in words."""
    attribute, _equals, value = label.partition("=")
    return (
        _("%(attribute)s: %(value)s")
        % {
            "attribute": word(attribute),
            "value": countries.named(value) if attribute == "country" else word(value),
        }
        if value
        else word(label)
    )
