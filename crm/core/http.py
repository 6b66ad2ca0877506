"""Small truths about HTTP the doors share."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.urls import is_valid_path

# A redirect on these loses a partner's data without an error (clients follow with an empty GET).
NEVER_REDIRECT = ("/v1/", "/api/", "/healthz", "/readyz")


class PlainPathsMiddleware:
    """Adds a missing trailing slash on pages, and never redirects the machine-facing paths."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        path = request.path_info
        may_lack_slash = request.method in {"GET", "HEAD"} and not path.endswith("/") and not path.startswith(NEVER_REDIRECT)
        if may_lack_slash and not is_valid_path(path) and is_valid_path(f"{path}/"):
            query = request.META.get("QUERY_STRING", "")
            return HttpResponsePermanentRedirect(f"{path}/{'?' + query if query else ''}")
        return self.get_response(request)


def client_ip(request: HttpRequest) -> str:
    """Return the peer's address; forwarded headers are not trusted unless the server was told to apply them."""
    return str(request.META.get("REMOTE_ADDR", ""))


def wants_part(request: HttpRequest) -> bool:
    """Return whether htmx asks for a part of the page; a boosted link or a restored history entry needs the whole."""
    htmx = getattr(request, "htmx", None)
    return htmx is not None and bool(htmx) and not htmx.boosted and not htmx.history_restore_request
