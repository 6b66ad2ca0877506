"""Cursor lists: newest first, opaque cursor, a row that arrives mid-walk neither repeats nor hides another."""

import base64
import binascii
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

if TYPE_CHECKING:
    from rest_framework.views import APIView

DEFAULT_LIMIT = 25
MAX_LIMIT = 100
_BIGGEST = 2**63 - 1


class CursorPage(BasePagination):
    """`?limit=1..100&cursor=…` over descending primary keys, which never change and are never reused."""

    def paginate_queryset(self, queryset: "QuerySet[Any]", request: Request, view: "APIView | None" = None) -> list[Any]:  # type: ignore[override]
        self.request = request
        self.limit = self._limit(request)
        before = self._before(request)
        if before is not None:
            queryset = queryset.filter(pk__lt=before)
        rows = list(queryset.order_by("-pk")[: self.limit + 1])
        self.has_more = len(rows) > self.limit
        self.rows = rows[: self.limit]
        return self.rows

    def get_paginated_response(self, data: Any) -> Response:
        cursor = _encode(self.rows[-1].pk) if self.has_more else None
        return Response({"object": "list", "data": data, "has_more": self.has_more, "next_cursor": cursor, "url": self.request.path})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["object", "data", "has_more", "next_cursor", "url"],
            "properties": {
                "object": {"type": "string", "enum": ["list"]},
                "data": schema,
                "has_more": {"type": "boolean"},
                "next_cursor": {"type": "string", "nullable": True},
                "url": {"type": "string"},
            },
        }

    def get_schema_operation_parameters(self, view: "APIView") -> list[dict[str, Any]]:
        return [
            {
                "name": "limit",
                "in": "query",
                "required": False,
                "description": "Rows per page.",
                "schema": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
            },
            {"name": "cursor", "in": "query", "required": False, "description": "next_cursor of the page before.", "schema": {"type": "string"}},
        ]

    def _limit(self, request: Request) -> int:
        text = request.query_params.get("limit")
        if text is None:
            return DEFAULT_LIMIT
        if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= MAX_LIMIT):
            raise ValidationError({"limit": f"Write a whole number from 1 to {MAX_LIMIT}."})
        return int(text)

    def _before(self, request: Request) -> int | None:
        text = request.query_params.get("cursor")
        if text is None:
            return None
        try:
            kind, _, number = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)).decode("ascii").partition(":")
            value = int(number)
        except (ValueError, binascii.Error, UnicodeError):
            kind, value = "", -1
        if kind != "pk" or not 0 <= value <= _BIGGEST:
            raise ValidationError({"cursor": "This is not a cursor this API gave out; start again without it."})
        return value


def _encode(pk: int) -> str:
    return base64.urlsafe_b64encode(f"pk:{pk}".encode()).decode().rstrip("=")
