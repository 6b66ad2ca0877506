"""The customer portrait: facts, scores, where each came from. The one door to the models.

    refresh(as_of=moment)                     everybody, in this process
    refresh(as_of=moment, customer_ids=[…])   some; scores stay relative to the whole shop
    runs.start(as_of=moment, …)               everybody, shared among workers (see customers.portrait.runs)

A refresh looks at the whole shop once (`yardstick`), then takes customers by ranges of ids: features in a handful of
statements, scores as columns, one COPY and one upsert.  Ranges share nothing, so cost grows with the customers and
workers may take them apart.  What serves where no model does: `customers.portrait.serving`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from crm.core import clock, rows
from crm.core.events import publish
from customers import features, review_aspects, review_intentions
from customers.events import ScoresRefreshed
from customers.features.scope import Scope
from customers.portrait import scoring, serving, writing
from customers.portrait import yardstick as yardsticks
from customers.portrait.serving import Models
from customers.portrait.yardstick import Yardstick

__all__ = ["RefreshReport", "ranges", "refresh", "refresh_range"]

logger = logging.getLogger(__name__)

# Customers per range: their features, scores and printed rows take about 4 kB each in memory.
RANGE = 50_000
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class RefreshReport:
    """What a refresh did. versions: model version per task, 0 for its baseline. notes: why a baseline served."""

    as_of: datetime
    customers: int
    buyers: int
    reviews_scored: int
    versions: dict[str, int]
    notes: tuple[str, ...] = ()


def refresh(*, as_of: datetime, customer_ids: Iterable[int] | None = None, on_progress: Progress | None = None, cause: str = "schedule") -> RefreshReport:
    """Recompute portraits from the facts up to `as_of` and say what was done.

    customer_ids: write only these; scores stay relative to the whole shop.
    on_progress: called with (done, total) customers after each chunk; raising in it undoes the range under way.
    """
    models, scored = prepared(as_of)
    cuts = ranges()
    total = sum(count for _low, _high, count in cuts)
    yardstick, whole = yardsticks.take(as_of=as_of, models=models, customers=total)
    written = buyers = 0
    if customer_ids is not None:
        ids = tuple(sorted(set(customer_ids)))
        written, buyers = _one(Scope(as_of, only=ids), yardstick, models, len(ids), 0, on_progress)
    elif len(cuts) == 1 and len(whole.table) <= total <= yardsticks.MOST_MEASURED:
        # The yardstick has read everybody already.
        written, buyers = _one(Scope(as_of), yardstick, models, total, 0, on_progress, whole)
    else:
        for low, high, _count in cuts:
            more, bought = _one(Scope(as_of, low, high), yardstick, models, total, written, on_progress)
            written, buyers = written + more, buyers + bought
    publish(ScoresRefreshed(as_of=as_of, customers=written, cause=cause))
    logger.info("portraits refreshed", extra={"customers": written, "buyers": buyers, "versions": models.versions})
    return RefreshReport(as_of, written, buyers, scored, dict(models.versions), tuple(models.notes))


def prepared(as_of: datetime) -> tuple[Models, int]:
    """Return the serving models after having new reviews read, and how many of those there were."""
    models = serving.serving()
    scored, version, why = serving.read_reviews(as_of)
    models.versions["sentiment"] = version
    review_aspects.read(as_of=as_of)
    review_intentions.read(as_of=as_of)
    if why:
        models.notes.append(why)
    return models, scored


def ranges(size: int = RANGE) -> list[tuple[int, int, int]]:
    """Return ranges of customer ids, (low, high, how many), each of about `size` people, covering all; one query.

    high is not in the range; ranges have no gaps, so that those who arrive meanwhile fall into one.
    """
    starts = rows.query(
        """
        SELECT min(id), count(*) FROM (
            SELECT id, (row_number() OVER (ORDER BY id) - 1) / %s AS part FROM customers_customer WHERE merged_into_id IS NULL AND NOT is_anonymous
        ) counted GROUP BY part ORDER BY 1
        """,
        [size],
    )
    if not starts:
        return []
    lows = [0, *(low for low, _count in starts[1:])]
    return [(low, high, count) for low, high, (_first, count) in zip(lows, [*lows[1:], 2**62], starts, strict=True)]


def refresh_range(*, low: int, high: int, yardstick: Yardstick, models: Models) -> int:
    """Recompute the portraits of customers with ids from low to below high; return how many. For workers that share a run."""
    written, _buyers = _one(Scope(yardstick.as_of, low, high), yardstick, models, 0, 0, None)
    return written


def _one(
    scope: Scope, yardstick: Yardstick, models: Models, total: int, before: int, on_progress: Progress | None, parts: features.Parts | None = None
) -> tuple[int, int]:
    """Return how many customers of the scope were written, and how many of them are buyers."""
    if parts is None:
        given = None if scope.low is None or scope.high is None else (scope.low, scope.high)
        parts = features.build_parts(as_of=scope.as_of, customer_range=given, customer_ids=scope.only, context=yardstick.context)
    if not len(parts.table):
        return 0, 0
    scores = scoring.score(parts, yardstick, models)
    report = None if on_progress is None else lambda done: on_progress(before + done, total)
    written = writing.write(parts, scores, yardstick, scope, refreshed_at=clock.now(), on_rows=report)
    return written, len(scores.buyers.history)
