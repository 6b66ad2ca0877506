"""What the campaign views share: who is acting, and readers of the address."""

from typing import cast

from django.http import HttpRequest

from crm.core.models import User


def staff(request: HttpRequest) -> User:
    """Return who is acting; `require` let nobody else through."""
    return cast("User", request.user)


def search_text(request: HttpRequest, name: str) -> str:
    """Return a search text from the URL, without the zero byte PostgreSQL cannot store."""
    return request.GET.get(name, "").replace("\x00", "").strip()[:100]


def page_number(request: HttpRequest) -> int:
    number = request.GET.get("page", "1")
    return int(number) if number.isdecimal() and len(number) < 9 else 1
