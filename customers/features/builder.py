"""Puts the parts together: who, what they bought, did, said, and what other apps know of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from crm.core.registries import feature_sources
from customers.features import browsing as browsing_part
from customers.features import goods as goods_part
from customers.features import orders as orders_part
from customers.features import streams, told
from customers.features.scope import SAMPLE_PARTS, Scope
from customers.features.table import Feature, FeatureTable
from customers.ml.dataset import Currencies, currencies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from customers.features.browsing import Browsing
    from customers.features.goods import Goods
    from customers.features.orders import Orders
    from customers.features.table import Columns

PERSON = (
    Feature("known_days", _("Days since the first contact"), "days", "person"),
    Feature("reads_chinese", _("Reads Chinese"), "flag", "person", personal=True),
    Feature("main_country", _("Lives in the shop's main country"), "flag", "person", personal=True),
)
# Only with CRM_SENSITIVE_TRAITS: by default no model learns from what the law protects.
SENSITIVE = (
    Feature("age", _("Age"), "rate", "person", personal=True, sensitive=True),
    Feature("is_female", _("Woman"), "flag", "person", personal=True, sensitive=True),
)

_WHO = """
    SELECT c.id AS customer, extract(epoch FROM c.first_seen_at) AS first_seen, c.profiling_refused::int AS refused,
           array_position(%(codes)s::text[], nullif(c.currency, '')::text) AS currency, CASE WHEN c.locale <> '' THEN (c.locale ILIKE 'zh%%')::int END AS reads_chinese,
           CASE WHEN c.country <> '' AND %(main_country)s <> '' THEN (c.country = %(main_country)s)::int END AS main_country,
           extract(year FROM age(%(as_of)s, c.birth_date)) AS age,
           CASE WHEN lower(c.gender) IN ('f', 'female', 'woman', '女') THEN 1 WHEN lower(c.gender) IN ('m', 'male', 'man', '男') THEN 0 END AS is_female
    FROM customers_customer c WHERE {who} AND c.merged_into_id IS NULL AND NOT c.is_anonymous ORDER BY c.id
