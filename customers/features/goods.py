"""Features of what was bought: categories, products bought again, price level. Per customer and category in one query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from django.utils.translation import gettext_lazy as _

from customers.features import streams
from customers.features.groups import Groups, share
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
_SQL = """
    SELECT per.customer, coalesce(p.category_id, 0) AS category, sum(per.quantity) AS items, count(*) AS products, sum(per.spent) AS spent,
           count(*) FILTER (WHERE per.times > 1) AS repeats,
           sum(p.level * per.quantity) AS level, coalesce(sum(per.quantity) FILTER (WHERE p.level IS NOT NULL), 0) AS levelled, extract(epoch FROM max(per.at)) AS at
    FROM (
        SELECT o.customer_id AS customer, l.product_id, sum(l.quantity) AS quantity, count(DISTINCT l.order_id) AS times,
               sum(l.quantity * l.unit_amount * {factor}) AS spent, max(o.placed_at) AS at
        FROM customers_order o JOIN customers_orderline l ON l.order_id = o.id {currency}
        WHERE {who} AND o.placed_at <= %(as_of)s AND o.status <> 'cancelled' GROUP BY 1, 2
    ) per JOIN ({levels}) p ON p.id = per.product_id GROUP BY 1, 2
"""
_COLUMNS = {"customer": "i8", "category": "i8", "items": "f8", "products": "f8", "spent": "f8", "repeats": "f8", "level": "f8", "levelled": "f8", "at": "f8"}


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
    """Return what `customers` (ascending ids) bought per category; one query."""
    factor, currency = context.conversion("o")
    sql = _SQL.format(factor=factor, currency=currency, who=scope.where("o.customer_id"), levels=PRICE_LEVEL)
    found = streams.read(sql, {**scope.params, **context.params}, _COLUMNS)
    place, order = context.placed(customers, found["customer"], -found["spent"], found["category"])
    return Goods(place=place, **{name: values[order] for name, values in found.items() if name != "customer"})


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
