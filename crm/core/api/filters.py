"""Readers of query parameters that answer 400 with the parameter's name instead of guessing."""

from datetime import UTC, datetime

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request


def moment_param(request: Request, name: str) -> datetime | None:
    """Return an ISO 8601 moment, aware (UTC when it carries no offset), or None when absent."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        moment = parse_datetime(text.replace(" ", "+"))
        if moment is None:
            raise ValueError
        if not timezone.is_aware(moment):
            moment = timezone.make_aware(moment, timezone.get_default_timezone())
        # In UTC, because PostgreSQL refuses offsets that Python accepts (such as -18:36).
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValidationError({name: "Write a moment such as 2026-01-31T08:00:00Z."}) from None


def integer_param(request: Request, name: str, *, default: int, minimum: int, maximum: int) -> int:
    """Return a whole number within [minimum, maximum]."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and minimum <= int(text) <= maximum):
        raise ValidationError({name: f"Write a whole number from {minimum} to {maximum}."})
    return int(text)
