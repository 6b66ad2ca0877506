"""The landing page."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from crm.core.access.roles import require


@require("home.view")
def index(request: HttpRequest) -> HttpResponse:
    return render(request, "home.html")
