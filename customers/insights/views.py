"""Doors of the insight pages."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from crm.core import clock
from crm.core.access.roles import require
from crm.core.errors import CrmError
from customers.insights import pages, segments, sheets

StaffRequest = Any


@require_GET
@require("insights.view")
def index(_request: HttpRequest) -> HttpResponse:
    """The first page of the insights."""
    return HttpResponseRedirect(reverse("insights:page", args=["retention"]))


@require_GET
@require("insights.view")
def page(request: HttpRequest, name: str) -> HttpResponse:
    """One page, or with `?csv=` one of its figures as a file."""
    try:
        shown = pages.insight_page(name=name, params=request.GET, at=clock.now())
    except KeyError:
        raise Http404(_("There is no such page.")) from None
    if wanted := request.GET.get("csv"):
        return _file(shown, wanted)
    return render(request, "insights/page.html", {"page": shown})


@require_POST
@require("segments.edit")
def make_segment(request: StaffRequest) -> HttpResponse:
    """Make a segment of what is seen in a figure and open it."""
    try:
        segment = segments.make(key=request.POST.get("offer", ""), actor=request.user, at=clock.now())
    except CrmError as refused:
        return HttpResponse(refused.text, status=refused.status)
    messages.success(request, _("Segment “%(name)s” made; it follows its rule from now on.") % {"name": segment.name})
    return HttpResponseRedirect(reverse("segments:detail", args=[segment.pk]))


def _file(shown: pages.InsightPage, wanted: str) -> HttpResponse:
    sheet = next((each for each in shown.sheets if each.name == wanted), None)
    if sheet is None:
        raise Http404(_("There is no such figure."))
    response = HttpResponse(sheets.as_csv(sheet), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{shown.name}-{sheet.name}-{clock.now():%Y-%m-%d}.csv"'
    return response
