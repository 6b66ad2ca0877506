"""The base of every partner view set: scopes, source limits, ETags and rate headers in one place."""

from typing import Any, cast

from django.db.models import QuerySet
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from crm.core.api.authentication import Partner
from crm.core.api.problems import PreconditionFailed, PreconditionRequired


class PartnerViewSet(viewsets.GenericViewSet):  # type: ignore[type-arg]
    """Subclasses set `scopes` per method, `rows()`, and either `source_path` (rows of one shop) or `organisation_wide`.

    The base queryset is empty on purpose: a subclass that forgets `rows()` shows nothing rather than everything.
    """

    scopes: dict[str, str] = {}
    source_path: str = ""
    organisation_wide: bool = False

    @property
    def partner(self) -> Partner:
        """The program that asks; set on every request that passed HasScope."""
        return cast("Partner", self.request.user)

    def rows(self) -> "QuerySet[Any]":
        """Return every row of the kind, with what the serializer needs already selected."""
        raise NotImplementedError

    def get_queryset(self) -> "QuerySet[Any]":
        """Return the rows this key may see; another shop's object is simply not there (404)."""
        rows = self.rows()
        if getattr(self, "swagger_fake_view", False):
            return rows.none()
        partner = self.request.user
        if not isinstance(partner, Partner):
            return rows.none()
        source_ids = partner.source_ids
        if not source_ids or self.organisation_wide:
            return rows
        if not self.source_path:
            return rows.none()
        return rows.filter(**{f"{self.source_path}__in": source_ids})

    def get_locked_object(self) -> Any:
        """Return the object with its row locked; call it in a transaction.

        Between If-Match and the write nobody else may change it, or the slower of two editors would undo the quicker one.
        """
        return self.get_queryset().select_for_update(of=("self",)).get(pk=self.get_object().pk)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        state = getattr(request, "rate_limit", None) or getattr(getattr(request, "_request", None), "rate_limit", None)
        if state:
            response["RateLimit-Limit"], response["RateLimit-Remaining"], response["RateLimit-Reset"] = (str(number) for number in state)
        response["Cache-Control"] = "no-store"
        return response


def etag(version: int) -> str:
    """Return the strong ETag of a row version."""
    return f'"v{version}"'


def check_match(request: Request, version: int, *, required: bool = False) -> None:
    """Raise 412 when If-Match names another version, 428 when it is required and absent."""
    header = request.headers.get("If-Match")
    if header is None:
        if required:
            raise PreconditionRequired
        return
    if header.strip() != "*" and etag(version) not in [part.strip() for part in header.split(",")]:
        raise PreconditionFailed
