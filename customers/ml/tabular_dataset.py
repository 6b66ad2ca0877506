"""What customers did next beside what was known of them before: the rows that propensity models learn from.

A snapshot is the feature table as of a past moment, built by the very code that serves, and what happened in the days
after it.  Several snapshots of the same people, each a horizon apart, are the training rows; the latest is the test.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from django.conf import settings
from django.db import connection
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from crm.core import rows
from crm.core.errors import CrmError
from customers.features import FeatureTable, build, catalogue, prepare
from customers.ml.features import LEAST_HOLDOUT_DAYS
from customers.ml.tabular.propensity import is_asked

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Training rows of all snapshots together; above it a sample of the customers, the same ones each time.
MOST_ROWS = 60_000
# Snapshots learned from, beside the one that is judged on; each adds an earlier season and dilutes the present.
MOST_SNAPSHOTS = 4


class TooYoung(CrmError):
    """The shop's history is too short, or too few customers did it, to learn what they do next."""

    code = "too_young"
    status = 422


@dataclass(frozen=True, slots=True)
class Question:
    """What is foretold. task: name of the training task.  days: over which horizon, at most.

    asks: of whom it is asked: smallest values of features.  happened: SQL of the customers it happened to in a window;
    is_absence: the label is that it did not happen.  baseline: the features the named baseline knows.
    """

    task: str
    days: int
    asks: dict[str, float]
    happened: str
    is_absence: bool
    baseline: tuple[str, ...]
    title: str | Promise


