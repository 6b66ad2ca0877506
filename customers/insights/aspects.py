"""What reviews say of quality, size, delivery, price and service: over the shop and by product, with the words themselves."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from crm.core import charts
from customers.insights import queries
from customers.insights.naming import named
from customers.insights.sheets import Offer, Quotes, Sheet
from customers.review_aspects import LABELS

# Fewer mentions of a product than this are an anecdote; more products than this are no longer read.
FEWEST_MENTIONS, MOST_PRODUCTS, QUOTED_PRODUCTS, QUOTES_EACH = 3, 12, 6, 2


def sheets(*, since: datetime, at: datetime) -> list[Sheet]:
    """Return praise and blame of each side over the shop, and the share of blame by product. Two queries."""
    return [_sides(since, at), _products(since, at)]


def _sides(since: datetime, at: datetime) -> Sheet:
    found = {row[0]: row for row in queries.aspects(since=since, at=at)}
    known = [aspect for aspect in LABELS if aspect in found]
    title, header = _("What reviews praise and blame"), ["side", "praise", "blame"]
    note = _("Reviews of the last 12 months, English and Chinese, read by a list of words; a review may praise one side and blame another.")
    if not known:
        return Sheet("aspects", charts.chart.empty("bars", title, header), header, [], note=_("Appears with the first refresh after reviews came in."))
    chart = charts.grouped(
        {_("Praise"): [found[aspect][1] for aspect in known], _("Blame"): [found[aspect][2] for aspect in known]},
        labels=[str(LABELS[aspect]) for aspect in known],
        title=title,
        label_title=_("Side"),
    )
    blamed = [aspect for aspect in known if found[aspect][2]]
    offers = [Offer(f"blamed:{aspect}", _("complained: %(side)s") % {"side": LABELS[aspect]}) for aspect in blamed]
    offers += [Offer(f"praised:{aspect}", _("praised: %(side)s") % {"side": LABELS[aspect]}) for aspect in known if found[aspect][1]]
    quotes = [Quotes(str(LABELS[aspect]), _some(found[aspect][3]), _some(found[aspect][4])) for aspect in known]
    return Sheet("aspects", chart, header, [found[aspect][:3] for aspect in known], offers, note, wide=True, quotes=quotes)


def _products(since: datetime, at: datetime) -> Sheet:
    found = queries.aspect_products(since=since, at=at, least=FEWEST_MENTIONS, most=MOST_PRODUCTS)
    names = {pk: named(name, translated) for pk, name, translated, *_rest in found}
    cells = {(row[0], row[3]): row for row in found}
    products = list(names)
    heat = charts.heat(
        rows=[names[pk] for pk in products],
        columns=[str(label) for label in LABELS.values()],
        values=[[_blame(cells.get((pk, aspect))) for aspect in LABELS] for pk in products],
        title=_("Review aspects by product: share of blame"),
        row_title=_("Product"),
        show=charts.as_percent.short,
        sizes=[sum(row[4] + row[5] for (pk, _aspect), row in cells.items() if pk == product) for product in products],
        size_title=_("Mentions"),
    )
    quotes = []
    for pk in products[:QUOTED_PRODUCTS]:
        sides = [(aspect, cells[pk, aspect]) for aspect in LABELS if (pk, aspect) in cells]
        quotes.append(
            Quotes(names[pk], _first([row[6] for _aspect, row in sides]), _first([row[7] for _aspect, row in sorted(sides, key=lambda side: -side[1][5])]))
        )
    rows = [
        [pk, name, aspect, praise, blame, " | ".join(_texts(praised)), " | ".join(_texts(blamed))]
        for pk, name, _names, aspect, praise, blame, praised, blamed in found
    ]
    header = ["product", "name", "side", "praise", "blame", "praise_quotes", "blame_quotes"]
    note = _("Of the reviews that speak of this side, the share that blames it. Most blamed products first, of those with at least %(n)s mentions.") % {
        "n": FEWEST_MENTIONS
    }
    return Sheet("aspect-products", heat, header, rows, note=note, wide=True, quotes=quotes)


def _blame(row: tuple[Any, ...] | None) -> float | None:
    return None if row is None or not row[4] + row[5] else row[5] / (row[4] + row[5])


def _texts(quotes: Any) -> list[str]:
    """Return an array column as texts, each once; Django's own cursor may give it as JSON text."""
    quotes = json.loads(quotes) if isinstance(quotes, str) else quotes
    return list(dict.fromkeys(str(quote) for quote in quotes or () if quote))


def _some(quotes: Any) -> tuple[str, ...]:
    return tuple(_texts(quotes)[:QUOTES_EACH])


def _first(sides: list[Any]) -> tuple[str, ...]:
    """Return the surest quote of each of the first two sides that have any."""
    return tuple(texts[0] for quotes in sides if (texts := _texts(quotes)))[:QUOTES_EACH]
