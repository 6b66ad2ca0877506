"""Doors of the segment pages."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.db.models import ProtectedError
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from crm.core import audit, clock
from crm.core.access.roles import require
from crm.core.http import wants_part
from customers import segment_pages
from customers.forms import SegmentForm
from customers.models import Segment
from customers.segmentation import draft, membership, tree
from customers.segmentation.overlap import overlaps

StaffRequest = Any


@require_GET
@require("segments.view")
def index(request: StaffRequest) -> HttpResponse:
    return render(request, "segments/list.html", {"page": segment_pages.segments_page(at=clock.now())})


@require_GET
@require("segments.view")
def detail(request: StaffRequest, segment_id: int) -> HttpResponse:
    page = segment_pages.segment_page(segment=segment_pages.find_segment(segment_id), number=request.GET.get("page"), viewer=request.user, at=clock.now())
    return render(request, "segments/detail.html#members" if wants_part(request) else "segments/detail.html", {"page": page})


@require_GET
@require("segments.view")
def overlap(request: StaffRequest, segment_id: int) -> HttpResponse:
    """The panel about other segments that hold the same people."""
    return render(request, "segments/overlap.html", {"page": overlaps(segment=segment_pages.find_segment(segment_id))})


@require_http_methods(["GET", "POST"])
@require("segments.edit")
def new(request: StaffRequest) -> HttpResponse:
    """The builder, empty, from a template, or from another segment."""
    if request.method == "POST":
        return _posted(request, None)
    branch, names = segment_pages.first_draft(request.GET)
    return _builder(request, None, branch, SegmentForm(initial=names))


@require_http_methods(["GET", "POST"])
@require("segments.edit")
def edit(request: StaffRequest, segment_id: int) -> HttpResponse:
    segment = segment_pages.find_segment(segment_id)
    if request.method == "POST":
        return _posted(request, segment)
    return _builder(request, segment, draft.of(segment.rule), SegmentForm(instance=segment))


@require_POST
@require("segments.view")
def preview(request: StaffRequest) -> HttpResponse:
    """The live panel alone, for the rule as it is typed; 400 with the reason when it cannot be asked yet."""
    page = segment_pages.builder_page(segment=None, branch=draft.read(request.POST), at=clock.now())
    return render(request, "segments/builder.html#live", {"page": page}, status=400 if page.preview.error else 200)


@require_POST
@require("segments.edit")
def delete(request: StaffRequest, segment_id: int) -> HttpResponse:
    segment = segment_pages.find_segment(segment_id)
    try:
        with transaction.atomic():
            audit.record(actor=request.user, action="segment.delete", target=segment, data={"rule": segment.rule})
            segment.delete()
    except ProtectedError:
        messages.error(request, _("A campaign uses this segment; it cannot be deleted."))
        return HttpResponseRedirect(reverse("segments:detail", args=[segment_id]))
    messages.success(request, _("Segment deleted."))
    return HttpResponseRedirect(reverse("segments:list"))


def _posted(request: StaffRequest, segment: Segment | None) -> HttpResponse:
    """Carry out a button of the builder: change the draft, preview it, or save it."""
    branch, action = draft.read(request.POST), request.POST.get("do", "preview")
    if action != "save":
        return _builder(request, segment, draft.act(branch, action), SegmentForm(initial=request.POST.dict()))
    # An instance given to the form would already carry the new name when the audit reads the old one.
    form = SegmentForm(request.POST, instance=Segment.objects.get(pk=segment.pk) if segment else None)
    try:
        rule = tree.parse(draft.data(branch))
    except tree.RuleInvalid as error:
        return _builder(request, segment, branch, form, error=error, status=400)
    if not form.is_valid():
        return _builder(request, segment, branch, form, status=422)
    saved = _save(request, form, rule, segment)
    messages.success(request, _("Segment saved."))
    return HttpResponseRedirect(reverse("segments:detail", args=[saved.pk]))


def _save(request: StaffRequest, form: SegmentForm, rule: tree.Group, before: Segment | None) -> Segment:
    with transaction.atomic():
        segment: Segment = form.save(commit=False)
        segment.rule = rule.as_data()
        if before is None:
            segment.created_by = request.user
        else:
            segment.version = before.version + 1
        segment.save()
        audit.record(
            actor=request.user,
            action="segment.change" if before else "segment.create",
            target=segment,
            data={"rule": segment.rule} | ({"before": before.rule} if before else {}),
        )
        membership.refresh(segment_id=segment.pk, at=clock.now(), cause="staff")
    return segment


def _builder(
    request: StaffRequest, segment: Segment | None, branch: draft.Branch, form: SegmentForm, *, error: tree.RuleInvalid | None = None, status: int = 200
) -> HttpResponse:
    page = segment_pages.builder_page(segment=segment, branch=branch, at=clock.now(), error=error)
    return render(request, "segments/builder.html#builder" if wants_part(request) else "segments/builder.html", {"page": page, "form": form}, status=status)
