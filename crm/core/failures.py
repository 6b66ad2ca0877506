"""Answers for requests that fail before or without a view."""

import uuid

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render


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
