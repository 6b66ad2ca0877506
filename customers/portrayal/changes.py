"""What is different from a month ago, in words. Reads `Portrait.changes`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _

from crm.core import formats
from customers.models import Portrait
from customers.models.scores import RfmGroup, Stage

# Smaller moves than these are noise: points of probability, and shares of an amount or count.
POINTS, SHARE = 0.03, 0.05


@dataclass(frozen=True, slots=True)
class Change:
    """code: the column.  tone: whether it is good news: success, danger or neutral."""

    code: str
    text: str
    tone: str


@dataclass(frozen=True, slots=True)
class Changes:
    """since: None where there is nothing to compare with."""

    since: date | None
    lines: tuple[Change, ...]


def since_last_month(row: Portrait) -> Changes:
    """Return what changed; noise is left out, so `lines` may be empty although `since` is known."""
    stored: Mapping[str, Any] = row.changes if isinstance(row.changes, Mapping) else {}
    try:
        since = parse_date(str(stored.get("since") or ""))
    except ValueError:
        since = None
    lines = [
        line
        for code, pair in stored.items()
        if code != "since" and isinstance(pair, list | tuple) and len(pair) == 2
        if (line := _line(code, pair[0], pair[1], row))
    ]
    return Changes(since, tuple(lines))


def _line(code: str, before: Any, now: Any, row: Portrait) -> Change | None:
    if code in {"stage", "rfm_group"}:
        return _moved(code, before, now)
    if not _is_number(before) or not _is_number(now):
        return None
    if code in {"p_churn", "p_active", "p_purchase_30", "p_return"}:
        if abs(now - before) < POINTS:
            return None
        words = {
            "p_churn": _("Risk of losing them went from %(before)s to %(now)s"),
            "p_active": _("Probability of being active went from %(before)s to %(now)s"),
            "p_purchase_30": _("Chance of an order within 30 days went from %(before)s to %(now)s"),
            "p_return": _("Chance of a return within 100 days went from %(before)s to %(now)s"),
        }[code]
        return Change(
            code,
            words % {"before": formats.percent(before), "now": formats.percent(now)},
            _tone(now > before, up_is_good=code in {"p_active", "p_purchase_30"}),
        )
    if before == now or abs(now - before) < SHARE * max(abs(before), abs(now)):
        return None
    if code == "value_365":
        told = {"before": formats.money_compact(before, row.currency or None), "now": formats.money_compact(now, row.currency or None)}
        return Change(code, _("Value in 12 months went from %(before)s to %(now)s") % told, _tone(now > before, up_is_good=True))
    words = {
        "orders_count": _("Orders went from %(before)s to %(now)s"),
        "expected_orders_90": _("Orders expected in 90 days went from %(before)s to %(now)s"),
    }.get(code, "")
    return Change(code, words % {"before": formats.number(before, 1), "now": formats.number(now, 1)}, _tone(now > before, up_is_good=True)) if words else None


def _moved(code: str, before: Any, now: Any) -> Change | None:
    labels: dict[str, Any] = dict(Stage.choices if code == "stage" else RfmGroup.choices)
    if before == now or before not in labels or now not in labels:
        return None
    told = {"before": str(labels[before]), "now": str(labels[now])}
    if code == "rfm_group":
        return Change(code, _("RFM group went from %(before)s to %(now)s") % told, "neutral")
    tone = "danger" if now in {Stage.AT_RISK, Stage.LAPSED} else "success" if now in {Stage.LOYAL, Stage.GROWING, Stage.REACTIVATED} else "neutral"
    return Change(code, _("Stage went from %(before)s to %(now)s") % told, tone)


def _tone(went_up: bool, *, up_is_good: bool) -> str:
    return "success" if went_up is up_is_good else "danger"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
