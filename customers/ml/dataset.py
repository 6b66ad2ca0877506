"""Rows out of the database for the customer models: set-based SQL into numpy columns, nothing later than `as_of`.

Only people count: rows merged away and nameless browsers stay out, as do cancelled orders.  Amounts are net of what had
come back from the order by then.  Shops that sell in several currencies: see `Currencies`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from django.db import connection

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

SECONDS_A_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Currencies:
    """How amounts of several currencies meet in one model: each is measured against its own typical order.

    main: the currency of most orders.  factor: per currency, how many units of `main` its unit stands for, the ratio
    of the two median orders.  No exchange rate is needed, and a model learns "twice the usual order", not yen.
    """

    main: str
    factor: dict[str, float]

    def of(self, currency: str) -> float:
        return self.factor.get(currency, 1.0)


@dataclass(frozen=True, slots=True)
class OrderRows:
    """One row per order, by customer and time.

    customer: (m,) int64 ids.  day: (m,) int64 UTC days since 1970.  amount: (m,) float, in `currencies.main`.
    as_of_day: the last whole day that may be known.
    """

    customer: NDArray[np.int64]
    day: NDArray[np.int64]
    amount: NDArray[np.float64]
    currencies: Currencies
    as_of_day: int

    def __len__(self) -> int:
        return len(self.customer)


@dataclass(frozen=True, slots=True)
class People:
    """Everyone a portrait is made of, by id.

    customer: (n,) int64 ids, ascending.  currency: (n,) codes, the shop's main one where the customer has none.
    unmatched_returns: (n,) float in `currencies.main`, what came back without a known order.
    reviews: (n,) how many reviews.  mood: (n,) their mean sentiment -1..1, NaN without one.
    """

    customer: NDArray[np.int64]
    currency: NDArray[np.str_]
    unmatched_returns: NDArray[np.float64]
    reviews: NDArray[np.int64]
    mood: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.customer)


@dataclass(frozen=True, slots=True)
class RatedReviews:
    """Reviews with stars and words, oldest first. at: (n,) seconds since 1970."""

    texts: list[str]
    ratings: NDArray[np.float64]
    at: NDArray[np.float64]


_ORDERS = """
    SELECT o.customer_id, floor(extract(epoch FROM o.placed_at) / 86400)::int,
           greatest(o.total_amount - coalesce(r.amount, 0), 0)::float8, o.currency
    FROM customers_order o
    JOIN customers_customer c ON c.id = o.customer_id AND c.merged_into_id IS NULL AND NOT c.is_anonymous AND NOT c.profiling_refused
    LEFT JOIN (
        SELECT order_id, sum(total_amount) AS amount FROM customers_return
        WHERE order_id IS NOT NULL AND returned_at <= %(as_of)s GROUP BY order_id
    ) r ON r.order_id = o.id
    WHERE o.placed_at <= %(as_of)s AND o.status <> 'cancelled'
    ORDER BY o.customer_id, o.placed_at, o.id
"""

_COUNTED = "o.placed_at <= %(as_of)s AND o.status <> 'cancelled' AND o.total_amount > 0"
# Medians sort every order, twelve seconds of ten million; a shop of one currency has nothing to measure against another.
_CURRENCIES = f"""
    WITH counted AS (SELECT o.currency, count(*) AS orders FROM customers_order o WHERE {_COUNTED} GROUP BY 1)
    SELECT currency, orders, CASE WHEN count(*) OVER () > 1 THEN (
        SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY o.total_amount)::float8 FROM customers_order o WHERE o.currency = counted.currency AND {_COUNTED}
    ) END
    FROM counted ORDER BY orders DESC, currency
