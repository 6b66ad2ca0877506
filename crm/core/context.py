"""What every staff page's frame needs, computed without a query."""

from django.conf import settings
from django.http import HttpRequest

from crm.core.access.roles import TABLE, permissions_of
from crm.core.demo_flag import demo_present


class Can:
    """`can.customers_view` in templates: the viewer's permissions with dots written as underscores."""

    def __init__(self, held: frozenset[str]) -> None:
        self._held = {name.replace(".", "_") for name in held}

    def __getitem__(self, name: str) -> bool:
        if name.replace("_", ".", 1) not in TABLE:
            raise KeyError(name)
        return name in self._held


def shell(request: HttpRequest) -> dict[str, object]:
    """Return the frame's variables; visitors get the same keys with nothing allowed."""
    user = getattr(request, "user", None)
    match = request.resolver_match
    return {
        "can": Can(permissions_of(user)),
        "nav_active": (match.namespace or match.url_name or "") if match else "",
        "theme": getattr(user, "theme", "") or request.COOKIES.get("theme", "auto"),
        "demo_present": bool(user and user.is_authenticated and demo_present()),
        "outbox_enabled": settings.CRM_OUTBOX,
        "organisation": settings.CRM_ORGANISATION,
    }
