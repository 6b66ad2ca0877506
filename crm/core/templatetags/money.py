"""Filters for amounts, counts and countries; crm/core/formats.py and countries.py say how each is written."""

from django import template

from crm.core import countries, formats

register = template.Library()

register.filter("money", formats.money)
register.filter("money_compact", formats.money_compact)
register.filter("compact", formats.compact)
register.filter("number", formats.number)
register.filter("percent", formats.percent)
register.filter("signed_percent", formats.signed_percent)
register.filter("bytes_size", formats.bytes_size)
register.filter("country", countries.named)
