"""Doors of the pages about the assistant: thresholds, labelling, how it does."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from crm.core import clock
from crm.core.access.roles import may, require
from crm.core.errors import CrmError, NotFound
from crm.core.http import wants_part
from crm.core.learning import modelstore
from support import assistant_pages, clusters, labelling, labels, policy
from support.policy import Thresholds


@require("support.view")
@require_GET
@never_cache
def thresholds(request: HttpRequest) -> HttpResponse:
    page = assistant_pages.thresholds_page(given={name: request.GET.get(name, "") for name in ("answer", "clarify", "scope")})
    return render(request, "support/thresholds.html#outcome" if wants_part(request) else "support/thresholds.html", {"page": page})


@require("support.policy")
@require_POST
def choose_thresholds(request: HttpRequest) -> HttpResponse:
    """Let the posted thresholds decide for the version the page showed."""
    version = modelstore.champion(policy.TASK)
    given = request.POST.get("version", "")
    if version is None or given != str(version.version):
        messages.error(request, _("Another version of the model serves by now; look at its figures first."))
        return redirect("assistant:thresholds")
    try:
        chosen = Thresholds(*(float(request.POST.get(name, "")) for name in ("answer", "clarify", "scope")))
        policy.choose(version=version.version, thresholds=chosen, by=request.user, now=clock.now())
    except ValueError:
        messages.error(request, _(policy.ThresholdBad.message))
    except CrmError as error:
        messages.error(request, _(error.text))
    else:
        messages.success(request, _("These thresholds decide from now on."))
    return redirect("assistant:thresholds")


@require("support.view")
@require_GET
@never_cache
def label_next(request: HttpRequest) -> HttpResponse:
    page = assistant_pages.labelling_page(viewer=request.user, now=clock.now(), can_label=may(request.user, "support.label"))
    return render(request, "support/labelling.html#card" if wants_part(request) else "support/labelling.html", {"page": page})


@require("support.label")
@require_POST
def label(request: HttpRequest, message_id: int) -> HttpResponse:
    """Label or skip the message, then show the next."""
    try:
        if request.POST.get("label") == "skip":
            labelling.skip(message_id=message_id, by=request.user, now=clock.now())
        else:
            if not labelling.may_label(viewer=request.user, message_id=message_id):
                raise labels.MessageMissing
            labels.label(message_id=message_id, label=request.POST.get("label", ""), by=request.user, now=clock.now())
    except CrmError as error:
        messages.error(request, _(error.text))
    if wants_part(request):
        page = assistant_pages.labelling_page(viewer=request.user, now=clock.now(), can_label=True)
        return render(request, "support/labelling.html#card", {"page": page})
    return redirect("assistant:labelling")


@require("support.view")
@require_GET
@never_cache
def learning(request: HttpRequest) -> HttpResponse:
    return render(request, "support/learning.html", {"page": assistant_pages.learning_page(viewer=request.user, now=clock.now())})


@require("support.label")
@require_POST
def find_groups(request: HttpRequest) -> HttpResponse:
    """Look for groups of unanswered questions now, in a worker."""
    from support.tasks import find_question_groups

    find_question_groups.delay()
    messages.success(request, _("Looking for groups of questions; reload this page in a minute."))
    return redirect("assistant:learning")


@require("support.label")
@require_POST
def settle_group(request: HttpRequest, cluster_id: int) -> HttpResponse:
    """Take the group up as an intent, or dismiss it."""
    try:
        if request.POST.get("action") == "dismiss":
            clusters.dismiss(cluster_id=cluster_id, by=request.user)
            messages.success(request, _("Dismissed."))
        else:
            number = clusters.take_up(cluster_id=cluster_id, intent=request.POST.get("intent", ""), by=request.user, now=clock.now())
            messages.success(
                request,
                ngettext("%(n)s message labelled. The next training learns it.", "%(n)s messages labelled. The next training learns them.", number)
                % {"n": number},
            )
    except NotFound as error:
        messages.error(request, _(error.text))
    except CrmError as error:
        messages.error(request, _(error.text))
    return redirect("assistant:learning")
