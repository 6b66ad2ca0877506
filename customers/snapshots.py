"""Portraits of past months, made afterwards: what a shop that brings its history has "since last month" from the first day.

Each month's first moment is scored by the refresh's own steps from the facts of that moment.  The models that score have
learned since, so such months tell what changed and not how right the models were; they are marked `is_rebuilt`.

A month of the demo shop (3,000 customers, 150,000 events) takes 1 to 3 s.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from django.db import transaction
from django.utils import timezone

from crm.core import rows
from customers import features, portrait
from customers.models import PortraitSnapshot
from customers.portrait import scoring, serving
from customers.portrait import yardstick as yardsticks
from customers.portrait.printing import LARGEST, short

if TYPE_CHECKING:
    from collections.abc import Iterator

    from customers.features.builder import Parts
    from customers.portrait.scoring import Scores
    from customers.portrait.serving import Models

logger = logging.getLogger(__name__)

MONTHS = 6
# Why portraits were refreshed, for those who hear of it.
CAUSE = "months"
# Made without being asked up to this many customers, a minute's work; larger shops use `manage.py rebuild_months`.
MOST_CUSTOMERS = 20_000
# A month with fewer buyers, or with less history before it, has nothing to compare.
FEWEST_BUYERS, LEAST_DAYS = 20, 60
# A month's row made since this long ago is that of the shop's first day here, which a month's first moment may replace.
JUST_NOW = timedelta(days=1)
COPIED = 5_000

_KEEP = """
    INSERT INTO customers_portraitsnapshot (customer_id, month, stage, rfm_group, p_active, p_churn, value_365, currency, as_of, is_rebuilt)
    SELECT r.customer, %(month)s, r.stage, r.rfm_group, r.p_active, r.p_churn, r.value, r.currency, %(as_of)s, true
    FROM json_to_recordset(%(rows)s::json)
         AS r(customer bigint, stage text, rfm_group text, p_active float8, p_churn float8, value numeric(14,2), currency text)
    JOIN customers_customer c ON c.id = r.customer AND NOT c.profiling_refused AND c.merged_into_id IS NULL
    ORDER BY 1
    ON CONFLICT (customer_id, month) DO UPDATE SET stage = EXCLUDED.stage, rfm_group = EXCLUDED.rfm_group, p_active = EXCLUDED.p_active,
        p_churn = EXCLUDED.p_churn, value_365 = EXCLUDED.value_365, currency = EXCLUDED.currency, as_of = EXCLUDED.as_of, is_rebuilt = true
    WHERE customers_portraitsnapshot.is_rebuilt OR customers_portraitsnapshot.as_of > %(just_now)s
    RETURNING customer_id
"""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """One month made afterwards. customers: rows written."""

    as_of: datetime
    customers: int


def is_wanted(*, as_of: datetime) -> bool:
    """Return whether past months should be made without being asked: none is kept, and the shop is not too large. Two queries."""
    month = timezone.localtime(as_of).date().replace(day=1)
    if PortraitSnapshot.objects.filter(month__lt=month).exists():
        return False
    return 0 < sum(count for _low, _high, count in _people()) <= MOST_CUSTOMERS


def rebuild(*, as_of: datetime, months: int = MONTHS) -> Iterator[Rebuilt]:
    """Make the portraits of the first moments of this and the months before, newest first, and yield each as it is kept.

    Rows that a refresh of an earlier day has kept stay as they are.  Stops where the shop's history begins.
    """
    first = rows.query("SELECT min(placed_at) FROM customers_order WHERE placed_at <= %s AND status <> 'cancelled'", [as_of])[0][0]
    models = serving.serving()
    # Reviews are read by the words: asking the model anew for every month would read them all again.
    models.versions["sentiment"] = serving.version_of("sentiment")
    for moment in firsts(as_of=as_of, months=months):
        if first is None or moment - first < timedelta(days=LEAST_DAYS):
            return
        yield Rebuilt(moment, _month(moment, models, just_now=as_of - JUST_NOW))


def firsts(*, as_of: datetime, months: int) -> list[datetime]:
    """Return the first moments of the month of `as_of` and those before, newest first, in the team's zone."""
    day = timezone.localtime(as_of).date().replace(day=1)
    found = []
    for _number in range(months):
        found.append(timezone.make_aware(datetime.combine(day, time.min)))
        day = (day - timedelta(days=1)).replace(day=1)
    return [moment for moment in found if moment < as_of]


def _people() -> list[tuple[int, int, int]]:
    return portrait.ranges()


def _month(moment: datetime, models: Models, *, just_now: datetime) -> int:
    """Score everybody known by then and keep the month; return the rows written. One transaction."""
    cuts = _people()
    total, written = sum(count for _low, _high, count in cuts), 0
    yardstick, whole = yardsticks.take(as_of=moment, models=models, customers=total)
    with transaction.atomic():
        for low, high, _count in cuts:
            is_whole = len(cuts) == 1 and len(whole.table) <= total <= yardsticks.MOST_MEASURED
            parts = whole if is_whole else features.build_parts(as_of=moment, customer_range=(low, high), context=yardstick.context)
            scores = scoring.score(parts, yardstick, models)
            if is_whole and len(scores.buyers.place) < FEWEST_BUYERS:
                return 0
            lines = _lines(parts, scores, [yardstick.context.known.of(code) for code in parts.codes])
            for begin in range(0, len(lines), COPIED):
                kept = rows.query(
                    _KEEP,
                    {
                        "month": timezone.localtime(moment).date(), "as_of": moment, "just_now": just_now,
                        "rows": rows.dumps(lines[begin : begin + COPIED]).decode(),
                    },
                )  # fmt: skip
                written += len(kept)
    logger.info("month rebuilt", extra={"month": moment.date().isoformat(), "customers": written})
    return written


def _lines(parts: Parts, scores: Scores, factors: list[float]) -> list[dict[str, Any]]:
    """Return one row per customer known by then, as the refresh prints them. factors: of `parts.codes` to the main currency."""
    size, buyers, expected = len(parts.table), scores.buyers, scores.expected
    stage, group = np.full(size, "prospect", dtype=object), np.full(size, "", dtype=object)
    stage[buyers.place], group[buyers.place] = buyers.stage, buyers.group
    value = np.clip(expected.value_365 / np.array(factors)[parts.currency], 0.0, LARGEST)
    columns = zip(
        parts.table.customer.tolist(), np.isfinite(parts.table.column("known_days")).tolist(), stage.tolist(), group.tolist(), expected.p_active.tolist(),
        scores.p_churn.tolist(), value.tolist(), parts.currency.tolist(), strict=True,
    )  # fmt: skip
    return [
        {
            "customer": customer, "stage": str(stage), "rfm_group": str(group), "p_active": short(p_active, 6), "p_churn": short(p_churn, 6),
            "value": short(value), "currency": parts.codes[currency],
        }
        for customer, is_known, stage, group, p_active, p_churn, value, currency in columns
        if is_known
    ]  # fmt: skip
