"""Numbers, money and dates as people write them, in the language of the current request.

Babel does the writing: Django's own Simplified Chinese format has no thousands grouping at all. Every function takes
None, NaN or nonsense and answers with a dash, because a page with a gap is better than a page that fails.
"""

import math
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_skeleton, format_timedelta
from babel.numbers import format_compact_currency, format_compact_decimal, format_currency, format_decimal, format_percent, get_currency_symbol
from django.conf import settings
from django.utils import timezone
from django.utils.translation import get_language, gettext

from crm.core import clock
from crm.core.money import Money

Number = int | float | Decimal | str | None
Moment = datetime | date | None

MISSING = "–"
MINUS = "\N{MINUS SIGN}"
# Younger than this reads "just now"; a counter of seconds would be stale before it is read.
JUST_NOW_SECONDS = 45
# "CN¥", "HK$": the sign a foreign reader needs, the last character a local one.
_PREFIXED_SIGN = re.compile(r"^[A-Z]{2,3}(?P<sign>[¥$£])$")


@lru_cache(maxsize=16)
def _locale(language: str) -> Locale:
    try:
        return Locale.parse(language, sep="-")
    except (UnknownLocaleError, ValueError):
        return Locale.parse("en")


def locale() -> Locale:
    """Return the Babel locale of the active language (English while translations are off)."""
    return _locale(get_language() or "en")


def exact(value: object) -> Decimal | None:
    """Return the value as a finite Decimal, or None where it is not one (None, NaN, infinity, words)."""
    if value is None or isinstance(value, bool) or value == "":
        return None
    try:
        number_ = value if isinstance(value, Decimal) else Decimal(str(value))
    except (InvalidOperation, ValueError):
        return None
    return number_ if number_.is_finite() else None


def number(value: Number, digits: int | None = None) -> str:
    """Return 1,234.5 with grouping; `digits` fixes the decimals, otherwise up to two are shown."""
    amount = exact(value)
    if amount is None:
        return MISSING
    pattern = "#,##0.##" if digits is None else "#,##0" + ("." + "0" * digits if digits else "")
    return format_decimal(amount, format=pattern, locale=locale())


def compact(value: Number) -> str:
    """Return a short number: 1.2K and 3.4M, in Chinese 1.2万 and 340万."""
    amount = exact(value)
    return MISSING if amount is None else format_compact_decimal(amount, fraction_digits=1, locale=locale())


def percent(value: Number, digits: int = 0) -> str:
    """Return a rate in 0–1 as a percentage."""
    amount = exact(value)
    if amount is None:
        return MISSING
    return format_percent(amount, format="0" + ("." + "0" * digits if digits else "") + "%", locale=locale())


def signed_percent(value: Number, digits: int = 1) -> str:
    """Return a change in 0–1 as a percentage with its sign, +4.2% or −1.0%."""
    amount = exact(value)
    if amount is None:
        return MISSING
    sign = "+" if amount > 0 else MINUS if amount < 0 else ""
    return sign + percent(abs(amount), digits)


def points(value: Number) -> str:
    """Return the distance between two rates, given in 0–1, in percentage points: 7.6 points."""
    amount = exact(value)
    return MISSING if amount is None else gettext("%(n)s points") % {"n": format_decimal(amount * 100, format="0.0", locale=locale())}


def money(value: Number | Money, currency: str | None = None) -> str:
    """Return an amount with its currency sign; a Money brings its own currency, otherwise the shop's is assumed."""
    return _money(value, currency, short=False)


def money_compact(value: Number | Money, currency: str | None = None) -> str:
    """Return a short amount for a figure whose full value is told elsewhere: ¥1.2M, ¥123.5万."""
    return _money(value, currency, short=True)


