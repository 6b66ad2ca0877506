"""The one clock of the project; doors read it and hand the time down."""

from datetime import datetime

from django.utils import timezone


def now() -> datetime:
    """Return the current moment, aware, UTC."""
    return timezone.now()
