"""All reads of the models pages: what serves, how good it is against its simple baseline, how it came about."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.translation import gettext as _
from django_celery_beat.models import PeriodicTask

from crm.core import clock, model_facts, model_words
from crm.core.charts import Chart
from crm.core.learning import registry
from crm.core.learning.registry import TrainingTask
from crm.core.learning.reports import ModelReport
from crm.core.model_facts import Cost, DataView, DriftView
from crm.core.model_figures import FigureLine, calibration_chart, cell, comparison, figure_line, headline, over_time
from crm.core.models import Job, ModelVersion
from crm.core.models.jobs import JobState
from crm.core.models.learning import ModelState
from crm.core.tasks import TRAIN

VERSIONS_SHOWN = 25
RUNS_SHOWN = 10
RETRAIN_TASK = "crm.core.tasks.retrain"
# Health of a training task, worst first; the words are in templates/models/list.html.
FAILING, UNTRAINED, BEATEN, KEPT, SERVING = "failing", "untrained", "beaten", "kept", "serving"


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One training task on the list.

    health: failing (the newest run gave no model), untrained, beaten (trained, but no version beats
    the simple baseline), kept (a newer version lost to the serving one), serving.
    needs: why there is no model, as the last failed run put it.
    """

    name: str
    title: str
    purpose: str
    health: str
    version: int | None
    as_of: datetime | None
    trained_at: datetime | None
    rows: int
    headline: FigureLine | None
    baseline_name: str
    needs: str
    next_run_at: datetime | None
    job_id: int | None


@dataclass(frozen=True, slots=True)
class ModelsPage:
    cards: list[ModelCard]


@dataclass(frozen=True, slots=True)
class VersionLine:
    """One training run in the history. may_serve: it has files and does not serve now."""

    version: int
    state: str
    state_label: str
    algorithm: str
    trained_at: datetime
    as_of: datetime
    promoted_at: datetime | None
    rows: int
    seconds: float
    headline: str
    notes: str
    may_serve: bool


@dataclass(frozen=True, slots=True)
class RunLine:
    job_id: int
    state: str
    state_label: str
    message: str
    created_at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class TableView:
    title: str
    columns: list[str]
    rows: list[list[str]]


@dataclass(frozen=True, slots=True)
class ModelPage:
    card: ModelCard
    method: str
    notes: list[str]
    algorithm: str
    seconds: float | None
    figures: list[FigureLine]
    comparison: Chart | None
    calibration: Chart | None
    tables: list[TableView]
    over_time: Chart | None
    versions: list[VersionLine]
    runs: list[RunLine]
    may_roll_back: bool
    has_more_versions: bool
    data: DataView | None
    lift: Chart | None
    drift: DriftView | None
    drift_limits: tuple[str, str]
    cost: Cost | None


def models_page(*, at: datetime) -> ModelsPage:
    """Return every registered training task with what serves. Three queries however many tasks and versions there are."""
    tasks = registry.tasks()
    names = [task.name for task in tasks]
    champions = {version.task: version for version in ModelVersion.objects.filter(task__in=names, state=ModelState.CHAMPION).defer("files")}
    latest = {
        version.task: version for version in ModelVersion.objects.filter(task__in=names).order_by("task", "-version").distinct("task").defer("files", "report")
    }
    schedule = _next_runs(at)
    running = dict(Job.objects.filter(kind=TRAIN, state__in=(JobState.WAITING, JobState.RUNNING)).values_list("params__name", "id"))
    return ModelsPage(cards=[_card(task, champions.get(task.name), latest.get(task.name), schedule.get(task.name), running.get(task.name)) for task in tasks])


