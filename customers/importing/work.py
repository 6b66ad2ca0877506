"""An import as a job: started, carried out with progress, taken back; the same for the page and the command."""

import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from django.core.files import File
from django.db import transaction
from django.utils.translation import gettext, gettext_noop

from crm.core import audit, jobs
from crm.core.errors import CrmError
from crm.core.jobs import JobCancelled
from crm.core.models import Job, Source, User
from crm.core.models.jobs import JobState
from crm.core.outage import is_outage
from customers.importing import run, undo, uploads
from customers.importing.plan import Options, prepare
from customers.importing.reading import FileRefused
from customers.importing.run import ImportReport
from customers.importing.undo import Undone
from customers.importing.uploads import Upload

logger = logging.getLogger(__name__)

KIND = "import"
STAGES = {"reading": gettext_noop("Reading rows"), "storing": gettext_noop("Storing orders")}
Report = Callable[[int, int, str], None]


class NotAnImport(CrmError):
    code = "not_an_import"
    status = 409
    message = gettext_noop("This import cannot be taken back while it runs, or was taken back already.")


def start(*, source: Source, options: Options, title: str, by: User | None, upload: Upload | None = None, path: Path | None = None) -> Job:
    """Return the waiting job of an import; the caller enqueues or carries it out."""
    params: dict[str, object] = {"source_id": source.pk, "options": options.as_json(), "upload": upload.key if upload else "", "path": str(path or "")}
    with transaction.atomic():
        job = jobs.start(kind=KIND, title=title, created_by=by, params=params)
        audit.record(actor=by, action="import.start", target=job, data={"source": source.name, "preset": options.preset})
    return job


def carry_out(*, job_id: int, at: datetime, tell: Report | None = None) -> ImportReport | None:
    """Do the import of a job; None when it is over, cancelled or under way elsewhere. Safe to call again after a crash.

    Faults of the file end the job as failed with words for a person, and so does a bug of ours: repeating it would not
    help. A lost database is raised, so that the sweeper hands the job to another worker.
    """
    if not jobs.begin(job_id, at=at):
        return None
    job = Job.objects.get(pk=job_id)
    source = Source.objects.get(pk=job.params["source_id"])

    def progress(done: int, total: int, stage: str) -> None:
        if tell is not None:
            tell(done, total, stage)
        jobs.progress(job_id, done, total, gettext(STAGES.get(stage, stage)))

    def keep_faults(path: Path) -> None:
        with path.open("rb") as file:
            job.errors_file.save(f"import-{job_id}-faults.csv", File(file), save=False)
        Job.objects.filter(pk=job_id).update(errors_file=job.errors_file.name)

    try:
        plan = prepare(path=_path(job), options=Options.from_json(job.params["options"]), at=at)
        report = run.run(plan, source_id=source.pk, currency=source.currency, job_id=job_id, at=at, progress=progress, keep_faults=keep_faults)
    except JobCancelled:
        jobs.mark_cancelled(job_id, message=gettext("Stopped. What was stored stays until you take it back."))
        return None
    except CrmError as error:
        jobs.fail(job_id, error=error.text)
        return None
    except Exception as error:
        if is_outage(error):
            raise
        logger.exception("import failed", extra={"job": job_id})
        jobs.fail(job_id, error=gettext("Something failed on our side; it has been logged. What was stored stays until you take it back."))
        return None
    jobs.finish(job_id, result=result_of(report))
    uploads.drop(str(job.params.get("upload", "")))
    return report


def take_back(*, job_id: int, by: User | None, at: datetime) -> Undone:
    """Undo a finished, failed or cancelled import and note it on the job. Raises NotAnImport."""
    with transaction.atomic():
        job = Job.objects.select_for_update().filter(pk=job_id, kind=KIND).first()
        if job is None or job.state not in {JobState.DONE, JobState.FAILED, JobState.CANCELLED} or job.result.get("undone_at"):
            raise NotAnImport
        undone = undo.undo(job_id=job_id, at=at)
        counts = {"orders": undone.orders, "returns": undone.returns, "customers": undone.customers, "products": undone.products, "consents": undone.consents}
        job.result = {**job.result, "undone_at": at.isoformat(), "undone": counts}
        job.save(update_fields=["result"])
        audit.record(actor=by, action="import.undo", target=job, data=dict(counts))
    return undone


def result_of(report: ImportReport) -> dict[str, object]:
    """Return the figures a job keeps; the reasons are for the page."""
    return {
        "rows": report.rows,
        "orders": report.orders_new,
        "lines": report.lines_new,
        "returns": report.returns_new,
        "customers": report.customers_new,
        "products": report.products_new,
        "duplicates": report.orders - report.orders_new + report.returns - report.returns_new,
        "rejected": report.faulty_rows,
        "skipped": report.left_out_rows,
        "reasons": [
            {"column": item.column, "reason": item.reason, "count": item.count, "line": item.first_line, "value": item.value} for item in report.reasons[:20]
        ],
    }


def _path(job: Job) -> Path:
    key, path = str(job.params.get("upload", "")), str(job.params.get("path", ""))
    if key:
        return uploads.find(key).path
    if not path:
        raise FileRefused("The job names no file.")
    return Path(path)
