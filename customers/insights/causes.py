"""Why customers leave, why goods come back, and what reviews say."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from crm.core import charts
from crm.core.learning import modelstore
from crm.core.learning.reports import ModelReport
from customers import return_reasons
from customers.insights import aspects, queries
from customers.insights.naming import named
from customers.insights.sheets import Offer, Sheet
from customers.portrayal.risk import feature_words

AT_RISK, MOST_ROWS, YEAR, FEWEST_REVIEWS = 0.5, 12, 365, 3


def churn_sheets() -> list[Sheet]:
    """Return how risk is spread, what is at stake, and what drives it. Three queries."""
    currency = queries.main_currency()
    found = queries.risks(currency=currency)
    counts, stake = [0] * 10, [0.0] * 10
    for tenth, people, amount in found:
        counts[int(tenth)], stake[int(tenth)] = people, amount
    edges = [index / 10 for index in range(11)]
    spread = charts.histogram(edges=edges, counts=counts, title=_("Customers by risk"), show=charts.as_percent.short, value_title=_("Risk"))
    rows = [[edges[index], edges[index + 1], counts[index], stake[index]] for index in range(10)]
    offers = [Offer(f"churn:{least}", _("risk from %(share)s") % {"share": charts.as_percent.short(least)}) for least in (0.5, 0.7)] if found else []
    note = "" if found else _("Risks appear once a churn model serves.")
    return [Sheet("risk", spread, ["from", "to", "customers", "value_365"], rows if found else [], offers, note), _drivers()]


def _drivers() -> Sheet:
    """Return what weighs most: of customers at risk where their reasons are kept, else over all rows the model learned from."""
    header = ["reason", "customers_made_likelier", "mean_size_log_odds", "mean_effect_log_odds"]
    found = queries.drivers(least=AT_RISK)
    title = _("What weighs most in the risk")
    if found:
        chart = charts.bars(
            [(feature_words(code)[0], size) for code, _n, size, _effect in found[:MOST_ROWS]], title=title, label_title=_("Reason"), value_title=_("Weight")
        )
        return Sheet(
            "drivers",
            chart,
            header,
            found,
            note=_("Mean size in log-odds over customers with a risk of at least %(share)s.") % {"share": charts.as_percent.short(AT_RISK)},
        )
    champion = modelstore.champion("churn")
    table = ModelReport.from_dict(champion.report).table("drivers") if champion else None
    if table is None or not table.rows:
        return Sheet("drivers", charts.chart.empty("bars", title, header[:2]), header, [], note=_("Reasons appear once a churn model serves."))
    pairs = [(str(row[0]), float(row[1])) for row in table.rows]
    chart = charts.bars([(feature_words(code)[0], weight) for code, weight in pairs[:MOST_ROWS]], title=title, label_title=_("Reason"), value_title=_("Weight"))
    return Sheet("drivers", chart, ["feature", "weight_log_odds"], pairs, note=_("Mean size in log-odds over everybody the model learned from."))


def return_sheets(*, at: datetime) -> list[Sheet]:
    """Return reasons by department and the rate of return of each. Two queries."""
    since = at - timedelta(days=YEAR)
    back, sold = queries.return_reasons(since=since, at=at), queries.sold(since=since, at=at)
    names = {slug: named(slug, translated) for slug, translated, *_rest in [*sold, *back]}
    pieces: dict[tuple[str, str], int] = {}
    for slug, _translated, reason, count in back:
        pieces[slug, reason] = pieces.get((slug, reason), 0) + int(count)
    by_reason: dict[str, int] = {}
    by_slug: dict[str, int] = {}
    for (slug, reason), count in pieces.items():
        by_reason[reason] = by_reason.get(reason, 0) + count
        by_slug[slug] = by_slug.get(slug, 0) + count
    reasons = sorted(by_reason, key=lambda reason: (-by_reason[reason], reason))[:8]
    slugs = sorted(by_slug, key=lambda slug: (-by_slug[slug], slug))[:MOST_ROWS]
    heat = charts.heat(
        rows=[names[slug] for slug in slugs],
        columns=[return_reasons.named(reason) or _("not given") for reason in reasons],
        values=[[pieces.get((slug, reason), 0) / by_slug[slug] for reason in reasons] for slug in slugs],
        title=_("Why goods came back, share of each department's returns"),
        row_title=_("Department"),
        show=charts.as_percent.short,
        sizes=[by_slug[slug] for slug in slugs],
        size_title=_("Pieces"),
    )
    bought = {slug: int(count) for slug, _translated, count in sold}
    rates = sorted(((slug, by_slug.get(slug, 0) / count) for slug, count in bought.items() if count), key=lambda pair: -pair[1])[:MOST_ROWS]
    chart = charts.bars(
        [(names[slug], rate) for slug, rate in rates], title=_("Pieces that came back of those sold"), label_title=_("Department"), show=charts.as_percent
    )
    offers = [Offer(f"returned:{slug}", names[slug]) for slug, _rate in rates[:6] if slug]
    reason_rows = [[slug, reason, count] for (slug, reason), count in sorted(pieces.items())]
    note = _("The last 12 months; a department is the highest category of a product.")
    return [
        Sheet("reasons", heat, ["department", "reason", "pieces"], reason_rows, note=note, wide=True),
        Sheet(
            "rates",
            chart,
            ["department", "sold", "returned", "rate"],
            [[slug, bought[slug], by_slug.get(slug, 0), rate] for slug, rate in rates],
            offers,
            wide=True,
        ),
    ]


def review_sheets(*, at: datetime) -> list[Sheet]:
    """Return what reviews praise and blame, by side and product, and the products with most negative reviews. Three queries."""
    since = at - timedelta(days=YEAR)
    found = queries.reviewed(since=since, at=at, least=FEWEST_REVIEWS)
    header = ["product", "name", "reviews", "mean_stars", "mean_mood", "negative"]
    rows = [[pk, name, count, stars, mood, negative] for pk, name, _names, count, stars, mood, negative in found]
    shares = sorted(
        ((named(name, names), negative / count) for _pk, name, names, count, _stars, _mood, negative in found if negative), key=lambda pair: -pair[1]
    )[:MOST_ROWS]
    chart = charts.bars(
        shares, title=_("Share of negative reviews, worst products first"), label_title=_("Product"), value_title=_("Negative"), show=charts.as_percent
    )
    offers = [Offer("unhappy", _("customers with negative reviews"))] if found else []
    note = _("Products with at least %(n)s reviews in the last 12 months.") % {"n": FEWEST_REVIEWS}
    return [*aspects.sheets(since=since, at=at), Sheet("negative", chart, header, rows, offers, note, wide=True)]
