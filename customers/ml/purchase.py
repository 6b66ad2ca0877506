"""Who buys from a category in the next month: what is known of customer and category, in words, set-wise out of SQL.

A row is a customer and a category at a moment; everything in it was known by then.  Each variable has a few named
values, so that the network can be read; what cannot be known (the price someone is used to before their first order)
is unknown and not a value of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from django.db import connection

from customers.ml.network.inference import posterior
from customers.ml.network.model import UNKNOWN, Network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

BUYS = "buys"
# Days looked ahead, and days of browsing looked back.
HORIZON_DAYS = 30
BROWSING_DAYS = 30
NEAR_DAYS = 365
DEMAND_DAYS = 90
# Orders with a discount among all: from half on it is a habit.
OFTEN_DISCOUNTED = 0.5
# A category whose usual price is this much below or above what the customer usually pays.
CHEAPER, DEARER = 0.7, 1.4
STATES: dict[str, tuple[str, ...]] = {
    BUYS: ("no", "yes"),
    "browsed": ("never", "viewed", "added"),
    "bought_same": ("never", "once", "repeatedly"),
    "bought_near": ("no", "yes"),
    "last_order": ("never", "month", "quarter", "year", "longer"),
    "visits": ("none", "some", "many"),
    "discounts": ("never", "sometimes", "often"),
    "price_band": ("cheaper", "usual", "dearer"),
    "demand": ("low", "middle", "high"),
}
# Only where CRM_SENSITIVE_TRAITS is on.
SENSITIVE: dict[str, tuple[str, ...]] = {
    "age_band": ("under_30", "30_44", "45_59", "60_up"),
    "gender": ("female", "male", "other"),
}
VIEWED = ("Product Viewed", "Product Clicked")
ADDED = ("Product Added", "Product Added to Wishlist", "Checkout Started")


@dataclass(frozen=True, slots=True)
class Categories:
    """What was sold and for how much. id: (k,) ascending. parent: (k,) 0 for none. price: (k,) usual, NaN where none.
    demand: (k,) 0 low to 2 high.
    """

    id: Integers
    parent: Integers
    price: NDArray[np.float64]
    demand: Integers

    def __len__(self) -> int:
        return len(self.id)


@dataclass(frozen=True, slots=True)
class Grid:
    """Every customer with every category.  names: variables without the outcome.  codes: (n, k, v).  customer: (n,)."""

    names: tuple[str, ...]
    codes: Integers
    customer: Integers
    categories: Categories

    def rows(self, outcome: Integers | None = None) -> Integers:
        """Return (n x k, 1 + v): the outcome first, UNKNOWN where it is not given, (n, k)."""
        flat = self.codes.reshape(-1, self.codes.shape[2])
        first = np.full((len(flat), 1), UNKNOWN, dtype=np.int64) if outcome is None else outcome.reshape(-1, 1)
        return np.concatenate([first, flat], axis=1)


@dataclass(frozen=True, slots=True)
class PurchaseModel:
    """A trained network with the categories as they sold when it learned; what the serving side reads.

    base: probability of buying when nothing is known.
    """

    network: Network
    categories: Categories
    sensitive: bool
    version: int
    base: float

    def beside(self, category: int, parent: int) -> Categories:
        """Return the category with those of the same parent; one nobody had sold has an unknown price and demand."""
        every = self.categories
        inside = (every.id == category) | ((every.parent == parent) & (parent > 0))
        found = Categories(every.id[inside], every.parent[inside], every.price[inside], every.demand[inside])
        if category in found.id:
            return found
        at = int(np.searchsorted(found.id, category))
        return Categories(
            np.insert(found.id, at, category), np.insert(found.parent, at, parent), np.insert(found.price, at, np.nan), np.insert(found.demand, at, UNKNOWN)
        )

    def usual(self, of: Categories) -> NDArray[np.float64]:
        """Return the probability of buying from each category when nothing is known of the customer; (k,)."""
        rows = np.full((len(of), len(self.network.names)), UNKNOWN)
        rows[:, self.network.names.index("demand")] = of.demand
        return posterior(self.network, BUYS, rows)[0][:, 1]


def variables(*, sensitive: bool) -> dict[str, tuple[str, ...]]:
    """Return every variable with its values, the outcome first."""
    return STATES | SENSITIVE if sensitive else dict(STATES)


_CATEGORIES = """
    SELECT p.category_id, coalesce(g.parent_id, 0), percentile_cont(0.5) WITHIN GROUP (ORDER BY l.unit_amount)::float8,
           count(*) FILTER (WHERE o.placed_at > %(since)s)
    FROM customers_orderline l
    JOIN customers_order o ON o.id = l.order_id AND o.status <> 'cancelled' AND o.placed_at <= %(as_of)s
    JOIN customers_product p ON p.id = l.product_id AND p.is_goods
    JOIN customers_category g ON g.id = p.category_id
    GROUP BY 1, 2 ORDER BY count(*) DESC, 1 LIMIT %(most)s
