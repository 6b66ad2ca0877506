"""Answers for requests that fail before or without a view, or over what no view need look at: one place for all of them."""

import uuid
from collections.abc import Callable

from django.db import DataError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from crm.core.errors import NotFound
from crm.core.outage import JSON_PATHS, is_outage, unavailable

# SQLSTATEs of texts PostgreSQL cannot hold: not in the repertoire, untranslatable (U+0000 in JSON).
_UNSTORABLE = frozenset({"22021", "22P05"})


class FailureMiddleware:
    """Answers 503 where a service is away, 404 where the domain knows no such thing, 400 where a text cannot be stored.

    Must be the outermost middleware. Whatever else a view raises is a bug and Django's.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if is_outage(exception):
            return unavailable(request, exception)
        if isinstance(exception, NotFound):
            return not_found(request, exception)
        return unstorable(request) if is_unstorable(exception) else None


def unstorable(request: HttpRequest) -> HttpResponse:
    """Return the 400 that fits the caller for a text with a zero byte; people never type one, probes do."""
    if request.path.startswith(JSON_PATHS) or "application/json" in (request.content_type, request.headers.get("Accept", "")):
        message = "A text holds the character U+0000, which cannot be stored; send it without."
        return JsonResponse({"code": "text_unstorable", "message": message, "status": 400}, status=400)
    return render(request, "400.html", status=400)


def is_unstorable(error: Exception) -> bool:
    """Return whether the database, or its driver before asking it, refused a text for a character it cannot hold."""
    if not isinstance(error, DataError):
        return False
    return getattr(error.__cause__, "sqlstate", None) in _UNSTORABLE or "NUL (0x00)" in str(error)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001 - Django calls it with a reason
    """Answer 403 with words a person can act on; htmx requests get the same text for a toast."""
    return render(request, "403.html", {"csrf": True}, status=403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001
    """Answer 404: problem+json below /api/, a page elsewhere. Neither names the path, so nothing is echoed."""
    if request.path.startswith("/api/"):
        message = "There is no such address; see /api/docs/."
        body = {
            "type": "about:blank#not_found",
            "title": "Not found",
            "status": 404,
            "detail": message,
            "code": "not_found",
            "message": message,
            "request_id": uuid.uuid4().hex,
        }
        return JsonResponse(body, status=404, content_type="application/problem+json")
    return render(request, "404.html", status=404)
