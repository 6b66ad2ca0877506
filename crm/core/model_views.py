"""Pages of the trained models, and the buttons that retrain, promote and roll back."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from crm.core import audit, clock, model_pages, tasks
from crm.core.access.roles import require
from crm.core.errors import CrmError
from crm.core.events import publish
from crm.core.learning import modelstore, registry
from crm.core.learning.events import ModelSwitched
from crm.core.learning.registry import TaskUnknown
from crm.core.models import ModelVersion


@require_GET
@require("models.view")
def index(request: HttpRequest) -> HttpResponse:
    """Every model with what serves and how good it is."""
    return render(request, "models/list.html", {"page": model_pages.models_page(at=clock.now())})


@require_GET
@require("models.view")
def detail(request: HttpRequest, name: str) -> HttpResponse:
    """One model's card: purpose, figures, history, log."""
    try:
        page = model_pages.model_page(name, at=clock.now())
    except TaskUnknown as unknown:
        raise Http404(unknown.text) from unknown
    return render(request, "models/detail.html", {"page": page})


@require_POST
@require("models.retrain")
def retrain(request: HttpRequest, name: str) -> HttpResponse:
    """Start training as a job; the job already under way is shown instead of a second one."""
    try:
        job = tasks.start_training(name=name, by=request.user, force=request.POST.get("force") == "1")  # type: ignore[arg-type]
    except TaskUnknown as unknown:
        raise Http404(unknown.text) from unknown
    audit.record(actor=request.user, action="model.retrain", target=job, data={"task": name})  # type: ignore[arg-type]
    return HttpResponseRedirect(reverse("core:job", args=[job.pk]))


@require_POST
@require("models.promote")
def promote(request: HttpRequest, name: str, version: int) -> HttpResponse:
    """Put this version into service; its files are verified first."""
    row = ModelVersion.objects.filter(task=name, version=version).first()
    if row is None:
        raise Http404(_("There is no such version."))
    try:
        serving = modelstore.promote(row.pk, actor=request.user, at=clock.now())  # type: ignore[arg-type]
    except CrmError as refused:
        messages.error(request, _("Version %(n)s cannot serve: %(why)s") % {"n": version, "why": refused.text})
    else:
        publish(ModelSwitched(task=name, version=serving.version, at=clock.now(), cause="staff"))
        messages.success(request, _("Version %(n)s serves now.") % {"n": serving.version})
    return HttpResponseRedirect(reverse("core:model", args=[name]))


@require_POST
@require("models.promote")
def roll_back(request: HttpRequest, name: str) -> HttpResponse:
    """Put the version that served before into service again."""
    try:
        registry.task_named(name)
        serving = modelstore.roll_back(name, actor=request.user, at=clock.now())  # type: ignore[arg-type]
    except TaskUnknown as unknown:
        raise Http404(unknown.text) from unknown
    except CrmError as refused:
        messages.error(request, _("Nothing was changed: %(why)s") % {"why": refused.text})
    else:
        publish(ModelSwitched(task=name, version=serving.version, at=clock.now(), cause="staff"))
        messages.success(request, _("Version %(n)s serves again.") % {"n": serving.version})
    return HttpResponseRedirect(reverse("core:model", args=[name]))
