"""What the console's views share: how a refusal of the domain reaches a page or a script, and readers of form values."""

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from crm.core.errors import CrmError, NotFound
from crm.core.models import User
from support import teams

View = Callable[..., HttpResponseBase]


def answered(view: View) -> View:
    """Turn a refusal of the domain into a message on the page the form came from, or into JSON for scripts; what is missing is a 404."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except NotFound:
            raise
        except CrmError as error:
            if wants_json(request):
                return JsonResponse({"code": error.code, "message": _(error.text), **_told(error)}, status=error.status)
            messages.error(request, _(error.text))
            if "ticket_id" in kwargs:
                return redirect("support:ticket", ticket_id=kwargs["ticket_id"])
            return redirect("support:conversation", pk=kwargs["pk"]) if "pk" in kwargs else redirect("support:inbox")

    return guarded


def _told(error: CrmError) -> dict[str, object]:
    """Return the facts of a refusal a script may show: who was quicker."""
    return {name: error.data[name] for name in ("by", "seq") if name in error.data}


def viewer_of(request: HttpRequest) -> User:
    """Return who asks; every door of the console has `require`, which lets in nobody else."""
    return cast("User", request.user)


def in_team(view: View) -> View:
    """Let nobody act on a conversation (`pk`) or ticket (`ticket_id`) of a team that is not theirs; for them it does not exist."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if "pk" in kwargs:
            teams.check(user=viewer_of(request), conversation_id=kwargs["pk"])
        if "ticket_id" in kwargs:
            teams.check_ticket(user=viewer_of(request), ticket_id=kwargs["ticket_id"])
        return view(request, *args, **kwargs)

    return guarded


def wants_json(request: HttpRequest) -> bool:
    """Return whether a script asks."""
    return request.headers.get("Accept", "").startswith("application/json")


def number(text: str | None) -> int | None:
    """Return a small non-negative whole number as forms send it, or None."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 10 else None
