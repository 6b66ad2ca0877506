"""The claims of a portrait, one by one: word, number, interval, which model said so, and whether people agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from crm.core import formats
from customers.models import Portrait
from customers.models.scores import Stage
from customers.portrait_words import likelihood, mood

# Which training task speaks in which statement; `versions` of the row says which version of it, 0 for its stated baseline.
TASKS = {
    "stage": "lifecycle",
    "active": "value",
    "orders_90": "value",
    "value_365": "value",
    "next_order": "value",
    "churn": "churn",
    "purchase_30": "next_purchase",
    "return": "returns",
    "mood": "sentiment",
}
LABELS: Mapping[str, str | Promise] = {
    "stage": gettext_lazy("Stage"),
    "value_365": gettext_lazy("Value in 12 months"),
    "churn": gettext_lazy("Risk of losing them"),
    "active": gettext_lazy("Still active"),
    "orders_90": gettext_lazy("Orders expected in 90 days"),
    "next_order": gettext_lazy("Next order expected"),
    "purchase_30": gettext_lazy("Order within 30 days"),
    "return": gettext_lazy("Returns something within 100 days"),
    "mood": gettext_lazy("Mood of reviews"),
}


@dataclass(frozen=True, slots=True)
class Statement:
    """One claim. code: as in PortraitFeedback.statement.  word: what a person would say; number: the figure behind it.

    interval: '¥80 to ¥120' or ''.  note: what it is about, in small print.  version: of the model, 0 for its baseline.
    said: the raw figures, kept beside an answer.
    """

    code: str
    label: str
    word: str
    number: str
    interval: str
    note: str
    task: str
    version: int
    said: Mapping[str, object]


# From here on a probability of being active is the model's starting point, not a finding.
CERTAIN = 0.9995


def of(row: Portrait) -> list[Statement]:
    """Return the statements this portrait makes, most telling first; what no model said is left out. No query."""
    made: list[Statement] = []

    def say(code: str, value: object, *, word: str = "", number: str = "", interval: str = "", note: str = "", **said: object) -> None:
        if value is None or value == "":
            return
        task = TASKS[code]
        known = {name: raw if isinstance(raw, str | int | float | None) else str(raw) for name, raw in {"value": value, **said}.items()}
        made.append(Statement(code, str(LABELS[code]), word, number, interval, note, task, int((row.versions or {}).get(task, 0) or 0), known))

    currency = row.currency or None
    chances = stage_chances(row)
    own = next((share for code, _label, share in chances if code == row.stage), None)
    say("stage", row.stage, word=str(row.get_stage_display()), number="" if own is None else formats.percent(own), probability=own)
    say(
        "value_365",
        row.value_365,
        number=formats.money(row.value_365, currency),
        interval=between(row.value_365_low, row.value_365_high, lambda amount: formats.money_compact(amount, currency)),
        low=row.value_365_low,
        high=row.value_365_high,
    )
    say("churn", row.p_churn, word=risk_word(row.p_churn), number=formats.percent(row.p_churn), note=_("no order in the coming period"))
    # BG/NBD gives 1 to whoever ordered once, by construction: that says nothing of the person.
    if row.p_active is not None and row.p_active < CERTAIN:
        say("active", row.p_active, word=likelihood(row.p_active), number=formats.percent(row.p_active))
    low, high = orders_range(row)
    say(
        "orders_90",
        row.expected_orders_90,
        number=formats.number(row.expected_orders_90, 1),
        interval=between(low, high, lambda count: formats.number(round(float(count), 1))),
        low=low,
        high=high,
    )
    say("next_order", row.next_order_on, number=formats.day(row.next_order_on), note=_("if they stay"))
    say(
        "purchase_30",
        row.p_purchase_30,
        word="" if row.p_purchase_30 is None else likelihood(row.p_purchase_30),
        number=formats.percent(row.p_purchase_30),
    )
    say("return", row.p_return, word="" if row.p_return is None else likelihood(row.p_return), number=formats.percent(row.p_return))
    say(
        "mood",
        row.sentiment,
        word="" if row.sentiment is None else mood(row.sentiment),
        note=ngettext("%(reviews)s review", "%(reviews)s reviews", row.reviews_count) % {"reviews": formats.number(row.reviews_count)},
        reviews=row.reviews_count,
    )
    return made


def stage_chances(row: Portrait) -> list[tuple[str, str, float]]:
    """Return (code, label, probability) of the stages that are possible at all, likeliest first."""
    chances = row.stage_probabilities if isinstance(row.stage_probabilities, dict) else {}
    labels = {str(code): str(label) for code, label in Stage.choices}
    known = [
        (str(code), labels.get(str(code), str(code)), float(share)) for code, share in chances.items() if isinstance(share, int | float) and share >= 0.005
    ]
    return sorted(known, key=lambda chance: -chance[2])


def orders_range(row: Portrait) -> tuple[float | None, float | None]:
    """Return the interval of the orders expected in 90 days, from its columns or, for older rows, from their reasons."""
    if row.expected_orders_90_low is not None:
        return row.expected_orders_90_low, row.expected_orders_90_high
    spread = (row.reasons or {}).get("range", {}).get("orders_90", (None, None))
    return spread[0], spread[1]


def interval_level(row: Portrait) -> float:
    """Return the share of customers an interval is meant to hold; 0.8 unless the row says otherwise."""
    level = (row.reasons or {}).get("range", {}).get("level", 0.8)
    return float(level) if isinstance(level, int | float) else 0.8


def between(low: object, high: object, show: object) -> str:
    """Return 'low to high' as `show` writes them, '' where an end is unknown."""
    if low is None or high is None or not callable(show):
        return ""
    return _("%(low)s to %(high)s") % {"low": show(low), "high": show(high)}


def risk_word(share: float | None) -> str:
    """Return a churn probability as people say it."""
    if share is None:
        return ""
    for least, word in ((0.7, _("very high")), (0.5, _("high")), (0.3, _("medium")), (0.15, _("low"))):
        if share >= least:
            return word
    return _("very low")


def is_overdue(row: Portrait, today: date) -> bool:
    """Return whether the day of the expected order has passed without one."""
    return row.next_order_on is not None and row.next_order_on < today
