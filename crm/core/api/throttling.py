"""Requests per minute and key, counted in Redis in fixed windows, told to the client in every answer."""

import time
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from crm.core.api.authentication import Partner

if TYPE_CHECKING:
    from rest_framework.views import APIView

WINDOW_SECONDS = 60


class KeyThrottle(BaseThrottle):
    """Fixed one-minute windows: one INCR per request. The state for the headers is left on the request."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        if not isinstance(request.user, Partner):
            return True
        limit = settings.CRM_API_RATE_PER_MINUTE
        now = time.time()
        window = int(now // WINDOW_SECONDS)
        name = f"rate:{request.user.key.pk}:{window}"
        cache.add(name, 0, WINDOW_SECONDS * 2)
        used = cache.incr(name)
        self._reset = (window + 1) * WINDOW_SECONDS - now
        request._request.rate_limit = (limit, max(0, limit - used), int(self._reset) + 1)  # type: ignore[attr-defined]
        return bool(used <= limit)

    def wait(self) -> float:
        return float(self._reset)
