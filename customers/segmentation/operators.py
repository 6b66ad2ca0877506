"""What a rule may ask of a field: the operators of each kind of field and the value each takes.

A value arrives as JSON. `check` returns it in the one form the rest of the package relies on, or says in a sentence
why it cannot: the sentence becomes the message of a RuleInvalid that names the node.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

LONGEST_TEXT = 200
MOST_CHOICES = 50
# Ten years: longer windows mean "ever", and timedelta must not overflow.
LONGEST_DAYS = 3660
MOST_TIMES = 10_000
LARGEST_NUMBER = 10**12


@dataclass(frozen=True, slots=True)
class Operator:
    """name: stored in rules.  takes: text | number | date | days | boolean | choice | choices | window | nothing.

    phrase: the sentence part with %(field)s and %(value)s.
    """

    name: str
    label: str | Promise
    takes: str
    phrase: str | Promise


def _table(*operators: Operator) -> dict[str, Operator]:
    return {operator.name: operator for operator in operators}


_EMPTY = (
    Operator("is_known", _("is known"), "nothing", _("%(field)s is known")),
    Operator("is_unknown", _("is unknown"), "nothing", _("%(field)s is unknown")),
)
_NUMBER = (
    Operator("at_least", _("at least"), "number", _("%(field)s is at least %(value)s")),
    Operator("at_most", _("at most"), "number", _("%(field)s is at most %(value)s")),
    Operator("more_than", _("more than"), "number", _("%(field)s is more than %(value)s")),
    Operator("less_than", _("less than"), "number", _("%(field)s is less than %(value)s")),
    Operator("equals", _("exactly"), "number", _("%(field)s is exactly %(value)s")),
    *_EMPTY,
)

BY_KIND: dict[str, dict[str, Operator]] = {
    "text": _table(
        Operator("is", _("is"), "text", _("%(field)s is %(value)s")),
        Operator("is_not", _("is not"), "text", _("%(field)s is not %(value)s")),
        Operator("contains", _("contains"), "text", _("%(field)s contains %(value)s")),
        Operator("starts_with", _("starts with"), "text", _("%(field)s starts with %(value)s")),
        *_EMPTY,
    ),
    "number": _table(*_NUMBER),
    "money": _table(*_NUMBER),
    "share": _table(*_NUMBER),
    "date": _table(
        Operator("in_last_days", _("in the last … days"), "days", _("%(field)s was in the last %(value)s days")),
        Operator("before_last_days", _("more than … days ago"), "days", _("%(field)s was more than %(value)s days ago")),
        Operator("on_or_after", _("on or after"), "date", _("%(field)s was on or after %(value)s")),
        Operator("before", _("before"), "date", _("%(field)s was before %(value)s")),
        Operator("ever", _("ever"), "nothing", _("%(field)s ever happened")),
        Operator("never", _("never"), "nothing", _("%(field)s never happened")),
    ),
    "boolean": _table(Operator("is", _("is"), "boolean", _("%(field)s: %(value)s"))),
    "choice": _table(
        Operator("is", _("is"), "choice", _("%(field)s is %(value)s")),
        Operator("is_not", _("is not"), "choice", _("%(field)s is not %(value)s")),
        Operator("any_of", _("is any of"), "choices", _("%(field)s is any of %(value)s")),
        Operator("none_of", _("is none of"), "choices", _("%(field)s is none of %(value)s")),
    ),
    "tags": _table(
        Operator("any_of", _("include any of"), "choices", _("%(field)s include any of %(value)s")),
        Operator("all_of", _("include all of"), "choices", _("%(field)s include all of %(value)s")),
        Operator("none_of", _("include none of"), "choices", _("%(field)s include none of %(value)s")),
    ),
    "behaviour": _table(
        Operator("at_least", _("at least"), "window", _("%(field)s at least %(times)s times %(window)s")),
        Operator("fewer_than", _("fewer than"), "window", _("%(field)s fewer than %(times)s times %(window)s")),
        Operator("never", _("never"), "window", _("%(field)s: never %(window)s")),
    ),
}


class ValueRefused(ValueError):
    """The value does not fit the operator; the text says what was expected."""


def check(takes: str, value: object, allowed: frozenset[str] | None) -> Any:
    """Return the value in its settled form. allowed: the codes of a closed list, or None for an open one."""
    return _CHECKS[takes](value, allowed)


def _text(value: object, _allowed: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueRefused(str(_("a text is needed")))
    text = value.strip()
    # PostgreSQL cannot store NUL in text and would answer with an error of its own.
    if len(text) > LONGEST_TEXT or "\x00" in text:
        raise ValueRefused(str(_("the text is too long or has a forbidden character")))
    return text


def _number(value: object, _allowed: object) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > LARGEST_NUMBER:
        raise ValueRefused(str(_("a number is needed")))
    return value


def _whole(value: object, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueRefused(_("a whole number from %(least)s to %(most)s is needed") % {"least": least, "most": most})
    return value


def _days(value: object, _allowed: object) -> int:
    return _whole(value, 1, LONGEST_DAYS)


def _date(value: object, _allowed: object) -> str:
    try:
        day = date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        day = None
    if day is None or not 1900 <= day.year <= 2200:
        raise ValueRefused(str(_("a date such as 2026-03-31 is needed")))
    return day.isoformat()


def _boolean(value: object, _allowed: object) -> bool:
    if not isinstance(value, bool):
        raise ValueRefused(str(_("true or false is needed")))
    return value


def _choice(value: object, allowed: frozenset[str] | None) -> str:
    text = _text(value, None)
    if allowed is not None and text not in allowed:
        raise ValueRefused(_("“%(value)s” is not one of the choices") % {"value": text[:60]})
    return text


def _choices(value: object, allowed: frozenset[str] | None) -> list[str]:
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_CHOICES:
        raise ValueRefused(_("a list of 1 to %(most)s choices is needed") % {"most": MOST_CHOICES})
    return sorted({_choice(each, allowed) for each in value})


def _window(value: object, allowed: frozenset[str] | None) -> dict[str, Any]:
    """{"times": 3, "days": 90 | null (ever), "what": "tea" | null (anything)}; unknown keys are refused."""
    if not isinstance(value, Mapping) or set(value) - {"times", "days", "what"}:
        raise ValueRefused(str(_("an object with times, days and what is needed")))
    return {
        "times": _whole(value.get("times", 1), 1, MOST_TIMES),
        "days": None if value.get("days") is None else _whole(value["days"], 1, LONGEST_DAYS),
        "what": None if value.get("what") in (None, "") else _choice(value["what"], allowed),
    }


def _nothing(value: object, _allowed: object) -> None:
    if value is not None:
        raise ValueRefused(str(_("this operator takes no value")))


_CHECKS: dict[str, Callable[[Any, Any], Any]] = {
    "text": _text,
    "number": _number,
    "days": _days,
    "date": _date,
    "boolean": _boolean,
    "choice": _choice,
    "choices": _choices,
    "window": _window,
    "nothing": _nothing,
}