"""
_WHO = """
    SELECT c.id, c.gender, c.birth_date FROM customers_customer c
    WHERE c.merged_into_id IS NULL AND NOT c.is_anonymous AND NOT c.profiling_refused AND c.first_seen_at <= %(as_of)s
      AND (%(only)s::bigint[] IS NULL OR c.id = ANY(%(only)s))
    ORDER BY c.id
"""
# The orders of a person: the last, how many, how many with a discount, and what one piece usually cost them.
_ORDERS = """
    SELECT o.customer_id, max(o.placed_at), count(*), count(*) FILTER (WHERE o.discount_amount > 0 OR o.coupon <> ''), avg(paid.amount)::float8
    FROM customers_order o
    LEFT JOIN LATERAL (SELECT avg(l.unit_amount) AS amount FROM customers_orderline l WHERE l.order_id = o.id) paid ON true
    WHERE o.customer_id = ANY(%(customers)s) AND o.placed_at <= %(as_of)s AND o.status <> 'cancelled'
    GROUP BY 1
"""
_BOUGHT = """
    SELECT o.customer_id, p.category_id, count(DISTINCT o.id), max(o.placed_at) > %(near)s
    FROM customers_order o
    JOIN customers_orderline l ON l.order_id = o.id
    JOIN customers_product p ON p.id = l.product_id AND p.category_id = ANY(%(categories)s)
    WHERE o.customer_id = ANY(%(customers)s) AND o.placed_at <= %(as_of)s AND o.status <> 'cancelled'
    GROUP BY 1, 2
"""
_BROWSED = """
    SELECT a.customer_id, p.category_id, max(CASE WHEN a.name = ANY(%(added)s) THEN 2 ELSE 1 END)
    FROM customers_activity a
    JOIN customers_product p ON p.id = a.product_id AND p.category_id = ANY(%(categories)s)
    WHERE a.customer_id = ANY(%(customers)s) AND a.occurred_at > %(since)s AND a.occurred_at <= %(as_of)s
      AND a.name = ANY(%(names)s)
    GROUP BY 1, 2
"""
_VISITS = """
    SELECT customer_id, count(DISTINCT date_trunc('day', occurred_at, 'UTC')) FROM customers_activity
    WHERE customer_id = ANY(%(customers)s) AND occurred_at > %(since)s AND occurred_at <= %(as_of)s
    GROUP BY 1
"""
_OUTCOME = """
    SELECT DISTINCT o.customer_id, p.category_id
    FROM customers_order o
    JOIN customers_orderline l ON l.order_id = o.id
    JOIN customers_product p ON p.id = l.product_id AND p.category_id = ANY(%(categories)s)
    WHERE o.customer_id = ANY(%(customers)s) AND o.placed_at > %(as_of)s AND o.placed_at <= %(until)s AND o.status <> 'cancelled'
