"""`Authorization: Bearer prn_…` for the partner API; sessions and cookies are not looked at."""

from dataclasses import dataclass

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from crm.core import clock
from crm.core.api import keys
from crm.core.models import ApiKey


@dataclass(frozen=True, slots=True)
class Partner:
    """Stands where DRF expects a user: a program holding a key."""

    key: ApiKey
    is_authenticated: bool = True
    is_active: bool = True

    @property
    def source_ids(self) -> list[int]:
        """Sources the key is limited to; empty means every source. Prefetched at authentication."""
        return [source.pk for source in self.key.sources.all()]

    def __str__(self) -> str:
        return f"key:{self.key.prefix}"


class ApiKeyAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[Partner, ApiKey] | None:
        header = get_authorization_header(request)
        if not header:
            return None
        scheme, _, token = header.partition(b" ")
        if scheme.lower() != b"bearer":
            raise AuthenticationFailed("Send the API key as 'Authorization: Bearer prn_…'.")
        key = keys.recognise(token.decode("ascii", "replace").strip(), at=clock.now())
        if key is None:
            raise AuthenticationFailed("This API key is unknown, expired or revoked.")
        return Partner(key), key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
