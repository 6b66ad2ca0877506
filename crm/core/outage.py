"""Fast, honest answers while PostgreSQL or Redis is away: 503 with Retry-After instead of a bug's 500.

Nothing has to be restarted afterwards: connections that died are dropped at the end of their request and tested before
reuse (CONN_HEALTH_CHECKS), so the first request after the outage succeeds.
"""

import functools
import logging
import sys

import kombu.exceptions
import redis
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.defaults import server_error as django_server_error

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 5
# These callers read JSON; /v1 SDKs retry a 503 by themselves and look for `code` and `message`.
JSON_PATHS = ("/v1/", "/api/")
# SQLSTATEs that say "the server is not there for you now"; other operational errors (deadlock, timeout) are not outages.
_AWAY = ("08", "57P01", "57P02", "57P03", "53300")


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500: the same 503 when the failure happened in a middleware, before or after any view."""
    error = sys.exc_info()[1]
    if isinstance(error, Exception) and is_outage(error):
        return unavailable(request, error)
    if request.path.startswith(JSON_PATHS):
        message = "Something failed on our side; it has been logged."
        return JsonResponse({"code": "server_error", "message": message, "status": 500}, status=500)
    return django_server_error(request)


def is_outage(error: BaseException) -> bool:
    """Return whether the error, or one it was raised from, says that PostgreSQL or Redis cannot be reached now."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, redis.ConnectionError | redis.TimeoutError | kombu.exceptions.OperationalError | InterfaceError):
            return True
        if isinstance(seen, OperationalError):
            state = getattr(seen.__cause__, "sqlstate", None)
            # No state at all: the connection itself failed.
            return state is None or state.startswith(_AWAY)
        seen = seen.__cause__
    return False


def unavailable(request: HttpRequest, error: BaseException) -> HttpResponse:
    """Return the 503 that fits the caller: JSON for machines, a page that needs no service for people."""
    logger.warning("service away", extra={"error": type(error).__name__, "path": request.path})
    if request.path.startswith(JSON_PATHS) or "application/json" in request.headers.get("Accept", ""):
        message = f"The service is temporarily unavailable; repeat the request in {RETRY_AFTER_SECONDS} seconds."
        body = {
            "type": "about:blank#unavailable",
            "title": "Temporarily unavailable",
            "status": 503,
            "code": "unavailable",
            "message": message,
            "detail": message,
        }
        response: HttpResponse = JsonResponse(body, status=503)
    else:
        response = HttpResponse(_page(), status=503)
    response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    response["Cache-Control"] = "no-store"
    # Django would log each as an error with a traceback; one warning above is enough.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


@functools.cache
def _page() -> bytes:
    # Read as a file, not rendered: context processors would ask the database that is away.
    return (settings.BASE_DIR / "templates" / "503.html").read_bytes()