"""


def categories(*, as_of: datetime, most: int = 200) -> Categories:
    """Return the categories sold by then, the most sold if there are more than `most`; one query."""
    rows = sorted(_fetched(_CATEGORIES, {"as_of": as_of, "since": as_of - timedelta(days=DEMAND_DAYS), "most": most}))
    sold = np.array([row[3] for row in rows], dtype=float)
    # Terciles by rank, so that a shop whose categories all sell alike still has three groups of about one size.
    rank = np.argsort(np.argsort(sold, kind="stable"), kind="stable")
    return Categories(
        id=np.array([row[0] for row in rows], dtype=np.int64),
        parent=np.array([row[1] for row in rows], dtype=np.int64),
        price=np.array([np.nan if row[2] is None else row[2] for row in rows], dtype=float),
        demand=(3 * rank // max(len(rows), 1)).astype(np.int64),
    )


def people(*, as_of: datetime, only: Sequence[int] | None = None) -> list[tuple[int, str, object]]:
    """Return (id, gender, date of birth) of everyone who may be profiled, by id; one query. only: ids to keep to."""
    return [(row[0], row[1], row[2]) for row in _fetched(_WHO, {"as_of": as_of, "only": None if only is None else list(only)})]


def grid(*, who: Sequence[tuple[int, str, object]], of: Categories, as_of: datetime, sensitive: bool) -> Grid:
    """Return what is known of these people and categories at that moment; four queries.

    who: of `people`.  Meant for up to about 200,000 cells at once (each costs about 100 bytes).
    """
    ids = np.array([row[0] for row in who], dtype=np.int64)
    names = tuple(name for name in variables(sensitive=sensitive) if name != BUYS)
    codes = np.zeros((len(ids), len(of), len(names)), dtype=np.int64)
    column = {name: codes[:, :, place] for place, name in enumerate(names)}
    asked = {
        "customers": ids.tolist(),
        "categories": of.id.tolist(),
        "as_of": as_of,
        "since": as_of - timedelta(days=BROWSING_DAYS),
        "near": as_of - timedelta(days=NEAR_DAYS),
        "added": list(ADDED),
        "names": [*VIEWED, *ADDED],
    }
    column["demand"][:] = of.demand[None, :]
    for customer, category, kind in _fetched(_BROWSED, asked):
        column["browsed"][_at(ids, customer), _at(of.id, category)] = kind
    near = np.zeros(codes.shape[:2], dtype=bool)
    for customer, category, times, is_near in _fetched(_BOUGHT, asked):
        column["bought_same"][_at(ids, customer), _at(of.id, category)] = min(times, 2)
        near[_at(ids, customer), _at(of.id, category)] = is_near
    column["bought_near"][:] = _near(near, of.parent)
    column["discounts"][:] = UNKNOWN
    column["price_band"][:] = UNKNOWN
    for customer, last, orders, discounted, paid in _fetched(_ORDERS, asked):
        row, days = _at(ids, customer), (as_of - last).days
        column["last_order"][row] = 1 if days <= 30 else 2 if days <= 90 else 3 if days <= 365 else 4
        column["discounts"][row] = 0 if not discounted else 2 if discounted / orders >= OFTEN_DISCOUNTED else 1
        if paid:
            ratio = of.price / paid
            column["price_band"][row] = np.select([np.isnan(ratio), ratio < CHEAPER, ratio > DEARER], [UNKNOWN, 0, 2], default=1)
    for customer, days in _fetched(_VISITS, asked):
        column["visits"][_at(ids, customer)] = 1 if days <= 2 else 2
    if sensitive:
        for row, (_id, gender, born) in enumerate(who):
            column["gender"][row] = _gender(gender)
            column["age_band"][row] = _age_band(born, as_of)
    return Grid(names, codes, ids, of)


def outcome(known: Grid, *, as_of: datetime, until: datetime) -> Integers:
    """Return who bought from which category in (as_of, until], (n, k) 0 or 1; one query."""
    found = np.zeros(known.codes.shape[:2], dtype=np.int64)
    asked = {"customers": known.customer.tolist(), "categories": known.categories.id.tolist(), "as_of": as_of, "until": until}
    for customer, category in _fetched(_OUTCOME, asked):
        found[_at(known.customer, customer), _at(known.categories.id, category)] = 1
    return found


def _near(bought: NDArray[np.bool_], parent: Integers) -> NDArray[np.bool_]:
    """Return whether another category of the same parent was bought; (n, k)."""
    found = np.zeros_like(bought)
    for each in np.unique(parent[parent > 0]):
        inside = np.flatnonzero(parent == each)
        total = bought[:, inside].sum(axis=1, keepdims=True)
        found[:, inside] = total - bought[:, inside] > 0
    return found


def _gender(text: str) -> int:
    word = text.strip().casefold()
    if word in {"female", "f", "woman", "女"}:
        return 0
    if word in {"male", "m", "man", "男"}:
        return 1
    return 2 if word in {"other", "diverse", "non-binary", "x"} else UNKNOWN


def _age_band(born: object, as_of: datetime) -> int:
    year = getattr(born, "year", None)
    if year is None:
        return UNKNOWN
    return int(np.searchsorted([30, 45, 60], as_of.year - year, side="right"))


def _at(ids: Integers, wanted: int) -> int:
    return int(np.searchsorted(ids, wanted))


def _fetched(statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())
