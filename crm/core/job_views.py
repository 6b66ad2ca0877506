"""Pages of long work: the list, one job, its cancel button, its errors file, the ring in the top bar."""

from pathlib import Path

from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from crm.core import audit, clock, job_pages, jobs
from crm.core.access.roles import require
from crm.core.http import wants_part
from crm.core.models import Job


@require_GET
@require("jobs.view")
def index(request: HttpRequest) -> HttpResponse:
    """All jobs, newest first, filtered by state and kind in the URL."""
    page = job_pages.jobs_page(state=request.GET.get("state", ""), kind=request.GET.get("kind", ""), number=request.GET.get("page", "1"), now=clock.now())
    template = "jobs/list.html#results" if wants_part(request) else "jobs/list.html"
    return render(request, template, {"page": page})


@require_GET
@require("jobs.view")
def detail(request: HttpRequest, job_id: int) -> HttpResponse:
    """One job; while it runs the page asks for its `progress` part again every two seconds."""
    page = job_pages.job_page(job_id, now=clock.now())
    template = "jobs/detail.html#progress" if wants_part(request) else "jobs/detail.html"
    return render(request, template, {"page": page})


@require_POST
@require("jobs.cancel")
def cancel(request: HttpRequest, job_id: int) -> HttpResponse:
    """Ask a job to stop; asking one that is over changes nothing."""
    job = Job.objects.filter(pk=job_id).first()
    if job is None:
        raise Http404(_("There is no such job."))
    if jobs.request_cancel(job_id):
        audit.record(actor=request.user, action="job.cancel", target=job)  # type: ignore[arg-type]
    return HttpResponseRedirect(reverse("core:job", args=[job_id]))


@require_GET
@require("customers.import")
def errors_file(request: HttpRequest, job_id: int) -> HttpResponseBase:
    """The rows that did not go in, as the file the job wrote."""
    job = Job.objects.filter(pk=job_id).first()
    if job is None or not job.errors_file:
        raise Http404(_("This job has no errors file."))
    try:
        stored = job.errors_file.open("rb")
    except FileNotFoundError as missing:
        raise Http404(_("The errors file of this job is no longer there.")) from missing
    return FileResponse(stored, as_attachment=True, filename=Path(job.errors_file.name or "").name)


@require_GET
@require("jobs.view")
def ring(request: HttpRequest) -> HttpResponse:
    """The top bar's running-jobs link."""
    page = job_pages.ring()
    return render(request, "components/jobs_ring.html", {"running": page.active, "share": page.percent})
