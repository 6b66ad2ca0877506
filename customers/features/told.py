"""Features of what came back, what was said in reviews, and what mail is allowed: one query each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from django.utils.translation import gettext_lazy as _

from customers.features import streams
from customers.features.groups import share
from customers.features.table import Feature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from customers.features.builder import Context
    from customers.features.scope import Scope
    from customers.features.table import Columns

FEATURES = (
    Feature("returns", _("Returns"), "count", "returns"),
    Feature("returns_90", _("Returns in the last 90 days"), "count", "returns"),
    Feature("returns_365", _("Returns in the last 365 days"), "count", "returns"),
    Feature("returned_share", _("Share of spending that came back"), "share", "returns"),
    Feature("return_rate", _("Returns per order"), "rate", "returns"),
    Feature("return_days", _("Days since the last return"), "days", "returns"),
    Feature("reviews", _("Reviews"), "count", "reviews"),
    Feature("stars", _("Mean stars given"), "rate", "reviews"),
    Feature("last_stars", _("Stars of the last review"), "rate", "reviews"),
    Feature("bad_reviews", _("Reviews with one or two stars"), "count", "reviews"),
    Feature("mood", _("Mood of the reviews"), "rate", "reviews"),
    Feature("review_days", _("Days since the last review"), "days", "reviews"),
    Feature("mail_allowed", _("Marketing mail is allowed"), "flag", "consent"),
)

_RETURNS = """
    SELECT r.customer_id AS customer, count(*) AS returns, sum(greatest(r.total_amount, 0) * {factor}) AS amount, extract(epoch FROM max(r.returned_at)) AS at,
           sum(CASE WHEN r.order_id IS NULL THEN greatest(r.total_amount, 0) * {factor} END) AS unmatched,
           count(*) FILTER (WHERE r.returned_at > %(since_90)s) AS returns_90, count(*) FILTER (WHERE r.returned_at > %(since_365)s) AS returns_365
    FROM customers_return r {currency} WHERE {who} AND r.returned_at <= %(as_of)s GROUP BY 1
"""
# A review's mood: what the serving model read in its words, else what its stars say.
_REVIEWS = """
    SELECT v.customer_id AS customer, count(*) AS reviews, avg(v.rating) AS stars, count(*) FILTER (WHERE v.rating <= 2) AS bad_reviews,
           (array_agg(v.rating ORDER BY v.written_at DESC, v.id DESC))[1] AS last_stars, extract(epoch FROM max(v.written_at)) AS at,
           avg(CASE WHEN v.sentiment_version = %(mood_version)s THEN v.sentiment ELSE (v.rating - 3) / 2.0 END) AS mood
    FROM customers_review v WHERE {who} AND v.written_at <= %(as_of)s GROUP BY 1
"""
_CONSENTS = """
    SELECT DISTINCT ON (e.customer_id) e.customer_id AS customer, (e.state = 'granted')::int AS mail_allowed
    FROM customers_consententry e
    WHERE {who} AND e.recorded_at <= %(as_of)s AND e.purpose = 'marketing' AND e.channel IN ('email', 'any')
    ORDER BY e.customer_id, e.recorded_at DESC, e.id DESC
"""


def columns(scope: Scope, context: Context, customers: NDArray[np.int64], bought: Columns) -> Columns:
    """Return the features of `customers` (ascending ids), and `unmatched_returns` in the main currency; three queries.

    bought: the features of their orders.
    """
    factor, currency = context.conversion("r")
    params = {**scope.params, **context.params, **context.since(365)}
    numbers = dict.fromkeys(("returns", "amount", "at", "unmatched", "returns_90", "returns_365"), "f8")
    back = _spread(_RETURNS.format(factor=factor, currency=currency, who=scope.where("r.customer_id")), params, numbers, customers)
    numbers = dict.fromkeys(("reviews", "stars", "bad_reviews", "last_stars", "at", "mood"), "f8")
    said = _spread(_REVIEWS.format(who=scope.where("v.customer_id")), params, numbers, customers)
    allowed = _spread(_CONSENTS.format(who=scope.where("e.customer_id")), params, {"mail_allowed": "f8"}, customers)
    gross = bought["spend_total"] + np.nan_to_num(back["amount"])
    return {
        "returns": np.nan_to_num(back["returns"]),
        "returns_90": np.nan_to_num(back["returns_90"]),
        "returns_365": np.nan_to_num(back["returns_365"]),
        "returned_share": share(np.nan_to_num(back["amount"]), gross),
        "return_rate": share(np.nan_to_num(back["returns"]), bought["orders"]),
        "return_days": (context.moment - back["at"]) / 86_400,
        "unmatched_returns": np.nan_to_num(back["unmatched"]),
        "reviews": np.nan_to_num(said["reviews"]),
        "stars": said["stars"],
        "last_stars": said["last_stars"],
        "bad_reviews": np.nan_to_num(said["bad_reviews"]),
        "mood": said["mood"],
        "review_days": (context.moment - said["at"]) / 86_400,
        "mail_allowed": allowed["mail_allowed"],
    }


def _spread(sql: str, params: dict[str, object], numbers: dict[str, str], customers: NDArray[np.int64]) -> Columns:
    """Return the query's columns laid out over the customers, NaN where it has no row."""
    found = streams.read(sql, params, {"customer": "i8", **numbers})
    return spread(found, tuple(numbers), customers)


def spread(found: dict[str, NDArray[np.generic]], names: tuple[str, ...], customers: NDArray[np.int64]) -> Columns:
    """Return columns with one row per customer they name as columns over all `customers`; others' rows are left out."""
    place = np.searchsorted(customers, found["customer"])
    inside = (place < len(customers)) & (customers[np.minimum(place, len(customers) - 1)] == found["customer"]) if len(customers) else np.zeros(0, dtype=bool)
    made: Columns = {}
    for name in names:
        made[name] = np.full(len(customers), np.nan)
        made[name][place[inside]] = found[name][inside]
    return made
