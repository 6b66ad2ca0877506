"""The landing page's door."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from crm.core import clock
from crm.core.access.roles import permissions_of, require
from crm.home import page as home_page


@require_GET
@require("home.view")
def index(request: HttpRequest) -> HttpResponse:
    """Home, as far as the viewer's role may see."""
    return render(request, "home.html", {"page": home_page.home_page(permissions=permissions_of(request.user), at=clock.now())})
