"""The insight pages: which figures stand on which, with their switches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from django.core.cache import cache
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from crm.core.events import publish
from customers.events import InsightAged
from customers.insights import causes, queries, retention, stock
from customers.insights.sheets import Sheet

NAMES: Mapping[str, str | Promise] = {
    "retention": gettext_lazy("Retention"),
    "rfm": gettext_lazy("RFM map"),
    "lifecycle": gettext_lazy("Lifecycle"),
    "value": gettext_lazy("Customer value"),
    "churn": gettext_lazy("Churn"),
    "returns": gettext_lazy("Returns"),
    "reviews": gettext_lazy("Reviews"),
}
LEADS: Mapping[str, str | Promise] = {
    "retention": gettext_lazy("How many come back, by the period of their first order."),
    "rfm": gettext_lazy("Who bought lately, often and for much. Click a cell to see who is in it."),
    "lifecycle": gettext_lazy("Where customers stand and where they move."),
    "value": gettext_lazy("What customers are worth over the next 12 months, and how well that was foretold."),
    "churn": gettext_lazy("Who is likely to leave, what is at stake, and why."),
    "returns": gettext_lazy("What comes back, and why."),
    "reviews": gettext_lazy("What customers write about products."),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """One position of a switch."""

    label: str
    url: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class InsightPage:
    """cell: of the RFM map, opened; None on other pages.  as_of: when the oldest figure was counted."""

    name: str
    title: str
    lead: str
    tabs: Sequence[Choice]
    switch_title: str
    switch: Sequence[Choice]
    sheets: Sequence[Sheet]
    cell: stock.Cell | None
    as_of: datetime | None


def insight_page(*, name: str, params: Mapping[str, str], at: datetime) -> InsightPage:
    """Return one page. Raises KeyError for an unknown name. Nonsense in the parameters is ignored.

    Figures older than a few minutes are shown with their time, and a worker is asked for new ones.
    """
    title, seen = NAMES[name], queries.Freshness()
    token = queries.freshness.set(seen)
    try:
        page = _page(name, str(title), params, at)
    finally:
        queries.freshness.reset(token)
    current = next((value for parameter in ("unit", "measure") if (value := params.get(parameter))), "")
    if seen.is_stale and cache.add(f"insights:renewing:{name}:{current[:20]}", 1, queries.RENEW_SECONDS):
        publish(InsightAged(name, {parameter: value for parameter, value in params.items() if parameter in {"unit", "measure"}}))
    return replace(page, as_of=datetime.fromtimestamp(seen.oldest, tz=UTC) if seen.oldest else None)


def renew(*, name: str, params: Mapping[str, str], at: datetime) -> None:
    """Ask everything a page shows anew and keep it; for workers."""
    token = queries.freshness.set(queries.Freshness(must_ask=True))
    try:
        _page(name, "", params, at)
    finally:
        queries.freshness.reset(token)


def _page(name: str, title: str, params: Mapping[str, str], at: datetime) -> InsightPage:
    url = reverse("insights:page", args=[name])
    switch_title, choices, current, cell = "", [], "", None
    if name == "retention":
        current = params.get("unit", "") if params.get("unit") in retention.UNITS else retention.UNITS[0]
        switch_title, choices = _("Group by"), [("unit", "month", pgettext("group by", "month")), ("unit", "week", pgettext("group by", "week"))]
    elif name == "rfm":
        current = params.get("measure", "") if params.get("measure") in stock.MEASURES else stock.MEASURES[0]
        switch_title = _("Show")
        choices = [("measure", "customers", _("customers")), ("measure", "spent", _("spent")), ("measure", "value", _("12-month value"))]
        recency, frequency = params.get("r", ""), params.get("f", "")
        if recency in {"1", "2", "3", "4", "5"} and frequency in {"1", "2", "3", "4", "5"}:
            cell = stock.rfm_cell(recency=int(recency), frequency=int(frequency))
    return InsightPage(
        name=name,
        title=title,
        lead=str(LEADS[name]),
        tabs=[Choice(str(label), reverse("insights:page", args=[each]), each == name) for each, label in NAMES.items()],
        switch_title=switch_title,
        switch=[Choice(label, f"{url}?{parameter}={value}", value == current) for parameter, value, label in choices],
        sheets=_sheets(name, current, at),
        cell=cell,
        as_of=None,
    )


def _sheets(name: str, current: str, at: datetime) -> list[Sheet]:
    if name == "retention":
        return retention.sheets(unit=current, at=at)
    if name == "rfm":
        return stock.rfm_sheets(measure=current, at=at)
    if name == "churn":
        return causes.churn_sheets()
    made = {
        "lifecycle": stock.lifecycle_sheets,
        "value": stock.value_sheets,
        "returns": causes.return_sheets,
        "reviews": causes.review_sheets,
    }[name]
    return made(at=at)