"""
_WHO_COLUMNS = {
    "customer": "i8",
    "first_seen": "f8",
    "refused": "i4",
    "currency": "i4",
    "reads_chinese": "f8",
    "main_country": "f8",
    "age": "f8",
    "is_female": "f8",
}


@dataclass(frozen=True, slots=True)
class Context:
    """What a build needs to know of the whole shop; made once by `prepare`, then shared by all ranges of customers.

    mood_version: reviews read by that sentiment model count by their words, others by their stars.
    """

    as_of: datetime
    known: Currencies
    main_country: str
    mood_version: int = 0
    with_sensitive: bool = False

    @property
    def moment(self) -> float:
        """Seconds since 1970."""
        return self.as_of.timestamp()

    @property
    def codes(self) -> list[str]:
        """The shop's currencies, the main one first."""
        return [self.known.main, *sorted(code for code in self.known.factor if code != self.known.main)]

    @property
    def params(self) -> dict[str, Any]:
        codes = self.codes
        return {
            "codes": codes, "factors": [self.known.of(code) for code in codes], "main_country": self.main_country, "mood_version": self.mood_version,
        }  # fmt: skip

    def conversion(self, alias: str) -> tuple[str, str]:
        """Return the SQL factor that turns an amount of that table into the main currency, and the join it needs."""
        if len(self.known.factor) <= 1:
            return "1.0::float8", ""
        return "coalesce(cash.factor, 1)", f"LEFT JOIN unnest(%(codes)s::text[], %(factors)s::float8[]) cash(code, factor) ON cash.code = {alias}.currency"

    def since(self, days: int) -> dict[str, datetime]:
        """Return the moments where windows begin, as parameters; `since` lies `days` back."""
        return {"since": self.as_of - timedelta(days=days)} | {f"since_{window}": self.as_of - timedelta(days=window) for window in (7, 30, 90, 365)}

    @staticmethod
    def placed(customers: NDArray[np.int64], found: NDArray[np.int64], *then: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (place, order): rows of `customers` sorted by customer and `then`, and each row's position among them."""
        place = np.searchsorted(customers, found)
        inside = (place < len(customers)) & (customers[np.minimum(place, len(customers) - 1)] == found) if len(customers) else np.zeros(0, dtype=bool)
        order = np.flatnonzero(inside)
        order = order[np.lexsort((*(column[order] for column in reversed(then)), place[order]))]
        return place[order].astype(np.int64), order


@dataclass(frozen=True, slots=True)
class Parts:
    """The table, and the rows it was made of, for models that need more than features.

    currency: (n,) index into `codes`.  unmatched_returns: (n,) what came back without a known order, main currency.
    """

    table: FeatureTable
    orders: Orders
    goods: Goods
    browsing: Browsing
    currency: NDArray[np.int32]
    codes: list[str]
    unmatched_returns: NDArray[np.float64]


def catalogue() -> tuple[Feature, ...]:
    """Return every feature a build makes now, in the order of its columns."""
    own = (*PERSON, *(SENSITIVE if settings.CRM_SENSITIVE_TRAITS else ()))
    told_by_others = tuple(Feature(name, label, unit, source.name) for source in feature_sources.values() for name, label, unit in source.features)
    return (*own, *orders_part.FEATURES, *goods_part.FEATURES, *browsing_part.FEATURES, *told.FEATURES, *told_by_others)


def names() -> tuple[str, ...]:
    """Return the names of `catalogue()`."""
    return tuple(feature.name for feature in catalogue())


def prepare(*, as_of: datetime, mood_version: int = 0) -> Context:
    """Return what builds as of that moment need to know of the whole shop; two queries."""
    found = streams_text("SELECT country FROM customers_customer WHERE country <> '' AND merged_into_id IS NULL GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1")
    return Context(
        as_of=as_of,
        known=currencies(as_of=as_of, default=settings.CRM_CURRENCY),
        main_country=found,
        mood_version=mood_version,
        with_sensitive=settings.CRM_SENSITIVE_TRAITS,
    )


def streams_text(sql: str) -> str:
    """Return the first value of a query of ours as text, '' without a row."""
    from crm.core import rows

    found = rows.query(sql)
    return str(found[0][0]) if found else ""


def build(*, as_of: datetime, customer_range: tuple[int, int] | None = None, sample: float = 1.0, context: Context | None = None) -> FeatureTable:
    """Return the features of everybody who did not refuse profiling, from facts dated up to `as_of`.

    customer_range: ids from the first to below the second.  sample: this share of the customers, the same ones each time.
    Customers first seen later have only missing values and zeros, `known_days` among the missing: leave them out of a
    training set by it.  About ten queries, whatever the number of customers; 100,000 with a million orders take about 8 s.
    """
    return build_parts(as_of=as_of, customer_range=customer_range, sample=sample, context=context).table


def build_parts(
    *,
    as_of: datetime,
    customer_range: tuple[int, int] | None = None,
    sample: float = 1.0,
    context: Context | None = None,
    customer_ids: Sequence[int] | None = None,
) -> Parts:
    """Return the features together with the orders, goods and browsing they were made of. Arguments as for `build`.

    customer_ids: only these.
    """
    context = context or prepare(as_of=as_of)
    low, high = customer_range or (None, None)
    scope = Scope(as_of, low, high, max(1, min(SAMPLE_PARTS, round(sample * SAMPLE_PARTS))), None if customer_ids is None else tuple(customer_ids))
    who = streams.read(_WHO.format(who=scope.where("c.id")), {**scope.params, **context.params}, _WHO_COLUMNS)
    willing = np.flatnonzero(who["refused"] == 0)
    willing = willing[np.argsort(who["customer"][willing], kind="stable")]
    customers = who["customer"][willing]
    size = len(customers)
    if scope.parts < SAMPLE_PARTS:
        # A few by their ids, through indexes: by their hashes every table would be read whole.
        scope = Scope(as_of, only=tuple(customers.tolist()))
    orders = orders_part.read(scope, context, customers)
    goods = goods_part.read(scope, context, customers)
    browsing = browsing_part.read(scope, context, customers)
    known = (context.moment - who["first_seen"][willing]) / 86_400
    made: Columns = {
        "known_days": np.where(known >= 0, known, np.nan),
        **{name: who[name][willing] for name in ("reads_chinese", "main_country", "age", "is_female")},
        **orders_part.columns(orders, size, context.moment),
        **browsing_part.columns(browsing, size, context.moment),
    }
    made |= goods_part.columns(goods, size, made["orders"])
    made |= told.columns(scope, context, customers, made)
    for source in feature_sources.values():
        made |= _foreign(source.query, source.names, scope, customers)
    chosen = names()
    values = np.column_stack([made[name] for name in chosen]).astype(np.float32) if size else np.zeros((0, len(chosen)), dtype=np.float32)
    values[~np.isfinite(values)] = np.nan
    currency = np.maximum(who["currency"][willing] - 1, 0)
    return Parts(FeatureTable(customers, chosen, values), orders, goods, browsing, currency, context.codes, made["unmatched_returns"])


def _foreign(query: Any, given: tuple[str, ...], scope: Scope, customers: NDArray[np.int64]) -> Columns:
    """Return the columns another app contributes."""
    sql, params = query(scope.where)
    found = streams.read(sql, {**scope.params, **params(scope.as_of)}, {"customer": "i8", **dict.fromkeys(given, "f8")})
    return told.spread(found, given, customers)
