"""Shows a mail's HTML inside a page: its own document, sandboxed, with styles but no scripts, pictures or forms.

The frame's policy stands alone from the page's: mail HTML needs inline styles, which no page of ours may have. Remote
pictures stay off, so that reading a mail here never counts as opening it and calls no other host.
"""

import re

from csp.constants import NONE, SELF
from django.http import HttpResponse

POLICY = {
    "default-src": [NONE],
    "script-src": None,
    "style-src": ["'unsafe-inline'"],
    "img-src": ["data:"],
    "font-src": None,
    "connect-src": None,
    "frame-src": None,
    "manifest-src": None,
    "form-action": [NONE],
    "base-uri": [SELF],
    "frame-ancestors": [SELF],
    # Links open in a new tab; nothing else leaves the box.
    "sandbox": ["allow-popups", "allow-popups-to-escape-sandbox"],
}


# Blocked by the policy anyway; taken out so that the browser's console stays free of errors that mean something.
_REMOTE_PICTURE = re.compile(r"<img\b(?![^>]*\ssrc\s*=\s*[\"']?data:)[^>]*>", re.IGNORECASE)


def respond(html: str) -> HttpResponse:
    """Return the mail's HTML as a document that can do nothing but be read and have its links followed."""
    response = HttpResponse('<!doctype html><base target="_blank">' + _REMOTE_PICTURE.sub("", html), content_type="text/html; charset=utf-8")
    response._csp_replace = POLICY  # type: ignore[attr-defined]
    response["X-Frame-Options"] = "SAMEORIGIN"
    response["Referrer-Policy"] = "no-referrer"
    response["Cache-Control"] = "no-store"
    return response
