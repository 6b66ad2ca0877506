"""CORS for the two surfaces that other origins' pages may call: browser tracking and the widget's token door.

No credentials are ever allowed: these endpoints read no cookie. Which origins a write key accepts is checked by the
endpoint itself, so the preflight may answer any origin.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

PATHS = ("/v1/", "/widget/api/")


class TrackingCorsMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(PATHS):
            return self.get_response(request)
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            response = HttpResponse(status=204)
            response["Access-Control-Allow-Methods"] = "GET, POST, OPTIONS"
            response["Access-Control-Allow-Headers"] = "Authorization, Content-Type, X-Retry-Count, X-Strict-Mode, X-Visitor-Token"
            response["Access-Control-Max-Age"] = "86400"
        else:
            response = self.get_response(request)
        origin = request.headers.get("Origin")
        if origin:
            response["Access-Control-Allow-Origin"] = origin
            response["Vary"] = "Origin"
        return response