_ORDERED = """
    SELECT DISTINCT customer_id FROM customers_order
    WHERE placed_at > %(cut)s AND placed_at <= %(until)s AND status <> 'cancelled' AND customer_id IS NOT NULL
"""
_RETURNED = """
    SELECT DISTINCT coalesce(r.customer_id, o.customer_id) FROM customers_return r LEFT JOIN customers_order o ON o.id = r.order_id
    WHERE r.returned_at > %(cut)s AND r.returned_at <= %(until)s AND coalesce(r.customer_id, o.customer_id) IS NOT NULL
"""
QUESTIONS = {
    question.task: question
    for question in (
        Question("churn", 90, {"orders": 1}, _ORDERED, True, ("silence_days", "orders"), _("no order in the period")),
        Question("next_purchase", 30, {"known_days": 0}, _ORDERED, False, ("silence_days", "orders"), _("an order in the period")),
        Question("returns", 100, {"orders_365": 1}, _RETURNED, False, ("return_rate", "orders_90"), _("a return in the period")),
    )
}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everyone the question is asked of, as of `cut`. label: (n,) 0/1, whether it came true within the horizon."""

    cut: datetime
    table: FeatureTable
    label: NDArray[np.int64]


def horizon_days(question: Question, *, as_of: datetime) -> int:
    """Return the question's horizon, a third of the shop's life where that is shorter. Raises TooYoung. One query."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(placed_at) FROM customers_order WHERE placed_at <= %s AND status <> 'cancelled'", [as_of])
        (first,) = cursor.fetchone()
    if first is None:
        raise TooYoung("There are no orders yet.")
    life = int((as_of - first).days)
    days = min(question.days, life // 3)
    if days < LEAST_HOLDOUT_DAYS:
        raise TooYoung(f"The shop's orders span {life} days; {3 * LEAST_HOLDOUT_DAYS} are needed.", days=life)
    return days


def snapshots(question: Question, *, as_of: datetime, days: int) -> list[Snapshot]:
    """Return the snapshot one horizon ago, then earlier ones, each as it stood then; about twelve queries each.

    Those before the shop's first horizon are left out: nothing was known then.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(placed_at), count(DISTINCT customer_id) FROM customers_order WHERE placed_at <= %s AND status <> 'cancelled'", [as_of])
        first, customers = cursor.fetchone()
    found = []
    share = min(1.0, MOST_ROWS / max(customers, 1) / (MOST_SNAPSHOTS + 1))
    for number in range(1, MOST_SNAPSHOTS + 2):
        cut = as_of - timedelta(days=number * days)
        if cut - first < timedelta(days=min(days, 60)):
            break
        table = build(as_of=cut, sample=share, context=prepare(as_of=cut))
        table = table.only(is_asked(question.asks, table))
        found.append(Snapshot(cut, table, outcome(question, table.customer, cut=cut, days=days)))
    return found


def outcome(question: Question, customers: NDArray[np.int64], *, cut: datetime, days: int) -> NDArray[np.int64]:
    """Return whether it came true for each customer within `days` after `cut`, (n,) 0/1; one query."""
    with connection.cursor() as cursor:
        cursor.execute(question.happened, {"cut": cut, "until": cut + timedelta(days=days)})
        happened = np.array([row[0] for row in cursor.fetchall()], dtype=np.int64)
    return np.asarray(np.isin(customers, happened) != question.is_absence).astype(np.int64)


def personal_fields(names: tuple[str, ...]) -> list[str]:
    """Return which of these features say who a person is; a version lists them."""
    personal = {feature.name for feature in catalogue() if feature.personal or feature.sensitive}
    return [name for name in names if name in personal]


# A person's device is that of the newest of their last LOOKED_AT visits that says one.
LOOKED_AT = 50
_TRAITS = """
    SELECT c.id, CASE WHEN c.locale ILIKE 'zh%%' THEN 'zh-hans' WHEN c.locale <> '' THEN 'en' ELSE '' END, c.country,
           CASE WHEN lower(c.gender) IN ('f', 'female', 'woman', '女') THEN 'female' WHEN lower(c.gender) IN ('m', 'male', 'man', '男') THEN 'male' ELSE '' END,
           extract(year FROM age(%(as_of)s, c.birth_date))::int, coalesce(seen.device, '')
    FROM customers_customer c LEFT JOIN LATERAL (
        SELECT CASE WHEN agent ~* 'ipad|tablet|kindle' OR kind = 'tablet' THEN 'tablet'
                    WHEN agent ~* 'mobi|iphone|android' OR kind IN ('ios', 'android', 'mobile', 'phone', 'smartphone') THEN 'phone'
                    WHEN agent <> '' OR kind IN ('desktop', 'computer', 'laptop') THEN 'computer' END AS device
        FROM (
            SELECT coalesce(a.context->>'userAgent', '') AS agent, lower(coalesce(a.context->'device'->>'type', '')) AS kind, a.occurred_at
            FROM customers_activity a WHERE a.customer_id = c.id AND a.occurred_at <= %(as_of)s ORDER BY a.occurred_at DESC LIMIT %(looked_at)s
        ) visits WHERE agent <> '' OR kind <> '' ORDER BY occurred_at DESC LIMIT 1
    ) seen ON true
    WHERE c.id = ANY(%(who)s)
"""


def traits(customers: NDArray[np.int64], *, as_of: datetime) -> dict[str, NDArray[np.str_]]:
    """Return each customer's group by language, country, gender, age and device, "" where unknown, to measure by; one query.

    Read for the measurement alone: gender and age enter no model unless CRM_SENSITIVE_TRAITS says so, the device none.
    """
    found = rows.query(_TRAITS, {"as_of": as_of, "who": customers.tolist(), "looked_at": LOOKED_AT})
    of = {row[0]: row[1:] for row in found}
    known = [of.get(int(customer), ("", "", "", None, "")) for customer in customers]
    ages = [None if row[3] is None else int(row[3]) for row in known]
    return {
        "language": np.array([row[0] for row in known], dtype=np.str_),
        "country": np.array([row[1] for row in known], dtype=np.str_),
        "gender": np.array([row[2] for row in known], dtype=np.str_),
        "age": np.array(["" if age is None else "under_30" if age < 30 else "30_to_49" if age < 50 else "50_and_over" for age in ages], dtype=np.str_),
        "device": np.array([row[4] for row in known], dtype=np.str_),
    }


def uses_sensitive() -> bool:
    return bool(settings.CRM_SENSITIVE_TRAITS)
