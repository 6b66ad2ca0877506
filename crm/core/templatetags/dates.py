"""Filters for moments, in the team's time zone; crm/core/formats.py says how each is written."""

from datetime import date, datetime

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from crm.core import formats

register = template.Library()

register.filter("day", formats.day)
register.filter("month", formats.month)
register.filter("moment", formats.moment)
register.filter("clock", formats.clock_time)
register.filter("ago_text", formats.ago)
register.filter("duration", formats.duration)


@register.filter
def ago(value: datetime | date | None) -> SafeString | str:
    """Return a <time> saying how long ago, with the full moment as its title."""
    if not isinstance(value, date):
        return formats.MISSING
    full = formats.moment(value) if isinstance(value, datetime) else formats.day(value)
    return format_html('<time datetime="{}" title="{}">{}</time>', value.isoformat(), full, formats.ago(value))
