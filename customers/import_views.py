"""The import pages: upload, mapping with its dry run, the import and its undo."""

import secrets

from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from crm.core import clock
from crm.core.access.roles import require
from crm.core.models import Source, User
from customers import import_pages, import_tasks
from customers.importing import reading, uploads, work
from customers.importing.plan import prepare
from customers.importing.reading import FileRefused


@require_http_methods(["GET", "POST"])
@require("customers.import")
def start(request: HttpRequest) -> HttpResponse:
    """The upload form; a file that can be read leads to its mapping."""
    if request.method == "GET":
        return render(request, "customers/import.html", {"page": import_pages.start_page()})
    file = request.FILES.get("file")
    if file is None:
        return _refused_start(request, _("Choose a file first."))
    try:
        upload = uploads.keep(chunks=file.chunks(), name=file.name or "", user_id=_user(request).pk)
    except FileRefused as refusal:
        return _refused_start(request, refusal.text)
    try:
        reading.open_table(upload.path)
    except FileRefused as refusal:
        uploads.drop(upload.key)
        return _refused_start(request, refusal.text)
    return HttpResponseRedirect(reverse("customers:import-map", args=[upload.key]))


@require_http_methods(["GET", "POST"])
@require("customers.import")
def columns(request: HttpRequest, key: str) -> HttpResponse:
    """The mapping: GET shows the guess and what it would do, POST tries another one or, with go=import, starts the import."""
    try:
        upload = uploads.find(key)
        if upload.user_id != _user(request).pk:
            raise Http404(_("There is no such upload."))
        form = {name: str(value) for name, value in request.POST.items()}
        refusal = ""
        if form.get("go") == "import":
            try:
                return _begin(request, upload, form)
            except FileRefused as refused:
                refusal = refused.text
        page = import_pages.map_page(upload=upload, form=form, at=clock.now(), refusal=refusal)
    except FileRefused as refusal_of_file:
        return _refused_start(request, refusal_of_file.text)
    return render(request, "customers/import_map.html", {"page": page}, status=422 if page.refusal else 200)


@require_GET
@require("customers.import")
def job(request: HttpRequest, job_id: int) -> HttpResponse:
    """How one import goes or went, its faults, and the way back."""
    page = import_pages.job_page(job_id=job_id)
    return render(request, "customers/import_job.html", {"page": page})


@require_POST
@require("customers.import")
def undo(request: HttpRequest, job_id: int) -> HttpResponse:
    """Take an import back."""
    try:
        undone = work.take_back(job_id=job_id, by=_user(request), at=clock.now())
        messages.success(request, _("Taken back: %(orders)s orders, %(customers)s customers.") % {"orders": undone.orders, "customers": undone.customers})
    except work.NotAnImport:
        messages.error(request, _("This import cannot be taken back while it runs, or was taken back already."))
    return HttpResponseRedirect(reverse("customers:import-job", args=[job_id]))


def _begin(request: HttpRequest, upload: uploads.Upload, form: dict[str, str]) -> HttpResponse:
    options = import_pages.chosen_options(form, upload)
    prepare(path=upload.path, options=options, at=clock.now())
    name = form.get("new_source", "").strip()[:100]
    with transaction.atomic():
        if name:
            source, _made = Source.objects.get_or_create(
                name=name,
                defaults={
                    "write_key": f"wk_{secrets.token_urlsafe(24)}",
                    "identity_secret": secrets.token_urlsafe(32),
                    "currency": options.currency or settings.CRM_CURRENCY,
                },
            )
        else:
            chosen = form.get("source", "")
            found = Source.objects.filter(pk=int(chosen)).first() if chosen.isdigit() and len(chosen) < 18 else None
            if found is None:
                raise FileRefused(_("Choose the shop these orders belong to."))
            source = found
        started = work.start(source=source, options=options, title=_("Import %(file)s") % {"file": upload.name}, by=_user(request), upload=upload)
        transaction.on_commit(lambda: import_tasks.enqueue(started))
    return HttpResponseRedirect(reverse("customers:import-job", args=[started.pk]))


def _refused_start(request: HttpRequest, refusal: str) -> HttpResponse:
    return render(request, "customers/import.html", {"page": import_pages.start_page(refusal=refusal)}, status=422)


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101 - require() lets staff only through
    return request.user
