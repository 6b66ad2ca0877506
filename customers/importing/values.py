"""Cells into values: numbers, moments and texts as people write them in spreadsheets."""

import re
from datetime import UTC, datetime, tzinfo
from decimal import Decimal, InvalidOperation

from customers.importing.reading import undecodable


class CellFault(ValueError):
    """A cell cannot be understood; the text is the reason."""


_NUMBER_DRESS = re.compile(r"[\s\u00a0\u202f¥￥$€£]|CNY|RMB|USD|EUR|GBP|元", re.IGNORECASE)
_THOUSANDS = re.compile(r"-?\d{1,3}(,\d{3})+")
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


def decimal(cell: str) -> Decimal:
    """Return a number written with point or comma, with or without a currency sign; (5.00) is negative."""
    bare = _NUMBER_DRESS.sub("", cell)
    if bare.startswith("(") and bare.endswith(")"):
        bare = "-" + bare[1:-1]
    if "," in bare:
        if "." in bare:
            bare = bare.replace(".", "").replace(",", ".") if bare.rfind(",") > bare.rfind(".") else bare.replace(",", "")
        elif _THOUSANDS.fullmatch(bare):
            bare = bare.replace(",", "")
        else:
            bare = bare.replace(",", ".")
    try:
        found = Decimal(bare)
    except InvalidOperation:
        raise CellFault("not a number") from None
    if not found.is_finite() or abs(found) > 10**10:
        raise CellFault("not a number a shop would use")
    return found


def whole(cell: str) -> int:
    """Return a whole number; 6.0 counts as one."""
    try:
        found = int(cell)
    except ValueError:
        number = decimal(cell)
        if number != number.to_integral_value():
            raise CellFault("not a whole number") from None
        found = int(number)
    if abs(found) > 2_000_000_000:
        raise CellFault("not a quantity a shop would use")
    return found


def moment(cell: str, zone: tzinfo, day_first: bool) -> datetime:
    """Return an aware moment; text without an offset is in `zone`. day_first: 3/4/2026 is the third of April."""
    found = _moment(cell.strip(), day_first)
    if found.tzinfo is None:
        found = found.replace(tzinfo=zone)
    if not 1970 <= found.year <= 2200:
        raise CellFault("not a date a shop would use")
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


def day_comes_first(samples: list[str]) -> bool:
    """Return whether dates such as 3/4/2026 in a column are day first: some number above 12 decides; dots mean yes."""
    for sample in samples:
        parts = _SPLIT_DATE.fullmatch(sample.strip())
        if not parts or len(parts[1]) == 4:
            continue
        if int(parts[1]) > 12:
            return True
        if int(parts[2]) > 12:
            return False
    return any("." in sample[:6] for sample in samples)