"""  # noqa: S608 - our own words only

# A review's mood: what the model read in its words, else what its stars say.
_PEOPLE = """
    SELECT c.id, c.currency, coalesce(back.amount, 0)::float8, coalesce(said.reviews, 0), said.mood
    FROM customers_customer c
    LEFT JOIN (
        SELECT customer_id, sum(total_amount) AS amount FROM customers_return
        WHERE order_id IS NULL AND returned_at <= %(as_of)s GROUP BY customer_id
    ) back ON back.customer_id = c.id
    LEFT JOIN (
        SELECT customer_id, count(*) AS reviews,
               avg(CASE WHEN sentiment_version = %(version)s THEN sentiment ELSE (rating - 3) / 2.0 END)::float8 AS mood
        FROM customers_review WHERE written_at <= %(as_of)s AND customer_id IS NOT NULL GROUP BY customer_id
    ) said ON said.customer_id = c.id
    WHERE c.merged_into_id IS NULL AND NOT c.is_anonymous AND NOT c.profiling_refused
    ORDER BY c.id
"""


def as_of_day(as_of: datetime) -> int:
    """Return the UTC day of that moment, counted from 1970."""
    return int(as_of.timestamp() // SECONDS_A_DAY)


def currencies(*, as_of: datetime, default: str) -> Currencies:
    """Return the shop's currencies and their weights; one query. default: the main one of a shop without orders."""
    with connection.cursor() as cursor:
        cursor.execute(_CURRENCIES, {"as_of": as_of})
        found = cursor.fetchall()
    if not found:
        return Currencies(default, {})
    main, _count, typical = found[0]
    return Currencies(main, {main: 1.0} | {code: typical / median for code, _orders, median in found if median})


def order_rows(*, as_of: datetime, known: Currencies) -> OrderRows:
    """Return every order of every person up to `as_of`; one query. 400,000 orders take about 1.5 s."""
    with connection.cursor() as cursor:
        cursor.execute(_ORDERS, {"as_of": as_of})
        rows = cursor.fetchall()
    if not rows:
        empty = np.zeros(0, dtype=np.int64)
        return OrderRows(empty, empty.copy(), np.zeros(0), known, as_of_day(as_of))
    customer, day, amount, currency = zip(*rows, strict=True)
    money = np.array(amount, dtype=float)
    if len(known.factor) > 1:
        money *= np.array([known.of(code) for code in currency])
    return OrderRows(np.array(customer, dtype=np.int64), np.array(day, dtype=np.int64), money, known, as_of_day(as_of))


def people(*, as_of: datetime, known: Currencies, sentiment_version: int) -> People:
    """Return everyone, with returns that belong to no order and the mood of their reviews; one query.

    sentiment_version: reviews scored by that version count by their words, all others by their stars (0: all by stars).
    """
    with connection.cursor() as cursor:
        cursor.execute(_PEOPLE, {"as_of": as_of, "version": sentiment_version})
        rows = cursor.fetchall()
    customer, currency, back, reviews, mood = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    codes = [code or known.main for code in currency]
    factor = np.array([known.of(code) for code in codes]) if codes else np.zeros(0)
    return People(
        customer=np.array(customer, dtype=np.int64),
        currency=np.array(codes, dtype=np.str_),
        unmatched_returns=np.array(back, dtype=float) * factor,
        reviews=np.array(reviews, dtype=np.int64),
        mood=np.array([np.nan if each is None else each for each in mood], dtype=float),
    )


def rated_reviews(*, as_of: datetime) -> RatedReviews:
    """Return all reviews with stars and words written up to `as_of`, but of people who refuse to be profiled; one query."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT body, rating, extract(epoch FROM written_at)::float8 FROM customers_review
            WHERE rating IS NOT NULL AND body <> '' AND written_at <= %s
              AND NOT EXISTS (SELECT 1 FROM customers_customer c WHERE c.id = customer_id AND c.profiling_refused) ORDER BY written_at, id
            """,
            [as_of],
        )
        rows = cursor.fetchall()
    texts, ratings, at = zip(*rows, strict=True) if rows else ((), (), ())
    return RatedReviews(list(texts), np.array(ratings, dtype=float), np.array(at, dtype=float))
