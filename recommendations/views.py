"""Pages of the recommendations: how good they are, what they say, and what a person decides over them."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from crm.core import audit, clock
from crm.core.access.roles import require
from crm.core.errors import CrmError
from customers.models import Customer
from recommendations import feedback, pages, rules
from recommendations.models import FeedbackKind

STAFF = "staff"


@require_GET
@require("recommendations.view")
def index(request: HttpRequest) -> HttpResponse:
    """How good the recommendations are, look-ups by product and customer, rules and feedback."""
    page = pages.index_page(
        product=request.GET.get("product", ""),
        product_id=_number(request.GET.get("product_id")),
        customer=request.GET.get("customer", ""),
        customer_id=_number(request.GET.get("customer_id")),
        at=clock.now(),
    )
    return render(request, "recommendations/index.html", {"page": page})


@require_GET
@require("recommendations.view")
def customer_panel(request: HttpRequest, customer_id: int) -> HttpResponse:
    """The panel on the customer's page; fetched on its own it is a page that can be read."""
    return _panel(request, customer_id)


@require_POST
@require("customers.edit")
def dismiss(request: HttpRequest, customer_id: int) -> HttpResponse:
    """Note that a product is not for this customer; it never comes back for them, and training learns from it."""
    product_id = _number(request.POST.get("product_id"))
    if product_id is None:
        return HttpResponse(_("Which product?"), status=422, content_type="text/plain; charset=utf-8")
    is_new = feedback.record(
        customer_id=customer_id,
        product_id=product_id,
        kind=FeedbackKind.DISMISSED,
        origin=STAFF,
        at=clock.now(),
        # One refusal per product is enough, however often the button is pressed.
        external_id=STAFF,
        model_version=_number(request.POST.get("model_version")) or 0,
    )
    if is_new:
        customer = Customer.objects.get(pk=customer_id)
        audit.record(actor=request.user, action="recommendation.dismiss", target=customer, data={"product_id": product_id})  # type: ignore[arg-type]
    if request.htmx:  # type: ignore[attr-defined]
        return _panel(request, customer_id)
    return HttpResponseRedirect(reverse("customers:detail", args=[customer_id]))


@require_POST
@require("recommendations.edit")
def add_rule(request: HttpRequest) -> HttpResponse:
    """Block or boost a product given by id or by its number or name."""
    text = request.POST.get("product", "")
    product_id = _number(request.POST.get("product_id"))
    if product_id is None:
        found = pages.find_products(text)
        if len(found) != 1:
            messages.error(request, _rule_problem(text, len(found)))
            return HttpResponseRedirect(f"{reverse('recommendations:index')}#rules")
        product_id = found[0].pk
    try:
        rule = rules.set_rule(product_id=product_id, kind=request.POST.get("kind", ""), actor=request.user)  # type: ignore[arg-type]
    except CrmError as refused:
        messages.error(request, refused.text)
    else:
        messages.success(request, _("Saved: %(product)s, %(rule)s.") % {"product": rule.product, "rule": rule.get_kind_display()})
    return HttpResponseRedirect(f"{reverse('recommendations:index')}#rules")


@require_POST
@require("recommendations.edit")
def remove_rule(request: HttpRequest, rule_id: int) -> HttpResponse:
    """Let the model decide about a product again."""
    rules.remove_rule(rule_id=rule_id, actor=request.user)  # type: ignore[arg-type]
    messages.success(request, _("The rule is removed."))
    return HttpResponseRedirect(f"{reverse('recommendations:index')}#rules")


def _panel(request: HttpRequest, customer_id: int) -> HttpResponse:
    page = pages.customer_panel(customer_id=customer_id, at=clock.now())
    template = "recommendations/panel.html#panel" if request.htmx else "recommendations/panel.html"  # type: ignore[attr-defined]
    return render(request, template, {"page": page})


def _rule_problem(text: str, found: int) -> str:
    if not text.strip():
        return _("Give a product's number or name.")
    if not found:
        return _("No product has the number or name “%(text)s”.") % {"text": text[:60]}
    return ngettext("%(n)s product fits; give its number.", "%(n)s products or more fit; give the number of one.", found) % {"n": found}


def _number(text: str | None) -> int | None:
    """Return a positive id from a form or URL; None for anything else, numbers beyond the database's range included."""
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 18:
        return None
    return int(text)
