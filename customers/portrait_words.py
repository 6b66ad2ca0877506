"""The words for a portrait's facts, in the reader's language; nothing here queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from crm.core import formats
from customers.models import Portrait


@dataclass(frozen=True, slots=True)
class Reason:
    """One sentence. effect: how much money it adds to the 12-month value, None where it is no amount.  code: as stored."""

    text: str
    effect: float | None = None
    code: str = ""

    @property
    def sign(self) -> str:
        if not self.effect:
            return ""
        return "up" if self.effect > 0 else "down"


@dataclass(frozen=True, slots=True)
class Words:
    """Why the stage, and what the value is made of (the effects add up to it; the first is the shop's average)."""

    stage: tuple[Reason, ...]
    value: tuple[Reason, ...]


def words(portrait: Portrait) -> Words:
    """Return the reasons of a portrait as sentences; unknown codes (from a newer program) are left out."""
    reasons: Mapping[str, Any] = portrait.reasons or {}
    return Words(
        stage=_told(reasons.get("stage", ()), portrait.currency),
        value=_told(reasons.get("value", ()), portrait.currency),
    )


def likelihood(share: float) -> str:
    """Return a probability as a word, as people say it before the number."""
    for least, word in ((0.8, _("very likely")), (0.6, _("likely")), (0.4, _("uncertain")), (0.2, _("unlikely"))):
        if share >= least:
            return word
    return _("very unlikely")


def mood(sentiment: float) -> str:
    """Return a mood of -1..1 as a word."""
    if sentiment > 0.3:
        return _("positive")
    return _("negative") if sentiment < -0.3 else _("mixed")


def _told(reasons: Sequence[Mapping[str, Any]], currency: str) -> tuple[Reason, ...]:
    told = []
    for reason in reasons:
        make = _SENTENCES.get(str(reason.get("code")))
        if make is None:
            continue
        data = reason.get("data", {})
        effect = data.get("effect")
        told.append(Reason(make(data, currency), float(effect) if effect is not None else None, str(reason.get("code"))))
    return tuple(told)


def _days(count: float) -> str:
    return ngettext("%(days)s day", "%(days)s days", int(count)) % {"days": formats.number(count)}


def _overdue(data: Mapping[str, Any], _currency: str) -> str:
    return _("Silent for %(silence)s; usually orders again after about %(gap)s (%(times)s times as long)") % {
        "silence": _days(data["silence_days"]),
        "gap": _days(data["expected_gap_days"]),
        "times": formats.number(data["times"]),
    }


def _on_time(data: Mapping[str, Any], _currency: str) -> str:
    return _("Last order %(silence)s ago, within the usual %(gap)s or so") % {"silence": _days(data["silence_days"]), "gap": _days(data["expected_gap_days"])}


def _count(data: Mapping[str, Any], _currency: str) -> str:
    # Several orders of one day count once, so these are days, not orders.
    return _("Ordered on %(days)s so far; customers count as loyal from %(loyal)s") % {"days": _days(data["count"]), "loyal": _days(data["loyal_from"])}


def _first(data: Mapping[str, Any], _currency: str) -> str:
    return _("One order, %(days)s ago") % {"days": _days(data["days"])}


def _back(data: Mapping[str, Any], _currency: str) -> str:
    return _("Came back %(silence)s ago after a silence of %(gap)s") % {"silence": _days(data["silence_days"]), "gap": _days(data["gap_days"])}


def _none(_data: Mapping[str, Any], _currency: str) -> str:
    return _("No order yet")


def _neighbours(data: Mapping[str, Any], _currency: str) -> str:
    return _("Of %(asked)s people who had browsed like this, %(bought)s ordered within %(days)s") % {
        "asked": formats.number(data["asked"]),
        "bought": formats.number(data["bought"]),
        "days": _days(data["days"]),
    }


def _base(_data: Mapping[str, Any], _currency: str) -> str:
    return _("The shop's average buyer")


def _frequency(data: Mapping[str, Any], _currency: str) -> str:
    return _("Ordered on %(orders)s of %(days)s") % {"orders": formats.number(data["orders"]), "days": _days(data["days"])}


def _silence(data: Mapping[str, Any], _currency: str) -> str:
    return _("Silent for %(days)s") % {"days": _days(data["days"])}


def _amount(data: Mapping[str, Any], currency: str) -> str:
    return _("%(amount)s per order (typical: %(typical)s)") % {
        "amount": formats.money_compact(data["amount"], currency),
        "typical": formats.money_compact(data["typical"], currency),
    }


_SENTENCES = {
    "overdue": _overdue,
    "on_time": _on_time,
    "orders": _count,
    "first_order": _first,
    "came_back": _back,
    "no_orders": _none,
    "neighbours": _neighbours,
    "base": _base,
    "frequency": _frequency,
    "silence": _silence,
    "amount": _amount,
}
