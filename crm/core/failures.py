"""Pages for requests that fail before a view runs."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer 403 with words a person can act on; htmx requests get the same text for a toast."""
    return render(request, "403.html", {"csrf": True}, status=403)
