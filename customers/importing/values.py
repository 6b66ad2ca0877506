"""Cells into values: numbers, moments and texts as people write them in spreadsheets."""

import re
from datetime import UTC, datetime, tzinfo
from decimal import Decimal, InvalidOperation

from customers.importing.reading import undecodable
from customers.models.order import LARGEST_AMOUNT


class CellFault(ValueError):
    """A cell cannot be understood; the text is the reason."""


_NUMBER_DRESS = re.compile(r"[\s\u00a0\u202f¥￥$€£'’]|CNY|RMB|USD|EUR|GBP|元", re.IGNORECASE)
# 1,234,567 or 1.234.567: groups of three, of which the first does not begin with 0.
_GROUPED = re.compile(r"-?[1-9]\d{0,2}(?:([.,])\d{3})(?:\1\d{3})*")
_CHINESE_DATE = re.compile(r"(\d{4})年(\d{1,2})月(\d{1,2})日?\s*(.*)")
_SPLIT_DATE = re.compile(r"(\d{1,4})[./-](\d{1,2})[./-](\d{1,4})(?:[ T,]+(\d{1,2}):(\d{2})(?::(\d{2}))?\s*([AaPp][Mm])?)?")
_ZONED = re.compile(r"(.+\d)\s*(UTC|GMT|[+-]\d{2}:?\d{2})")


def text(cell: str, longest: int) -> str:
    """Return the trimmed cell. Raises CellFault when it is too long or not readable in the file's encoding."""
    found = cell.strip()
    if len(found) > longest:
        raise CellFault(f"longer than {longest} characters ({len(found):,})")
    if undecodable(found):
        raise CellFault("not readable in the file's encoding")
    if "\0" in found:
        raise CellFault("contains the character U+0000")
    return found


def decimal(cell: str, *, comma: bool = False) -> Decimal:
    """Return a number written with point or comma, with or without a currency sign; (5.00) is negative.

    comma: the file writes cents behind a comma, which decides on 1.234 and 1,234; every other number speaks for itself.
    """
    bare = _NUMBER_DRESS.sub("", cell)
    if bare.startswith("(") and bare.endswith(")"):
        bare = "-" + bare[1:-1]
    if "," in bare and "." in bare:
        bare = bare.replace(".", "").replace(",", ".") if bare.rfind(",") > bare.rfind(".") else bare.replace(",", "")
    elif ("," in bare or "." in bare) and (grouped := _GROUPED.fullmatch(bare)):
        thousands = bare.count(grouped[1]) > 1 or (grouped[1] == ".") == comma
        bare = bare.replace(grouped[1], "" if thousands else ".")
    else:
        bare = bare.replace(",", ".")
    try:
        found = Decimal(bare)
    except InvalidOperation:
        raise CellFault("not a number") from None
    if not found.is_finite() or abs(found) > LARGEST_AMOUNT:
        raise CellFault("not a number a shop would use")
    return found


def whole(cell: str, *, comma: bool = False) -> int:
    """Return a whole number; 6.0 counts as one. comma: as of `decimal`."""
    try:
        found = int(cell)
    except ValueError:
        number = decimal(cell, comma=comma)
        if number != number.to_integral_value():
            raise CellFault("not a whole number") from None
        found = int(number)
    if abs(found) > 2_000_000_000:
        raise CellFault("not a quantity a shop would use")
    return found


def moment(cell: str, zone: tzinfo, day_first: bool, latest: datetime | None = None) -> datetime:
    """Return an aware moment; text without an offset is in `zone`. day_first: 3/4/2026 is the third of April.

    latest: what comes after it is a fault, None for no such limit.
    """
    found = _moment(cell.strip(), day_first)
    if found.tzinfo is None:
        found = found.replace(tzinfo=zone)
    if not 1970 <= found.year <= 2200:
        raise CellFault("not a date a shop would use")
    if latest is not None and found > latest:
        raise CellFault("in the future")
    return found.astimezone(UTC)


def _moment(cell: str, day_first: bool) -> datetime:
    try:
        return datetime.fromisoformat(cell)
    except ValueError:
        pass
    if zoned := _ZONED.fullmatch(cell):
        offset = "+00:00" if zoned[2] in {"UTC", "GMT"} else zoned[2]
        try:
            return datetime.fromisoformat(zoned[1].strip() + offset)
        except ValueError:
            raise CellFault("not a date") from None
    if chinese := _CHINESE_DATE.fullmatch(cell):
        cell = f"{chinese[1]}-{chinese[2]}-{chinese[3]} {chinese[4]}".strip()
    parts = _SPLIT_DATE.fullmatch(cell)
    if not parts:
        raise CellFault("not a date")
    one, two, three = int(parts[1]), int(parts[2]), int(parts[3])
    if len(parts[1]) == 4:
        year, month, day = one, two, three
    elif day_first:
        year, month, day = three, two, one
    else:
        year, month, day = three, one, two
    if year < 100:
        year += 2000
    hour = int(parts[4] or 0)
    if parts[7]:
        hour = hour % 12 + (12 if parts[7].lower() == "pm" else 0)
    try:
        return datetime(year, month, day, hour, int(parts[5] or 0), int(parts[6] or 0))  # noqa: DTZ001 - the caller adds the zone
    except ValueError:
        raise CellFault("not a date") from None


def currency(cell: str) -> str:
    """Return an upper-case ISO code. Raises CellFault for anything but three letters."""
    code = cell.strip().upper()
    if len(code) != 3 or not (code.isascii() and code.isalpha()):
        raise CellFault("not a currency code")
    return code
