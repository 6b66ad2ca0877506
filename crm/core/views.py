"""Pages of the kernel that belong to no app: search, and the button that takes the demo shop away."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from crm.core import audit, jobs, search, tasks
from crm.core.access.roles import permissions_of, require
from crm.core.demo_flag import demo_present
from crm.core.http import wants_part
from crm.core.models import Job
from crm.core.models.jobs import JobState

QUICK_HITS = 5
PAGE_HITS = 25


@require_GET
@require("home.view")
def search_page(request: HttpRequest) -> HttpResponse:
    """Hits for `q`: the full page, or the short list under the search box while a person types."""
    is_quick = wants_part(request)
    page = search.find(
        query=request.GET.get("q", ""), viewer=request.user, permissions=permissions_of(request.user), limit=QUICK_HITS if is_quick else PAGE_HITS
    )
    return render(request, "search.html#hits" if is_quick else "search.html", {"page": page, "is_quick": is_quick})


@require_POST
@require("demo.remove")
def remove_demo(request: HttpRequest) -> HttpResponse:
    """Start the job that removes the demo shop; a second click finds the job already running."""
    running = Job.objects.filter(kind=tasks.REMOVE_DEMO, state__in=(JobState.WAITING, JobState.RUNNING)).order_by("-id").first()
    if running is None:
        if not demo_present():
            messages.info(request, _("There is no demo data here."))
            return HttpResponseRedirect(reverse("home"))
        running = jobs.start(kind=tasks.REMOVE_DEMO, title=_("Remove the demo shop"), created_by=request.user)  # type: ignore[arg-type]
        audit.record(actor=request.user, action="demo.remove", target=running)  # type: ignore[arg-type]
        tasks.enqueue_demo_removal(running)
    return HttpResponseRedirect(reverse("core:job", args=[running.pk]))
