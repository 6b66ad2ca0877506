"""Where customers stand: the RFM map, the stages and the moves between them, the spread of the value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from crm.core import charts, formats
from crm.core.learning import modelstore
from crm.core.learning.reports import ModelReport
from customers.insights import moves, queries
from customers.insights.sheets import Offer, Sheet
from customers.models import Customer
from customers.models.scores import RfmGroup, Stage

SCORES = (5, 4, 3, 2, 1)
MEASURES = ("customers", "spent", "value")
BINS, YEAR = 24, 365


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the RFM map, opened. top: its most valuable customers."""

    recency: int
    frequency: int
    customers: int
    spent: str
    value: str
    group: str
    top: tuple[Customer, ...]
    offer: Offer


def rfm_sheets(*, measure: str, at: datetime) -> list[Sheet]:
    """Return the 5 x 5 map of recency and frequency, each cell a link, the named groups and the moves between them. Three queries."""
    currency = queries.main_currency()
    cells = {(row[0], row[1]): row for row in queries.rfm(currency=currency)}
    place = {"customers": 2, "spent": 3, "value": 4}[measure]
    show = charts.as_number if measure == "customers" else charts.as_money(currency).short
    link = reverse("insights:page", args=["rfm"])
    heat = charts.heat(
        rows=[_("%(n)s (of 5)") % {"n": f} for f in SCORES],
        columns=[_("recency %(n)s") % {"n": r} for r in reversed(SCORES)],
        values=[[cells[r, f][place] if (r, f) in cells else None for r in reversed(SCORES)] for f in SCORES],
        title={
            "customers": _("Customers by recency and frequency"),
            "spent": _("Spent by recency and frequency"),
            "value": _("Mean 12-month value by recency and frequency"),
        }[measure],
        row_title=_("Frequency"),
        show=show,
        links=[[f"{link}?measure={measure}&r={r}&f={f}#cell" if (r, f) in cells else None for r in reversed(SCORES)] for f in SCORES],
    )
    header = ["recency", "frequency", "customers", "spent", "mean_value_365", "mean_monetary_score", "commonest_group"]
    groups = queries.rfm_groups()
    labels = dict(RfmGroup.choices)
    bars = charts.bars(
        [(str(labels.get(code, code)), count) for code, count in groups],
        title=_("Customers in each RFM group"),
        label_title=_("RFM group"),
    )
    return [
        Sheet("map", heat, header, [cells[key] for key in sorted(cells)], note=_("5 is the best fifth: bought lately, or bought often. Click a cell.")),
        Sheet("groups", bars, ["group", "customers"], groups),
        *moves.groups({str(code): str(label) for code, label in RfmGroup.choices}, at=at),
    ]


def rfm_cell(*, recency: int, frequency: int) -> Cell | None:
    """Return one cell with its most valuable customers, None for an empty one. Two queries."""
    currency = queries.main_currency()
    found = next((row for row in queries.rfm(currency=currency) if row[:2] == (recency, frequency)), None)
    if found is None:
        return None
    people = Customer.objects.people().filter(portrait__recency_score=recency, portrait__frequency_score=frequency)
    return Cell(
        recency=recency,
        frequency=frequency,
        customers=found[2],
        spent=formats.money_compact(found[3], currency),
        value=formats.money_compact(found[4], currency),
        group=str(dict(RfmGroup.choices).get(found[6], found[6])),
        top=tuple(people.select_related("portrait").order_by("-portrait__value_365", "pk")[:10]),
        offer=Offer(f"rfm:{recency}:{frequency}", _("Make a segment of these %(n)s") % {"n": formats.number(found[2])}),
    )


