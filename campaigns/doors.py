"""What the campaign views share: a missing campaign is a 404 page, who is acting, and readers of the address."""

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from django.http import Http404, HttpRequest, HttpResponse

from crm.core.errors import NotFound
from crm.core.models import User

View = Callable[..., HttpResponse]


def answers_missing(view: View) -> View:
    """Turn the domain's NotFound into a 404 page."""

    @wraps(view)
    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except NotFound as missing:
            raise Http404(missing.text) from missing

    return answered


def staff(request: HttpRequest) -> User:
    """Return who is acting; `require` let nobody else through."""
    return cast("User", request.user)


def search_text(request: HttpRequest, name: str) -> str:
    """Return a search text from the URL, without the zero byte PostgreSQL cannot store."""
    return request.GET.get(name, "").replace("\x00", "").strip()[:100]


def page_number(request: HttpRequest) -> int:
    number = request.GET.get("page", "1")
    return int(number) if number.isdecimal() and len(number) < 9 else 1
