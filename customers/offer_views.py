"""The panel of the next purchase on the customer's page; fetched on its own it is a page that can be read."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from crm.core import clock
from crm.core.access.roles import require


@require_GET
@require("customers.view")
def likely(request: HttpRequest, customer_id: int) -> HttpResponse:
    """The categories the customer is likeliest to buy from within a month, with reasons."""
    # Here, not above: it loads numpy, and every process of the stack imports the addresses.
    from customers import offer_pages

    page = offer_pages.likely(customer_id=customer_id, at=clock.now())
    template = "customers/likely.html#panel" if request.htmx else "customers/likely.html"  # type: ignore[attr-defined]
    return render(request, template, {"page": page})
