"""Doors of the portrait: answers to it, and the right not to be profiled."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse, HttpResponseBadRequest, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST
from django_htmx.http import trigger_client_event

from crm.core import clock
from crm.core.access.roles import require
from crm.core.errors import CrmError
from crm.core.http import wants_part
from customers import person_pages, tasks
from customers.portrayal import feedback, profiling
from customers.portrayal.card import answerable

StaffRequest = Any


@require_POST
@require("portraits.answer")
def answer(request: StaffRequest, customer_id: int) -> HttpResponse:
    """Say whether one statement of the portrait is right, add why not, or take the answer back."""
    customer, at = person_pages.find_customer(customer_id), clock.now()
    page = person_pages.person_page(customer=customer, viewer=request.user, at=at)
    if page.portrait is None:
        return HttpResponseBadRequest(_("This customer has no portrait."))
    known = answerable(page.portrait)
    # "right stage", "wrong churn.silence_days", or "- stage" to take the answer back: one button carries both.
    verdict, _blank, statement = request.POST.get("answer", "").partition(" ")
    try:
        if verdict == "-":
            feedback.withdraw(customer=customer, statement=statement, user=request.user)
        else:
            note = request.POST.get("note", "")
            feedback.answer(
                customer=customer, statement=statement, verdict=verdict, note=note, said=known.get(statement, {}), known=known, user=request.user, at=at
            )
    except CrmError as refused:
        return HttpResponse(refused.text, status=refused.status)
    except ValueError:
        return HttpResponseBadRequest(_("Choose an answer."))
    if not wants_part(request):
        messages.success(request, _("Thank you, the answer is kept."))
        return HttpResponseRedirect(f"{reverse('customers:detail', args=[customer_id])}#portrait")
    page = person_pages.person_page(customer=customer, viewer=request.user, at=at)
    response = render(request, "customers/portrait.html", {"page": page})
    return trigger_client_event(response, "announce", {"value": _("Thank you, the answer is kept.") if verdict != "-" else _("Your answer was taken back.")})


@require_POST
@require("customers.edit")
def profile(request: StaffRequest, customer_id: int) -> HttpResponse:
    """Write down that the person refuses to be profiled, or agrees again."""
    customer, wish = person_pages.find_customer(customer_id), request.POST.get("wish", "")
    said: dict[str, Any] = {"customer_id": customer.pk, "actor": request.user, "at": clock.now(), "proof": request.POST.get("proof", "")[:300]}
    if wish == "refuse":
        profiling.refuse(**said)
        messages.success(request, _("Written down. Every score of this customer is deleted, and no model looks at them any more."))
    elif wish == "allow":
        profiling.allow(**said)
        # The row is committed by the time a worker reads it.
        transaction.on_commit(lambda: tasks.refresh_portraits.delay([customer_id]))
        messages.success(request, _("Written down. The portrait appears in a moment."))
    else:
        return HttpResponseBadRequest(_("Choose an answer."))
    return HttpResponseRedirect(reverse("customers:detail", args=[customer_id]))
