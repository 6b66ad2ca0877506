"""Doors of the customer pages: permission, one call down, one template."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db import IntegrityError, transaction
from django.db.models import F, Func, Value
from django.http import HttpResponse, HttpResponseBadRequest, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import trigger_client_event

from crm.core import audit, clock
from crm.core.access.roles import require
from crm.core.errors import CrmError
from crm.core.http import wants_part
from crm.core.models import SavedView
from customers import consent, listing, pages, person_pages, records, timeline
from customers.forms import CustomerForm, TagForm, ViewForm
from customers.listing import Filters
from customers.models import Customer

# Staff requests carry a User here; visitors never get past `require`.
StaffRequest = Any


@require_GET
@require("customers.view")
def index(request: StaffRequest) -> HttpResponse:
    """The list; a filter click swaps only the results."""
    page = pages.customers_page(params=request.GET, viewer=request.user, at=clock.now())
    return render(request, "customers/list.html#results" if wants_part(request) else "customers/list.html", {"page": page})


@require_GET
@require("customers.export")
def export(request: StaffRequest) -> HttpResponse:
    """The filtered list as a CSV file."""
    filters = Filters.read(request.GET)
    content = listing.as_csv(filters.queryset(at=clock.now()))
    audit.record(actor=request.user, action="customer.export", data={"query": filters.as_query(), "rows": content.count("\r\n") - 1})
    response = HttpResponse(content, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="customers-{clock.now():%Y-%m-%d}.csv"'
    return response


@require_POST
@require("customers.edit")
def bulk(request: StaffRequest) -> HttpResponse:
    """Add a tag to the ticked customers, or to everyone the filters match, on screen or not."""
    query = QueryDict(request.POST.get("query", ""))
    back = f"{reverse('customers:list')}{'?' + query.urlencode() if query else ''}"
    form = TagForm(request.POST)
    if not form.is_valid():
        messages.error(request, " ".join(str(error) for error in form.errors.get("tag", [])))
        return HttpResponseRedirect(back)
    people = Filters.read(query).queryset(at=clock.now()).order_by()
    if request.POST.get("scope") != "all":
        people = people.filter(pk__in=[int(each) for each in request.POST.getlist("customer") if each.isdecimal() and len(each) <= 18])
    tag = form.cleaned_data["tag"]
    # The set is fixed by id first: a filter on tags must not see its own change half way.
    lacking = Customer.objects.filter(pk__in=people.values("pk")).exclude(tags__contains=[tag])
    with transaction.atomic():
        changed = lacking.update(tags=Func(F("tags"), Value(tag), function="array_append"), version=F("version") + 1, updated_at=clock.now())
        audit.record(actor=request.user, action="customer.tag", data={"tag": tag, "customers": changed, "query": query.urlencode()})
    pages.forget_facets()
    messages.success(
        request, ngettext("“%(tag)s” added to %(count)s customer.", "“%(tag)s” added to %(count)s customers.", changed) % {"tag": tag, "count": changed}
    )
    return HttpResponseRedirect(back)


@require_GET
@require("customers.view")
def detail(request: StaffRequest, customer_id: int) -> HttpResponse:
    """One person; somebody merged away leads to who they are now."""
    customer = person_pages.find_customer(customer_id)
    if customer.merged_into_id:
        return HttpResponseRedirect(reverse("customers:detail", args=[customer.merged_into_id]))
    page = person_pages.person_page(customer=customer, viewer=request.user, at=clock.now())
    return render(request, "customers/detail.html", {"page": page, "tag_form": TagForm()})


@require_GET
@require("customers.view")
def history(request: StaffRequest, customer_id: int) -> HttpResponse:
    """A stretch of the timeline: the newest, or what came before `before`."""
    customer = person_pages.find_customer(customer_id)
    # A "+" of the offset arrives as a blank where a link was retyped.
    given = request.GET.get("before", "").replace(" ", "+")
    try:
        before = parse_datetime(given) if given else None
    except ValueError:
        before = None
    if given and (before is None or before.tzinfo is None):
        return HttpResponseBadRequest(_("“before” is not a moment."))
    page = person_pages.timeline_page(
        customer=customer, before=before or clock.now() + timeline.JUST_AFTER, kind=request.GET.get("kind", ""), is_first=before is None
    )
    part = "customers/timeline.html#history" if before is None else "customers/timeline.html#entries"
    return render(request, part if wants_part(request) else "customers/timeline.html", {"page": page})


@require_http_methods(["GET", "POST"])
@require("customers.edit")
def edit(request: StaffRequest, customer_id: int) -> HttpResponse:
    """Change who the person is, in place with scripts and on a page of its own without."""
    customer = person_pages.find_customer(customer_id)
    form = CustomerForm(request.POST or None, instance=customer)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                _save(request, customer_id, form)
            except CrmError as error:
                form.add_error("email" if error.code == "email_taken" else None, error.text)
            else:
                if not wants_part(request):
                    messages.success(request, _("Saved."))
                    return HttpResponseRedirect(reverse("customers:detail", args=[customer_id]))
                page = person_pages.person_page(customer=person_pages.find_customer(customer_id), viewer=request.user, at=clock.now())
                response = render(request, "customers/detail.html#who", {"page": page})
                return trigger_client_event(response, "toast", {"message": _("Saved."), "tone": "success"})
    name = "customers/edit.html#form" if wants_part(request) else "customers/edit.html"
    return render(request, name, {"form": form, "customer": customer}, status=status)


def _save(request: StaffRequest, customer_id: int, form: CustomerForm) -> None:
    changed = list(form.changed_data)
    with transaction.atomic():
        customer = records.change(customer_id=customer_id, values={name: form.cleaned_data[name] for name in changed}, at=clock.now())
        audit.record(actor=request.user, action="customer.change", target=customer, data={"fields": changed})


@require_GET
@require("customers.view")
def who(request: StaffRequest, customer_id: int) -> HttpResponse:
    """The identity card alone: what Cancel brings back."""
    page = person_pages.person_page(customer=person_pages.find_customer(customer_id), viewer=request.user, at=clock.now())
    if not wants_part(request):
        return HttpResponseRedirect(reverse("customers:detail", args=[customer_id]))
    return render(request, "customers/detail.html#who", {"page": page})


@require_POST
@require("customers.edit")
def tags(request: StaffRequest, customer_id: int) -> HttpResponse:
    """Add the tag of the form, or take one away (`remove`)."""
    customer = person_pages.find_customer(customer_id)
    form, removed = TagForm(request.POST), request.POST.get("remove", "")
    status = 200
    if removed and removed in customer.tags:
        _set_tags(request, customer, [tag for tag in customer.tags if tag != removed], removed=removed)
        form = TagForm()
    elif removed:
        form = TagForm()
    elif not form.is_valid():
        status = 422
    else:
        tag = form.cleaned_data["tag"]
        if tag not in customer.tags:
            _set_tags(request, customer, [*customer.tags, tag], added=tag)
        form = TagForm()
    if not wants_part(request):
        return HttpResponseRedirect(reverse("customers:detail", args=[customer_id]))
    page = person_pages.person_page(customer=person_pages.find_customer(customer_id), viewer=request.user, at=clock.now())
    return render(request, "customers/detail.html#tags", {"page": page, "tag_form": form}, status=status)


def _set_tags(request: StaffRequest, customer: Customer, values: list[str], **data: object) -> None:
    with transaction.atomic():
        records.change(customer_id=customer.pk, values={"tags": values}, at=clock.now())
        audit.record(actor=request.user, action="customer.tag", target=customer, data=data)
    pages.forget_facets()


@require_POST
@require("customers.edit")
def consents(request: StaffRequest, customer_id: int) -> HttpResponse:
    """Write down that the person allowed or withdrew marketing on a channel; the ledger keeps who wrote it."""
    customer = person_pages.find_customer(customer_id)
    channel, state = request.POST.get("channel", ""), request.POST.get("state", "")
    if channel not in person_pages.CONSENT_CHANNELS or state not in {"granted", "withdrawn"}:
        return HttpResponseBadRequest(_("Choose a channel and an answer."))
    said: dict[str, Any] = {"customer_id": customer.pk, "channel": channel, "origin": "staff", "at": clock.now(), "proof": request.POST.get("proof", "")[:300]}
    with transaction.atomic():
        if state == "granted":
            consent.grant(**said)
        else:
            consent.withdraw(**said, cause="staff")
        audit.record(actor=request.user, action=f"consent.{state}", target=customer, data={"channel": channel})
    if not wants_part(request):
        return HttpResponseRedirect(reverse("customers:detail", args=[customer_id]))
    page = person_pages.person_page(customer=customer, viewer=request.user, at=clock.now())
    return render(request, "customers/detail.html#consents", {"page": page})


@require_POST
@require("views.save")
def save_view(request: StaffRequest) -> HttpResponse:
    """Remember the list as it is filtered now, under a name of one's own."""
    query = Filters.read(QueryDict(request.POST.get("query", ""))).as_query()
    form = ViewForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Give the view a name of at most 60 letters."))
        return HttpResponseRedirect(f"{reverse('customers:list')}?{query}")
    try:
        with transaction.atomic():
            view = SavedView.objects.create(
                page=pages.LIST, name=form.cleaned_data["name"], query=query, owner=request.user, is_shared=form.cleaned_data["is_shared"]
            )
            audit.record(actor=request.user, action="view.save", target=view, data={"shared": view.is_shared})
    except IntegrityError:
        messages.error(request, _("You already have a view of that name."))
        return HttpResponseRedirect(f"{reverse('customers:list')}?{query}")
    messages.success(request, _("View saved."))
    return HttpResponseRedirect(_view_url(view))


@require_POST
@require("views.save")
def update_view(request: StaffRequest, view_id: int) -> HttpResponse:
    """Have one's own view remember the present filters; a shared one changes for everyone."""
    view = get_object_or_404(SavedView, pk=view_id, page=pages.LIST, owner=request.user)
    view.query = Filters.read(QueryDict(request.POST.get("query", ""))).as_query()
    view.save(update_fields=["query"])
    audit.record(actor=request.user, action="view.change", target=view)
    messages.success(request, _("View changed."))
    return HttpResponseRedirect(_view_url(view))


@require_POST
@require("views.save")
def delete_view(request: StaffRequest, view_id: int) -> HttpResponse:
    view = get_object_or_404(SavedView, pk=view_id, page=pages.LIST, owner=request.user)
    audit.record(actor=request.user, action="view.delete", target=view, data={"query": view.query, "shared": view.is_shared})
    view.delete()
    messages.success(request, _("View deleted."))
    return HttpResponseRedirect(reverse("customers:list"))


def _view_url(view: SavedView) -> str:
    return f"{reverse('customers:list')}?{view.query + '&' if view.query else ''}view={view.pk}"
