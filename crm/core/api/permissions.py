"""Scopes: a view names one per method, a key must hold it."""

from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from crm.core.api.authentication import Partner

if TYPE_CHECKING:
    # rest_framework.views imports this class by name while it is itself being imported.
    from rest_framework.views import APIView


class HasScope(BasePermission):
    """Denies unless the key holds `view.scopes[method]`; a view that names no scope for a method denies everyone."""

    message = "This key lacks the scope for that."

    def has_permission(self, request: Request, view: "APIView") -> bool:
        if not isinstance(request.user, Partner):
            return False
        if request.method == "OPTIONS":
            return True
        scopes: dict[str, str] = getattr(view, "scopes", {})
        method = "GET" if request.method == "HEAD" else str(request.method)
        needed = scopes.get(method)
        if needed is None:
            return method not in view.allowed_methods
        self.message = f"This key lacks the scope {needed}."
        return needed in request.user.key.scopes