def lifecycle_sheets(*, at: datetime) -> list[Sheet]:
    """Return the stages, what is at stake in each, and the moves from month to month. Three queries."""
    currency = queries.main_currency()
    found = {row[0]: row for row in queries.stages(currency=currency)}
    labels = {str(code): str(label) for code, label in Stage.choices}
    known = [code for code in labels if code in found]
    counts = charts.bars(
        [(labels[code], found[code][1]) for code in known], title=_("Customers in each stage"), label_title=_("Stage"), value_title=_("Customers")
    )
    stake = charts.bars(
        [(labels[code], found[code][2]) for code in known], title=_("12-month value in each stage"), label_title=_("Stage"), show=charts.as_money(currency)
    )
    offers = [Offer(f"stage:{code}", labels[code]) for code in known]
    rows = [[code, *found[code][1:]] for code in known]
    return [
        Sheet("stages", counts, ["stage", "customers", "value_365", "mean_p_churn"], rows, offers),
        Sheet("stake", stake, ["stage", "customers", "value_365", "mean_p_churn"], rows),
        *moves.stages(labels, at=at),
    ]


def value_sheets(*, at: datetime) -> list[Sheet]:
    """Return the spread of the 12-month value and the tenths, predicted against realised. Four queries."""
    currency = queries.main_currency()
    money = charts.as_money(currency)
    found = queries.values(currency=currency, bins=BINS)
    points = queries.value_points(currency=currency)
    count, quantiles = (points[0][0], points[0][1]) if points else (0, None)
    top = float(found[0][3]) if found else 0.0
    edges, counts = [top * index / BINS for index in range(BINS + 1)], [0] * BINS
    for bin_, people, *_rest in found:
        counts[int(bin_) - 1] = people
    spread = charts.histogram(
        edges=edges,
        counts=counts,
        title=_("Spread of the 12-month value"),
        median=quantiles[0] if quantiles else None,
        show=money.short,
        value_title=_("Value"),
    )
    offers = [] if not quantiles else [Offer(f"value:{quantiles[2]:.2f}", _("the top tenth")), Offer(f"value:{quantiles[1]:.2f}", _("the top fifth"))]
    note = (
        ngettext(
            "%(n)s customer with a value above zero; the last bar holds everyone beyond.",
            "%(n)s customers with a value above zero; the last bar holds everyone beyond.",
            count,
        )
        % {"n": formats.number(count)}
        if count
        else ""
    )
    rows = [[edges[int(bin_) - 1], edges[int(bin_)], people, amount] for bin_, people, amount, _top in found]
    return [Sheet("spread", spread, ["from", "to", "customers", "value_365"], rows, offers, note, wide=True), _deciles(currency, at)]


def _deciles(currency: str, at: datetime) -> Sheet:
    """Return what the tenths were expected to spend and what they spent: of the serving model's held-out period, else of kept portraits."""
    money = charts.as_money(currency)
    header = ["tenth", "customers", "predicted", "realised"]
    title = _("Predicted against realised, by tenths of the prediction")
    champion = modelstore.champion("value")
    table = ModelReport.from_dict(champion.report).table("deciles") if champion else None
    if table is not None and table.rows:
        rows = [list(row[:4]) for row in table.rows]
        note = _("Measured on the period held out at training, version %(n)s.") % {"n": champion.version if champion else 0}
    else:
        kept = queries.realised(currency=currency, since=at - timedelta(days=YEAR), at=at)
        rows = [[part, people, expected, paid] for part, people, expected, paid, _since in kept]
        days = (at - kept[0][4]).days if kept else 0
        note = ngettext("From the portraits of %(days)s day ago.", "From the portraits of %(days)s days ago.", days) % {"days": formats.number(days)}
        if days < 30:
            return Sheet(
                "deciles", charts.chart.empty("bars", title, header), header, [], note=_("Appears once portraits of at least 30 days ago are kept."), wide=True
            )
    chart = charts.grouped(
        {_("Predicted"): [row[2] for row in rows], _("Realised"): [row[3] for row in rows]},
        labels=[_("tenth %(n)s") % {"n": row[0]} for row in rows],
        title=title,
        label_title=_("Tenth, highest first"),
        show=money,
    )
    return Sheet("deciles", chart, header, rows, note=note, wide=True)
