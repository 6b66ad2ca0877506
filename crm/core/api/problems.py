"""Every error of the partner API as RFC 9457 problem+json, with the `code` and `message` that SDKs look for."""

import uuid
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import set_rollback

from crm.core.api.parsing import BodyTooLarge
from crm.core.errors import CrmError

_TITLES = {
    400: "The request is not valid",
    401: "No valid API key",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Cannot answer in that format",
    409: "Conflict",
    412: "Changed in the meantime",
    413: "Too large",
    415: "Unsupported content type",
    422: "Cannot be carried out",
    428: "If-Match is required",
    429: "Too many requests",
    503: "Temporarily unavailable",
}


def problem(*, status_code: int, code: str, detail: str, errors: list[dict[str, str]] | None = None, headers: dict[str, str] | None = None) -> Response:
    """Return a problem+json answer. errors: [{pointer, code, detail}], pointer as JSON Pointer into the body."""
    body: dict[str, Any] = {
        "type": f"about:blank#{code}",
        "title": _TITLES.get(status_code, "Error"),
        "status": status_code,
        "detail": detail,
        "code": code,
        "message": detail,
        "request_id": uuid.uuid4().hex,
    }
    if errors:
        body["errors"] = errors
    return Response(body, status=status_code, headers=headers, content_type="application/problem+json")


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: translate what the domain and DRF raise; None lets a bug become a 500."""
    if isinstance(error, CrmError):
        set_rollback()
        errors = error.data.get("errors")
        return problem(status_code=error.status, code=error.code, detail=error.text, errors=errors if isinstance(errors, list) else None)
    if isinstance(error, Http404):
        error = exceptions.NotFound("There is no such thing, or this key may not see it.")
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    elif isinstance(error, RequestDataTooBig):
        error = BodyTooLarge()
    if not isinstance(error, exceptions.APIException):
        return None
    set_rollback()
    headers: dict[str, str] = {}
    if getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = error.auth_header  # type: ignore[attr-defined]
    if getattr(error, "wait", None):
        # The next whole second: a client that waits exactly this long is let in.
        headers["Retry-After"] = str(int(error.wait) + 1)  # type: ignore[attr-defined]
    if isinstance(error, exceptions.ValidationError):
        errors = list(_flatten(error.get_full_details(), ""))
        return problem(
            status_code=error.status_code, code="invalid", detail=errors[0]["detail"] if errors else "The request is not valid.", errors=errors, headers=headers
        )
    code = str(error.get_codes())
    return problem(status_code=error.status_code, code=code, detail=str(error.detail), headers=headers)


def _flatten(details: Any, pointer: str) -> "list[dict[str, str]]":
    if isinstance(details, dict) and set(details) == {"message", "code"}:
        return [{"pointer": pointer or "/", "code": str(details["code"]), "detail": str(details["message"])}]
    found: list[dict[str, str]] = []
    if isinstance(details, dict):
        for name, inner in details.items():
            found += _flatten(inner, pointer if name == "non_field_errors" else f"{pointer}/{name}")
    elif isinstance(details, list):
        for index, inner in enumerate(details):
            leaf = isinstance(inner, dict) and set(inner) == {"message", "code"}
            found += _flatten(inner, pointer if leaf else f"{pointer}/{index}")
    return found


class PreconditionFailed(exceptions.APIException):
    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_detail = "It was changed in the meantime; read it again and repeat the change."
    default_code = "precondition_failed"


class PreconditionRequired(exceptions.APIException):
    status_code = status.HTTP_428_PRECONDITION_REQUIRED
    default_detail = "Send If-Match with the ETag you read, so that nobody's change is overwritten."
    default_code = "precondition_required"
