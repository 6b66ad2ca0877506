"""All reads of the jobs pages."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Count
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from crm.core import formats, job_kinds, model_words
from crm.core.errors import NotFound
from crm.core.jobs import STALE_AFTER
from crm.core.models import Job
from crm.core.models.jobs import JobState

PER_PAGE = 50
# A log of a long import can hold megabytes; the page shows its end.
LOG_TAIL_LINES = 200
ACTIVE = (JobState.WAITING, JobState.RUNNING)

# Words of the figures that jobs leave in `result`; a figure without a word here is shown under its own name.
RESULT_LABELS = {
    "rows": gettext_lazy("Rows read"),
    "created": pgettext_lazy("rows", "New"),
    "updated": gettext_lazy("Changed"),
    "duplicates": gettext_lazy("Already there"),
    "skipped": gettext_lazy("Left out"),
    "rejected": gettext_lazy("With faults"),
    "errors": gettext_lazy("With faults"),
    "warnings": gettext_lazy("Warnings"),
    "orders": gettext_lazy("Orders"),
    "lines": gettext_lazy("Order lines"),
    "returns": gettext_lazy("Returns"),
    "customers": gettext_lazy("Customers"),
    "products": gettext_lazy("Products"),
    "reviews": gettext_lazy("Reviews"),
    "sent": gettext_lazy("Sent"),
    "failed": gettext_lazy("Failed"),
    "held_out": gettext_lazy("Held out"),
    "audience": gettext_lazy("Audience"),
    "removed": gettext_lazy("Removed"),
    "seconds": gettext_lazy("Seconds"),
    "version": gettext_lazy("Model version"),
    "outcome": gettext_lazy("Outcome"),
    "reason": gettext_lazy("Why"),
    "dry_run": gettext_lazy("Dry run"),
}


@dataclass(frozen=True, slots=True)
class JobLine:
    """One job as lists and its own page show it. share: done of total in 0-1, None while the total is unknown."""

    id: int
    title: str
    kind: str
    kind_label: str
    state: str
    state_label: str
    done: int
    total: int
    share: float | None
    message: str
    created_by: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    seconds: float | None
    is_over: bool
    is_stale: bool
    cancel_requested: bool

    @property
    def percent(self) -> int:
        """Whole per cent for a progress bar; a finished job is full."""
        return 100 if self.state == JobState.DONE else round((self.share or 0) * 100)


@dataclass(frozen=True, slots=True)
class JobsPage:
    jobs: Page  # type: ignore[type-arg]
    lines: list[JobLine]
    filters: list[dict[str, Any]]
    counts: dict[str, int]
    is_filtered: bool

    @property
    def active(self) -> int:
        return sum(self.counts.get(state, 0) for state in ACTIVE)


@dataclass(frozen=True, slots=True)
class JobPage:
    record: Job
    job: JobLine
    rate_per_second: float | None
    remaining_seconds: float | None
    error: str
    log_lines: list[str]
    log_is_cut: bool
    facts: list[tuple[str, str]] = field(default_factory=list)
    errors_name: str = ""
    can_be_cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Ring:
    """The top bar's answer to "is something running?". share: mean progress in 0-1 of those that know their total."""

    active: int
    share: float | None

    @property
    def percent(self) -> int | None:
        return None if self.share is None else round(self.share * 100)


def jobs_page(*, state: str, kind: str, number: str, now: datetime) -> JobsPage:
    """Return the list, newest first. Unknown filters are ignored, an odd page number shows the nearest page. Four queries at most."""
    counts = dict(Job.objects.values_list("state").annotate(n=Count("id")).order_by())
    jobs = Job.objects.select_related("created_by").defer("log", "params", "error").order_by("-created_at", "-id")
    known_kinds = job_kinds.choices()
    state = state if state in JobState.values else ""
    kind = kind if kind in {code for code, _label in known_kinds} else ""
    if state:
        jobs = jobs.filter(state=state)
    if kind:
        jobs = jobs.filter(kind=kind)
    page = Paginator(jobs, PER_PAGE).get_page(number)
    filters = [
        {"name": "state", "label": _("Any state"), "kind": "select", "value": state, "choices": [(code, str(label)) for code, label in JobState.choices]},
        {"name": "kind", "label": _("Any kind"), "kind": "select", "value": kind, "choices": known_kinds},
    ]
    return JobsPage(jobs=page, lines=[_line(job, now) for job in page], filters=filters, counts=counts, is_filtered=bool(state or kind))


def job_page(job_id: int, *, now: datetime) -> JobPage:
    """Return one job with its figures and the end of its log. One query. Raises NotFound."""
    job = Job.objects.select_related("created_by").filter(pk=job_id).first()
    if job is None:
        raise NotFound(_("There is no such job."))
    line = _line(job, now)
    rate = line.done / line.seconds if line.seconds and line.done else None
    remaining = (line.total - line.done) / rate if rate and line.total > line.done and job.state == JobState.RUNNING else None
    log_lines = job.log.splitlines()
    return JobPage(
        record=job,
        job=line,
        rate_per_second=rate,
        remaining_seconds=remaining,
        error=model_words.sentence(job.error),
        log_lines=log_lines[-LOG_TAIL_LINES:],
        log_is_cut=len(log_lines) > LOG_TAIL_LINES,
        facts=[
            (str(RESULT_LABELS.get(name, name)), _told(value))
            for name, value in job.result.items()
            if isinstance(value, (int, float, str, bool)) and value != ""
        ],
        errors_name=Path(job.errors_file.name or "").name if job.errors_file else "",
        can_be_cancelled=not job.is_over and not job.cancel_requested,
    )


def ring() -> Ring:
    """Return what waits or runs now. One query."""
    rows = list(Job.objects.filter(state__in=ACTIVE).values_list("done", "total"))
    shares = [min(done / total, 1.0) for done, total in rows if total]
    return Ring(active=len(rows), share=sum(shares) / len(shares) if shares else None)


def _line(job: Job, now: datetime) -> JobLine:
    end = job.finished_at or now
    return JobLine(
        id=job.pk,
        title=job_kinds.title(job),
        kind=job.kind,
        kind_label=job_kinds.label(job.kind),
        state=job.state,
        state_label=str(JobState(job.state).label),
        done=job.done,
        total=job.total,
        share=min(job.done / job.total, 1.0) if job.total else None,
        message=job.told,
        created_by=str(job.created_by) if job.created_by else "",
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        seconds=max((end - job.started_at).total_seconds(), 0.0) if job.started_at else None,
        is_over=job.is_over,
        is_stale=job.state == JobState.RUNNING and job.heartbeat_at is not None and job.heartbeat_at < now - STALE_AFTER,
        cancel_requested=job.cancel_requested,
    )


def _told(value: float | str | bool) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return value if isinstance(value, str) else formats.number(value)