def _money(value: Number | Money, currency: str | None, *, short: bool) -> str:
    if isinstance(value, Money):
        return _money(value.amount, value.currency, short=short)
    amount, code = exact(value), (currency or settings.CRM_CURRENCY).upper()
    if amount is None:
        return MISSING
    # Chinese counts in ten thousands: below, its "short" form is the full amount without grouping.
    if short and abs(amount) >= (10_000 if locale().language == "zh" else 1000):
        # 5万 would stand for anything from 45,000 to 55,000.
        digits = 2 if locale().language == "zh" and abs(amount) < 100_000 else 1
        text = format_compact_currency(amount, code, fraction_digits=digits, locale=locale())
    elif short:
        text = format_currency(amount, code, locale=locale(), format="¤#,##0", currency_digits=False)
    else:
        text = format_currency(amount, code, locale=locale())
    told = text.replace(get_currency_symbol(code, locale()), _sign(code), 1)
    return MINUS + told[1:] if told.startswith("-") else told


def _sign(code: str) -> str:
    """Return the currency's sign: the bare ¥ or $ for the shop's own currency, and never the same sign for another."""
    sign, own = get_currency_symbol(code, locale()), settings.CRM_CURRENCY.upper()
    if code == own:
        prefixed = _PREFIXED_SIGN.match(sign)
        return prefixed["sign"] if prefixed else sign
    own_sign = get_currency_symbol(own, locale())
    prefixed = _PREFIXED_SIGN.match(own_sign)
    return f"{code}\N{NO-BREAK SPACE}" if sign == (prefixed["sign"] if prefixed else own_sign) else sign


def bytes_size(value: Number) -> str:
    """Return a file size in kB or MB, decimal units."""
    amount = exact(value)
    if amount is None:
        return MISSING
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if amount >= size:
            return f"{number(amount / size, 1)} {unit}"
    return f"{number(amount, 0)} B"


def _local(value: datetime | date) -> datetime:
    """Return an aware datetime in the team's zone; a bare date becomes its midnight."""
    if not isinstance(value, datetime):
        value = datetime.combine(value, time.min, tzinfo=timezone.get_current_timezone())
    return timezone.localtime(value) if timezone.is_aware(value) else timezone.make_aware(value)


def day(value: Moment) -> str:
    """Return Nov 3, 2026, in Chinese 2026年11月3日."""
    return MISSING if not isinstance(value, date) else format_date(_local(value).date(), "medium", locale=locale())


def month(value: Moment) -> str:
    """Return November 2026, in Chinese 2026年11月."""
    return MISSING if not isinstance(value, date) else format_skeleton("yMMMM", _local(value), locale=locale())


def moment(value: Moment) -> str:
    """Return day and minute in the team's zone: Nov 3, 2026, 10:42."""
    if not isinstance(value, date):
        return MISSING
    return f"{day(value)} {clock_time(value)}" if locale().language == "zh" else f"{day(value)}, {clock_time(value)}"


def clock_time(value: Moment) -> str:
    """Return the minute of the day in the team's zone, 24-hour: 10:42."""
    return MISSING if not isinstance(value, datetime) else _local(value).strftime("%H:%M")


def ago(value: Moment, now: datetime | None = None) -> str:
    """Return how long ago (or until) in words: 3 hours ago, in 2 days, 3小时前.  `now` defaults to the clock."""
    if not isinstance(value, date):
        return MISSING
    now = now or clock.now()
    if not isinstance(value, datetime):
        days = (value - timezone.localtime(now).date()).days
        return gettext("today") if days == 0 else format_timedelta(timedelta(days=days), granularity="day", add_direction=True, locale=locale())
    distance = _local(value) - now
    if abs(distance.total_seconds()) < JUST_NOW_SECONDS:
        return gettext("just now")
    return format_timedelta(distance, add_direction=True, locale=locale())


def duration(seconds: Number) -> str:
    """Return a length of time in its largest fitting unit: 4 minutes, 2 days."""
    amount = exact(seconds)
    return MISSING if amount is None else format_timedelta(timedelta(seconds=float(amount)), locale=locale())


def is_gap(value: float | Decimal | None) -> bool:
    """Return whether a plotted value is missing: None, NaN or infinite."""
    return value is None or not math.isfinite(value)
