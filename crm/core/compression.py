"""Compresses the pages themselves: gzip for HTML and for the style and script files that were not compressed in advance.

Only these kinds, and never the API: gzip would weaken its ETags, and small JSON gains nothing.  Django hides the length
of what it compresses behind random bytes, and CSRF tokens are masked anew in every answer, so BREACH has nothing to measure.
"""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware

KINDS = frozenset({"text/html", "text/css", "text/javascript", "application/javascript", "image/svg+xml"})


class PageCompressionMiddleware(GZipMiddleware):
    """Stands outside WhiteNoise, so that files served from their sources are compressed too."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind not in KINDS or response.status_code != 200 or response.has_header("Content-Encoding"):
            return response
        # Made weak, WhiteNoise would not know it again and send the file anew each time; Last-Modified stays.
        del response["ETag"]
        return super().process_response(request, response)
