"""The one clock of the project; doors read it and hand the time down."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from django.utils import timezone


def now() -> datetime:
    """Return the current moment, aware, UTC."""
    return timezone.now()


def going_on(since: datetime) -> Callable[[], datetime]:
    """Return a clock that shows `since` at first and goes on from there; for work that waits for others between two leases."""
    began = time.monotonic()
    return lambda: since + timedelta(seconds=time.monotonic() - began)
