"""Role x action as data. A permission is a plain string; every staff view names the one it needs.

tests/core/test_access.py walks every staff URL against this table and fails when one has no entry.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase

from crm.core.models.people import Role, User

View = TypeVar("View", bound=Callable[..., HttpResponseBase])

_ALL = frozenset(Role)
_ADMIN = frozenset({Role.ADMIN})
_MARKETING = frozenset({Role.ADMIN, Role.MARKETER})
_READING = frozenset({Role.ADMIN, Role.MARKETER, Role.ANALYST})
_SUPPORT = frozenset({Role.ADMIN, Role.AGENT})

TABLE: dict[str, frozenset[Role]] = {
    "home.view": _ALL,
    "customers.view": _ALL,
    "customers.edit": frozenset({Role.ADMIN, Role.MARKETER, Role.AGENT}),
    "customers.export": _READING,
    "customers.import": _MARKETING,
    "customers.merge": _MARKETING,
    "portraits.answer": _ALL,
    "insights.view": _READING,
    "segments.view": _READING,
    "segments.edit": _MARKETING,
    "campaigns.view": _READING,
    "campaigns.edit": _MARKETING,
    "campaigns.send": _MARKETING,
    "recommendations.view": _ALL,
    "recommendations.edit": _MARKETING,
    "support.view": _SUPPORT,
    "support.reply": _SUPPORT,
    "support.label": _SUPPORT,
    "support.report": _SUPPORT | frozenset({Role.ANALYST}),
    "support.policy": _ADMIN,
    "knowledge.edit": _SUPPORT,
    "models.view": _READING,
    "models.promote": _ADMIN | frozenset({Role.ANALYST}),
    "models.retrain": _ADMIN | frozenset({Role.ANALYST}),
    "jobs.view": _ALL,
    "jobs.cancel": _MARKETING,
    "outbox.view": _MARKETING,
    "views.save": _ALL,
    "audit.view": _ADMIN,
    "settings.edit": _ADMIN,
    "demo.remove": _ADMIN,
    "admin.use": _ADMIN,
}


def permissions_of(user: Any) -> frozenset[str]:
    """Return the permission strings a user holds; empty for visitors and inactive accounts."""
    if not isinstance(user, User) or not user.is_active:
        return frozenset()
    if user.is_superuser:
        return frozenset(TABLE)
    return frozenset(name for name, roles in TABLE.items() if user.role in roles)


def may(user: Any, permission: str) -> bool:
    """Return whether the user holds the permission. Raises KeyError for a string that is not in the table."""
    TABLE[permission]
    return permission in permissions_of(user)


def require(permission: str) -> Callable[[View], View]:
    """Guard a staff view: visitors go to the login page, staff without the permission get 403."""
    TABLE[permission]

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if not may(request.user, permission):
                raise PermissionDenied(permission)
            return view(request, *args, **kwargs)

        guarded.permission = permission  # type: ignore[attr-defined]
        return guarded  # type: ignore[return-value]

    return decorate
