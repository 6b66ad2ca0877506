"""The partner API's documentation as one page drawn from the schema itself, so that it works offline and cannot drift."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from drf_spectacular.generators import SchemaGenerator

from crm.core.api.keys import SCOPES

_METHODS = ("get", "post", "patch", "put", "delete")


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter or body member."""

    name: str
    place: str
    kind: str
    required: bool
    words: str


@dataclass(frozen=True, slots=True)
class Operation:
    anchor: str
    method: str
    path: str
    words: str
    fields: tuple[Field, ...]
    answers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class DocsPage:
    groups: tuple[tuple[str, tuple[Operation, ...]], ...]
    scopes: tuple[tuple[str, str], ...]


def docs_page(request: HttpRequest) -> HttpResponse:
    """Show every operation, its fields and its answers."""
    return render(request, "api/docs.html", {"page": _page()})


@lru_cache(maxsize=1)
def _page() -> DocsPage:
    schema = SchemaGenerator().get_schema(request=None, public=True)
    components = schema["components"]["schemas"]
    groups: dict[str, list[Operation]] = {}
    for path, methods in schema["paths"].items():
        group = path.removeprefix("/api/v1/").split("/")[0]
        for method in _METHODS:
            if method in methods:
                groups.setdefault(group, []).append(_operation(path, method, methods[method], components))
    return DocsPage(tuple((name, tuple(found)) for name, found in groups.items()), tuple(SCOPES.items()))


def _operation(path: str, method: str, source: dict[str, Any], components: dict[str, Any]) -> Operation:
    fields = [
        Field(parameter["name"], parameter["in"], _kind(parameter.get("schema", {})), bool(parameter.get("required")), parameter.get("description", ""))
        for parameter in source.get("parameters", [])
    ]
    body = source.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    if "$ref" in body:
        model = components[body["$ref"].rsplit("/", 1)[1]]
        fields += [
            Field(name, "body", _kind(inner), name in model.get("required", []), inner.get("description", ""))
            for name, inner in model.get("properties", {}).items()
        ]
    answers = tuple((status, answer.get("description", "")) for status, answer in sorted(source["responses"].items()))
    return Operation(source["operationId"], method.upper(), path, source.get("description", ""), tuple(fields), answers)


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[1])
    inner = schema.get("items")
    kind = str(schema.get("format") or schema.get("type") or "any")
    return f"array of {_kind(inner)}" if inner else kind