def model_page(name: str, *, at: datetime) -> ModelPage:
    """Return one training task with its figures, history and log. Six queries. Raises TaskUnknown."""
    task = registry.task_named(name)
    versions = list(ModelVersion.objects.filter(task=name).defer("files").order_by("-version")[: VERSIONS_SHOWN + 1])
    champion = next((version for version in versions if version.state == ModelState.CHAMPION), None)
    if champion is None:
        # It may be older than the versions listed.
        champion = ModelVersion.objects.filter(task=name, state=ModelState.CHAMPION).first()
    runs = list(Job.objects.filter(kind=TRAIN, params__name=name).select_related("created_by").defer("log", "result").order_by("-id")[:RUNS_SHOWN])
    active = next((job.pk for job in runs if not job.is_over), None)
    report = ModelReport.from_dict(champion.report if champion else {})
    lines = [figure_line(figure) for figure in report.figures]
    lift = model_facts.lift_chart(report.table("lift"))
    return ModelPage(
        card=_card(task, champion, versions[0] if versions else None, _next_runs(at).get(name), active),
        method=model_words.sentence(report.method),
        notes=[model_words.sentence(note) for note in report.notes],
        algorithm=model_words.name(champion.algorithm) if champion else "",
        seconds=champion.seconds if champion else None,
        figures=lines,
        comparison=comparison(report, title=_("Difference to the simple baseline, 95% interval")),
        calibration=calibration_chart(report.calibration),
        tables=[
            TableView(
                model_words.table(table.name),
                [model_words.column(column) for column in table.columns],
                [[cell(value, task, column) for column, value in zip(table.columns, row, strict=False)] for row in table.rows],
            )
            for table in report.tables
            if table.name not in model_facts.DRAWN or lift is None
        ],
        over_time=over_time(task, versions[:VERSIONS_SHOWN]),
        versions=[_version(task, version) for version in versions[:VERSIONS_SHOWN]],
        runs=[
            RunLine(
                job.pk,
                job.state,
                str(JobState(job.state).label),
                job.told or model_words.sentence(job.error[:200]),
                job.created_at,
                str(job.created_by or ""),
            )
            for job in runs
        ],
        may_roll_back=champion is not None
        and any(version.state == ModelState.RETIRED and version.promoted_at and version.path and version.version < champion.version for version in versions),
        has_more_versions=len(versions) > VERSIONS_SHOWN,
        data=model_facts.data_view(report, task),
        lift=lift,
        drift=model_facts.drift_view(task, champion),
        drift_limits=model_facts.limits(),
        cost=model_facts.cost(task, champion),
    )


def _card(task: TrainingTask, champion: ModelVersion | None, latest: ModelVersion | None, next_run_at: datetime | None, job_id: int | None) -> ModelCard:
    report = ModelReport.from_dict(champion.report if champion else {})
    return ModelCard(
        name=task.name,
        title=str(task.title),
        purpose=str(task.purpose),
        health=health(champion, latest),
        version=champion.version if champion else None,
        as_of=champion.as_of if champion else None,
        trained_at=champion.trained_at if champion else None,
        rows=champion.rows if champion else 0,
        headline=headline(task, champion, report) if champion else None,
        baseline_name=model_words.name(report.baseline),
        needs=model_words.sentence(latest.notes) if latest and latest.state == ModelState.FAILED else "",
        next_run_at=next_run_at,
        job_id=job_id,
    )


def health(champion: ModelVersion | None, latest: ModelVersion | None) -> str:
    """Return the state of a task from its serving and its newest version."""
    if latest is not None and latest.state == ModelState.FAILED:
        return FAILING if champion else UNTRAINED
    if champion is None:
        return BEATEN if latest is not None else UNTRAINED
    return KEPT if latest is not None and latest.version > champion.version else SERVING


def _version(task: TrainingTask, version: ModelVersion) -> VersionLine:
    main = headline(task, version, ModelReport.from_dict(version.report))
    return VersionLine(
        version=version.version,
        state=version.state,
        state_label=str(ModelState(version.state).label),
        algorithm=model_words.name(version.algorithm),
        trained_at=version.trained_at,
        as_of=version.as_of,
        promoted_at=version.promoted_at,
        rows=version.rows,
        seconds=version.seconds,
        headline=main.value if main else "",
        notes=model_words.sentence(version.notes),
        may_serve=version.state in {ModelState.CANDIDATE, ModelState.RETIRED} and bool(version.path),
    )


def _next_runs(at: datetime) -> dict[str, datetime]:
    """Return when Beat trains each model next, from its own rows. One query."""
    found: dict[str, datetime] = {}
    for row in PeriodicTask.objects.filter(task=RETRAIN_TASK, enabled=True).select_related("crontab", "interval", "solar", "clocked"):
        try:
            name = json.loads(row.kwargs or "{}").get("name")
            # The estimate counts from its own clock a moment later; to the second it is exact.
            due = (clock.now() + row.schedule.remaining_estimate(at) + timedelta(seconds=0.5)).replace(microsecond=0)
        except (ValueError, TypeError, AttributeError):
            continue
        if isinstance(name, str):
            found[name] = min(due, found.get(name, due))
    return found
