"""What every operation of the partner API may answer beside its success, written into the OpenAPI schema once."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "message", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "message": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {"type": "object", "properties": {"pointer": {"type": "string"}, "code": {"type": "string"}, "detail": {"type": "string"}}},
        },
    },
}
_ALWAYS = {
    "400": "The request is not valid.",
    "401": "No valid API key.",
    "403": "The key lacks the scope.",
    "406": "Cannot answer in that format.",
    "429": "Too many requests; see Retry-After.",
    "503": "The database or Redis is away; try again.",
}
_BODY = {
    "409": "Conflict, or a twin with the same Idempotency-Key is running.",
    "413": "Too large.",
    "415": "Send application/json.",
    "422": "Understood but cannot be carried out.",
}


class PartnerSchema(AutoSchema):
    """drf-spectacular's schema plus the problem answers and the headers every operation shares."""

    def get_operation(self, path: str, path_regex: str, path_prefix: str, method: str, registry: Any) -> dict[str, Any] | None:
        operation = super().get_operation(path, path_regex, path_prefix, method, registry)
        if operation is None:
            return None
        answers = dict(_ALWAYS)
        if "{" in path:
            answers["404"] = "Not there, or this key may not see it."
        if method in {"POST", "PATCH", "PUT"}:
            answers |= _BODY
        if method in {"PATCH", "PUT"}:
            answers |= {"412": "Changed in the meantime.", "428": "If-Match is required."}
        for status, words in answers.items():
            operation["responses"].setdefault(
                status, {"description": words, "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
            )
        return operation

    def get_override_parameters(self) -> list[Any]:
        parameters: list[Any] = []
        if self.method == "POST":
            parameters.append(
                OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER, description="Up to 255 characters; the answer is kept a day and replayed.")
            )
        if self.method in {"PATCH", "PUT"}:
            parameters.append(OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, description="The ETag you read."))
        return parameters


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Tells drf-spectacular what our authentication looks like."""

    target_class = "crm.core.api.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "An API key made with `manage.py create_api_key`."}


def plain_paths(endpoints: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Pre-processing hook: of each address with and without trailing slash, document the plain one."""
    return [endpoint for endpoint in endpoints if not endpoint[0].endswith("/")]


def add_problem(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Post-processing hook: add the Problem component and the bearer scheme."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = _PROBLEM
    components.setdefault("securitySchemes", {})["apiKey"] = {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key made with `manage.py create_api_key`.",
    }
    result["security"] = [{"apiKey": []}]
    return result
