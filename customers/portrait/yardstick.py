"""What one customer's scores are measured against: the whole shop, looked at once per refresh and shared by all shards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from django.db import connection

from crm.core import rows
from customers import features
from customers.features import Context
from customers.features.scope import SAMPLE_PARTS, Scope
from customers.ml.dataset import Currencies, as_of_day
from customers.ml.orders import summarise_orders
from customers.ml.rfm import RfmScale, learn_scale
from customers.portrait import cold
from customers.portrait.cold import ColdStart
from customers.portrait.scoring import expectations

if TYPE_CHECKING:
    from customers.features.builder import Parts
    from customers.portrait.serving import Models

# Up to so many customers the shop's quintiles and averages are taken from all of them; above from a sample, whose quintiles
# are right to 0.4 points and which one worker reads while the others wait.
MOST_MEASURED = 20_000
SAMPLED = 10_000
COLD_DAYS = 90
FEWEST_COLD_DAYS = 30
# People known at that moment who had not ordered by then.
_PROSPECTS = """
    SELECT c.id FROM customers_customer c
    WHERE {who} AND c.first_seen_at <= %(as_of)s AND c.merged_into_id IS NULL AND NOT c.is_anonymous AND NOT c.profiling_refused
      AND NOT EXISTS (SELECT 1 FROM customers_order o WHERE o.customer_id = c.id AND o.placed_at <= %(as_of)s AND o.status <> 'cancelled')
    ORDER BY c.id
"""


@dataclass(frozen=True, slots=True)
class Yardstick:
    """scale: RFM cut points.  mean_orders, mean_amount: of a buyer in 365 days, main currency.  return_rate: per order."""

    context: Context
    scale: RfmScale
    mean_orders: float
    mean_amount: float
    return_rate: float
    cold: ColdStart | None
    versions: dict[str, int]

    @property
    def as_of(self) -> datetime:
        return self.context.as_of

    @property
    def as_of_day(self) -> int:
        return as_of_day(self.context.as_of)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values from which `from_json` makes the same yardstick; infinities are written as null."""
        context = self.context
        return {
            "as_of": context.as_of.astimezone(UTC).isoformat(),
            "currency": context.known.main,
            "factors": context.known.factor,
            "main_country": context.main_country,
            "mood_version": context.mood_version,
            "with_sensitive": context.with_sensitive,
            "scale": [
                [point if np.isfinite(point) else None for point in points] for points in (self.scale.recency, self.scale.frequency, self.scale.monetary)
            ],
            "mean_orders": self.mean_orders,
            "mean_amount": self.mean_amount,
            "return_rate": self.return_rate,
            "cold": self.cold.to_json() if self.cold else None,
            "versions": self.versions,
        }

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Yardstick:
        known = Currencies(kept["currency"], kept["factors"])
        scale = [tuple(float("inf") if point is None else float(point) for point in points) for points in kept["scale"]]
        return cls(
            context=Context(datetime.fromisoformat(kept["as_of"]), known, kept["main_country"], kept["mood_version"], kept["with_sensitive"]),
            scale=RfmScale(*scale),
            mean_orders=kept["mean_orders"],
            mean_amount=kept["mean_amount"],
            return_rate=kept["return_rate"],
            cold=ColdStart.from_json(kept["cold"]) if kept["cold"] else None,
            versions=kept["versions"],
        )


def take(*, as_of: datetime, models: Models, customers: int) -> tuple[Yardstick, Parts]:
    """Measure the shop; about 25 queries. customers: how many there are. Returns also the parts of those looked at."""
    context = features.prepare(as_of=as_of, mood_version=models.versions["sentiment"])
    parts = features.build_parts(as_of=as_of, sample=1.0 if customers <= MOST_MEASURED else SAMPLED / customers, context=context)
    day = as_of_day(as_of)
    orders = parts.orders
    history = summarise_orders(orders.customer, orders.day, orders.amount, as_of_day=day)
    place = np.searchsorted(parts.table.customer, history.customer)
    net = np.maximum(history.total_amount - parts.unmatched_returns[place], 0.0)
    expected = expectations(orders, history, models)
    counted, returned = parts.table.column("orders").astype(float).sum(), parts.table.column("returns").astype(float).sum()
    yardstick = Yardstick(
        context=context,
        scale=learn_scale(silence_days=history.silence_days, orders=history.orders, amount=net),
        mean_orders=_mean(expected.orders_365),
        mean_amount=_mean(expected.order_amount),
        return_rate=float((returned + 1) / (counted + 20)),
        cold=_cold(context, customers),
        versions=dict(models.versions),
    )
    return yardstick, parts


def _mean(values: Any) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else 0.0


def _cold(context: Context, customers: int) -> ColdStart | None:
    """Return what became of earlier prospects, None where there were too few."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(placed_at) FROM customers_order WHERE placed_at <= %s AND status <> 'cancelled'", [context.as_of])
        (first,) = cursor.fetchone()
    days = 0 if first is None else min(COLD_DAYS, (context.as_of - first).days // 3)
    if days < FEWEST_COLD_DAYS:
        return None
    then = context.as_of - timedelta(days=days)
    # They have no orders to read: looking for them first spares the reading of three times as many customers' histories.
    scope = Scope(then, parts=max(1, min(SAMPLE_PARTS, round(3 * cold.MOST / max(customers, 1) * SAMPLE_PARTS))))
    prospects = [row[0] for row in rows.query(_PROSPECTS.format(who=scope.where("c.id")), scope.params)]
    if len(prospects) < cold.FEWEST:
        return None
    asked = [prospects[place] for place in np.linspace(0, len(prospects) - 1, min(len(prospects), cold.MOST)).astype(np.int64)]
    chosen = features.build_parts(as_of=then, customer_ids=asked, context=Context(then, context.known, context.main_country, context.mood_version)).table
    factor, join = context.conversion("o")
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT o.customer_id, count(DISTINCT date_trunc('day', o.placed_at, 'UTC')), sum(greatest(o.total_amount, 0) * {factor})::float8,
                   count(DISTINCT date_trunc('day', o.placed_at, 'UTC')) FILTER (WHERE o.placed_at <= %(month)s)
            FROM customers_order o {join}
            WHERE o.customer_id = ANY(%(who)s) AND o.placed_at > %(then)s AND o.placed_at <= %(until)s AND o.status <> 'cancelled' GROUP BY 1
            """,  # noqa: S608 - our own words only
            {**context.params, "who": chosen.customer.tolist(), "then": then, "until": context.as_of, "month": then + timedelta(days=30)},
        )
        found = {row[0]: row[1:] for row in cursor.fetchall()}
    did = np.array([found.get(customer, (0, 0.0, 0)) for customer in chosen.customer.tolist()], dtype=float)
    return cold.learn(chosen, orders=did[:, 0], spend=did[:, 1], orders_30=did[:, 2], days=days)
