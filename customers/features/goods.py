"""Features of what was bought: categories, products bought again, price level. Per customer and category."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from django.utils.translation import gettext_lazy as _

from customers.features import streams
from customers.features.groups import Groups, position, share
from customers.features.table import Feature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from customers.features.builder import Context
    from customers.features.scope import Scope
    from customers.features.table import Columns

    Floats = NDArray[np.float64]

FEATURES = (
    Feature("items", _("Items bought"), "count", "goods"),
    Feature("products", _("Different products bought"), "count", "goods"),
    Feature("categories", _("Different categories bought"), "count", "goods"),
    Feature("top_category_share", _("Share of spending in the favourite category"), "share", "goods"),
    Feature("category_spread", _("How widely spending is spread over categories"), "rate", "goods"),
    Feature("price_level", _("How dear the products are within their categories"), "share", "goods"),
    Feature("repeat_products", _("Share of products bought more than once"), "share", "goods"),
    Feature("items_per_order", _("Items per order"), "rate", "goods"),
)

# A product's price level is its rank among the prices of its category: 0 the cheapest, 1 the dearest.
PRICE_LEVEL = """
    SELECT id, category_id, CASE WHEN count(price_amount) OVER same >= 3 AND price_amount IS NOT NULL
                                 THEN percent_rank() OVER (PARTITION BY category_id, currency, price_amount IS NULL ORDER BY price_amount) END AS level
    FROM customers_product WHERE is_goods WINDOW same AS (PARTITION BY category_id, currency)
"""
# Lines as they are: grouping them twice in SQL, in exact decimals, took twice as long as reading and grouping them here.
_SQL = """
    SELECT o.customer_id AS customer, l.product_id AS product, l.order_id AS number, l.quantity, l.unit_amount * {factor} AS amount, o.placed_at AS at
    FROM customers_order o JOIN customers_orderline l ON l.order_id = o.id {currency}
    WHERE {who} AND o.placed_at <= %(as_of)s AND o.status <> 'cancelled'
"""
_COLUMNS = {"customer": "i8", "product": "i8", "number": "i8", "quantity": "i4", "amount": "f8", "at": "at"}
_LEVELS = {"id": "i8", "category_id": "i8", "level": "f8"}


@dataclass(frozen=True, slots=True)
class Goods:
    """One row per customer and category (0: without one), by customer, dearest first.

    place: (m,) the customer's position.  spent: (m,) main currency.  at: (m,) last bought, seconds since 1970.
    level, levelled: (m,) sum of the price levels of the items that have one, and how many those are.
    """

    place: NDArray[np.int64]
    category: NDArray[np.int64]
    items: Floats
    products: Floats
    spent: Floats
    repeats: Floats
    level: Floats
    levelled: Floats
    at: Floats

    def __len__(self) -> int:
        return len(self.place)


def read(scope: Scope, context: Context, customers: NDArray[np.int64]) -> Goods:
    """Return what `customers` (ascending ids) bought per category; two queries."""
    factor, currency = context.conversion("o")
    sql = _SQL.format(factor=factor, currency=currency, who=scope.where("o.customer_id"))
    lines = streams.read(sql, {**scope.params, **context.params}, _COLUMNS)
    products = streams.read(f"SELECT * FROM ({PRICE_LEVEL}) priced ORDER BY id", {}, _LEVELS)  # noqa: S608 - our own words only
    who, what = position(customers, lines["customer"]), position(products["id"], lines["product"])
    known = np.flatnonzero((who >= 0) & (what >= 0))
    # One row per customer and product first: what was bought in two orders counts as bought again.
    pair = who[known] * max(len(products["id"]), 1) + what[known]
    order = known[np.argsort(pair, kind="stable")]
    each = Groups(who[order] * max(len(products["id"]), 1) + what[order], None)
    quantity = lines["quantity"][order].astype(float)
    number = lines["number"][order]
    items = each.total(quantity)
    levels = products["level"][what[order][each.starts]]
    categories, category = np.unique(products["category_id"], return_inverse=True)
    of_category = who[order][each.starts] * max(len(categories), 1) + category[what[order][each.starts]]
    values = {
        "items": items,
        "products": np.ones(len(items)),
        "spent": each.total(quantity * lines["amount"][order]),
        "repeats": (each.smallest(number) < each.greatest(number)).astype(float),
        "level": np.nan_to_num(levels) * items,
        "levelled": np.isfinite(levels) * items,
    }
    at = each.greatest(lines["at"][order])
    return _per_category(of_category, values, at, categories)


def _per_category(of_category: NDArray[np.int64], values: dict[str, Floats], at: Floats, categories: NDArray[np.int64]) -> Goods:
    """Return rows per customer and product summed per customer and category. of_category: customer's place * categories + category's."""
    order = np.argsort(of_category, kind="stable")
    each = Groups(of_category[order], None)
    place, which = np.divmod(each.who, max(len(categories), 1))
    summed = {name: each.total(column[order]) for name, column in values.items()}
    latest = each.greatest(at[order])
    category = categories[which] if len(categories) else which
    dearest = np.lexsort((category, -summed["spent"], place))
    return Goods(place=place[dearest], category=category[dearest], at=latest[dearest], **{name: column[dearest] for name, column in summed.items()})


def columns(goods: Goods, size: int, orders: Floats) -> Columns:
    """Return the features of `size` customers. orders: (size,) how many orders each has."""
    each = Groups(goods.place, size)
    spent = each.sum(goods.spent)
    part = goods.spent / np.maximum(spent[goods.place], 1e-9)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = each.sum(np.where(part > 0, -part * np.log(part), 0.0))
    items, products = each.sum(goods.items), each.sum(goods.products)
    return {
        "items": items,
        "products": products,
        "categories": each.count,
        "top_category_share": np.where(spent > 0, each.first(part), np.nan),
        "category_spread": np.where(spent > 0, entropy, np.nan),
        "price_level": share(each.sum(np.nan_to_num(goods.level)), each.sum(goods.levelled)),
        "repeat_products": share(each.sum(goods.repeats), products),
        "items_per_order": share(items, orders),
    }
