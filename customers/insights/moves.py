"""Where customers move from month to month: between stages, between RFM groups."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from crm.core import charts, formats
from crm.core.learning import modelstore
from crm.core.learning.reports import ModelReport
from customers.insights import queries
from customers.insights.sheets import Sheet

MONTHS, LINES = 12, 6
Moves = Mapping[tuple[str, str], float]


def stages(labels: Mapping[str, str], *, at: datetime) -> list[Sheet]:
    """Return the moves kept month by month; while there are none, those the model reconstructs from the orders. labels: by code."""
    kept = queries.flow(since=at - timedelta(days=31 * MONTHS))
    title = _("From month to month: of those in a stage, where they stood a month later")
    if _is_telling(kept):
        return _kept("flow", "stage-months", labels, kept, title, _("Customers in each stage by month"))
    champion = modelstore.champion("lifecycle")
    table = ModelReport.from_dict(champion.report).table("stage_flow") if champion else None
    if table is None:
        return [_empty("flow", title, _("Moves appear when portraits of two months are kept, or a lifecycle model serves."))]
    moves = {(str(row[0]), str(row[1])): float(row[3]) for row in table.rows}
    return [_heat("flow", labels, moves, title, _("Reconstructed from the orders of the last months by the lifecycle model; a mean month."))]


def groups(labels: Mapping[str, str], *, at: datetime) -> list[Sheet]:
    """Return the moves between RFM groups kept month by month. labels: by code."""
    kept = queries.flow(since=at - timedelta(days=31 * MONTHS), of="rfm_group")
    title = _("From month to month: of those in an RFM group, where they stood a month later")
    if not _is_telling(kept):
        return [_empty("group-flow", title, _("Moves appear when portraits of two months are kept."))]
    return _kept("group-flow", "group-months", labels, kept, title, _("Customers in each RFM group by month"))


def _is_telling(kept: queries.Rows) -> bool:
    """Whether there is more than one month, or anybody moved within it."""
    return (bool(kept) and len({row[0] for row in kept}) > 1) or any(row[1] != row[2] for row in kept)


def _kept(name: str, months_name: str, labels: Mapping[str, str], kept: queries.Rows, title: str, months_title: str) -> list[Sheet]:
    moves: dict[tuple[str, str], float] = {}
    for _month, before, after, count, _rebuilt in kept:
        moves[before, after] = moves.get((before, after), 0) + count
    months = sorted({row[0] for row in kept})
    note = _("From the portraits kept since %(month)s; of the newest month so far.") % {"month": formats.month(months[0])}
    if rebuilt := [row[0] for row in kept if row[4]]:
        note += " " + _("Months up to %(month)s were made afterwards, from the facts of their first day.") % {"month": formats.month(max(rebuilt))}
    sheets = [_heat(name, labels, moves, title, note), _lines(months_name, labels, kept, months, months_title)]
    return [sheet for sheet in sheets if sheet is not None]


def _empty(name: str, title: str, note: str) -> Sheet:
    return Sheet(name, charts.chart.empty("heat", title, (_("From"),)), ["from", "to", "customers"], [], note=note, wide=True)


def _heat(name: str, labels: Mapping[str, str], moves: Moves, title: str, note: str) -> Sheet:
    befores = [code for code in labels if any(one == code for one, _two in moves)]
    afters = [code for code in labels if any(two == code for _one, two in moves)]
    totals = {code: sum(count for (one, _two), count in moves.items() if one == code) for code in befores}
    grid = [[moves.get((one, two), 0) / totals[one] if totals[one] else None for two in afters] for one in befores]
    heat = charts.heat(
        rows=[labels[code] for code in befores],
        columns=[labels[code] for code in afters],
        values=grid,
        title=title,
        row_title=_("From"),
        show=charts.as_percent.short,
        sizes=[round(totals[code]) for code in befores],
        size_title=_("Customers"),
    )
    return Sheet(name, heat, ["from", "to", "customers"], [[one, two, count] for (one, two), count in sorted(moves.items())], note=note, wide=True)


def _lines(name: str, labels: Mapping[str, str], kept: queries.Rows, months: list[date], title: str) -> Sheet | None:
    if len(months) < 2:
        return None
    counted: dict[tuple[date, str], int] = {}
    for month, before, _after, count, _rebuilt in kept:
        counted[month, before] = counted.get((month, before), 0) + count
    shown = [code for code in labels if any(counted.get((month, code)) for month in months)]
    # A chart of more lines than this cannot be read; the table and the file have all.
    largest = sorted(shown, key=lambda code: -sum(counted.get((month, code), 0) for month in months))[:LINES]
    chart = charts.line(
        {labels[code]: [counted.get((month, code), 0) for month in months] for code in shown if code in largest},
        labels=[formats.month(month) for month in months],
        title=title,
        label_title=pgettext("period", "Month"),
    )
    header = ["month", "stage" if name == "stage-months" else "group", "customers"]
    return Sheet(name, chart, header, [[month.isoformat(), code, count] for (month, code), count in sorted(counted.items())], wide=True)
