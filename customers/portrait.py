"""The customer portrait: facts, scores, where each came from, and the words for it. The only door to ml/.

`refresh` recomputes everybody as a set: three queries in, numpy, one COPY and one upsert out.  A task without a usable
model is served by its stated baseline and carries version 0:

    value       expected orders and value repeat the last 90 and 365 days; no probability of being active is claimed
    lifecycle   the rhythm of a general shop (median gap 60 days) instead of this one's
    sentiment   the stars of a review instead of its words
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from django.conf import settings
from django.db import connection, transaction

from crm.core import locks
from crm.core.errors import CrmError
from crm.core.events import publish
from crm.core.learning import modelstore
from crm.core.text.encoder import EncoderCorrupt, EncoderMissing
from customers.events import ScoresRefreshed
from customers.ml import dataset
from customers.ml.lifecycle import GapHistory, Lifecycle, gap_history
from customers.ml.rfm import learn_scale
from customers.ml.saved import lifecycle_model, sentiment_model, value_model
from customers.ml.value import OrderHistory, ValueModel, summarise_orders
from customers.models import Review

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

logger = logging.getLogger(__name__)

HORIZON_DAYS = 90
YEAR_DAYS = 365
# Reviews scored per refresh: at 5 ms each this is under two minutes; the rest count by their stars until the next one.
MOST_REVIEWS = 20_000
REVIEW_BATCH = 512
# Rows per COPY chunk: 5,000 rows of about 700 bytes keep the buffer near 4 MB.
CHUNK = 5_000
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


@dataclass(slots=True)
class _Models:
    """The serving models of the three tasks, each None where its baseline serves."""

    value: ValueModel | None = None
    lifecycle: Lifecycle | None = None
    versions: dict[str, int] = field(default_factory=lambda: {"value": 0, "lifecycle": 0, "sentiment": 0})
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Scores:
    """Everything inferred of the buyers, one row each in the order of `history`; amounts in the shop's main currency."""

    history: OrderHistory
    gaps: GapHistory
    stage: NDArray[np.str_]
    expected_gap: Floats
    overdue: Floats
    recency: NDArray[np.int64]
    frequency: NDArray[np.int64]
    monetary: NDArray[np.int64]
    group: NDArray[np.str_]
    p_active: Floats
    orders_90: Floats
    orders_90_low: Floats
    orders_90_high: Floats
    orders_365: Floats
    order_amount: Floats
    loyal_orders: int


def refresh(*, as_of: datetime, customer_ids: Iterable[int] | None = None, on_progress: Progress | None = None, cause: str = "schedule") -> RefreshReport:
    """Recompute portraits from the facts up to `as_of` and say what was done.

    customer_ids: write only these; scores stay relative to the whole shop, so all orders are still read.
    on_progress: called with (done, total) customers after each chunk; raising in it undoes the refresh.
    Takes about 15 s for 100,000 customers with 400,000 orders on one core.
    """
    models = _serving()
    scored = _score_reviews(as_of, models)
    known = dataset.currencies(as_of=as_of, default=settings.CRM_CURRENCY)
    people = dataset.people(as_of=as_of, known=known, sentiment_version=models.versions["sentiment"])
    orders = dataset.order_rows(as_of=as_of, known=known)
    scores = _buyers(orders, people, models)
    wanted = None if customer_ids is None else np.unique(np.fromiter(customer_ids, dtype=np.int64))
    written = _write(people, scores, known, models.versions, as_of, wanted, on_progress)
    publish(ScoresRefreshed(as_of=as_of, customers=written, cause=cause))
    report = RefreshReport(as_of, written, len(scores.history), scored, dict(models.versions), tuple(models.notes))
    logger.info("portraits refreshed", extra={"customers": written, "buyers": report.buyers, "versions": report.versions})
    return report


def _serving() -> _Models:
    models = _Models()
    for task, make in (("value", value_model), ("lifecycle", lifecycle_model)):
        try:
            built: Any = modelstore.build(task, make)
        except (modelstore.ModelMissing, modelstore.ModelCorrupt, modelstore.ModelIncompatible) as error:
            models.notes.append(error.text)
            continue
        setattr(models, task, built)
        models.versions[task] = _version(task)
    return models


def _version(task: str) -> int:
    version = modelstore.champion(task)
    return version.version if version else 0


def _score_reviews(as_of: datetime, models: _Models) -> int:
    """Have the serving sentiment model read the reviews it has not read yet, newest first; return how many."""
    try:
        reader = modelstore.build("sentiment", sentiment_model)
        number = _version("sentiment")
        unread = Review.objects.exclude(body="").filter(written_at__lte=as_of).exclude(sentiment_version=number)
        rows = list(unread.order_by("-written_at", "-id").values_list("pk", "body")[:MOST_REVIEWS])
        for begin in range(0, len(rows), REVIEW_BATCH):
            part = rows[begin : begin + REVIEW_BATCH]
            moods = reader.predict([body for _pk, body in part]).score
            with connection.cursor() as cursor:
                cursor.execute(
                    "UPDATE customers_review SET sentiment = said.mood, sentiment_version = %s "
                    "FROM unnest(%s::bigint[], %s::float8[]) AS said(id, mood) WHERE customers_review.id = said.id",
                    [number, [pk for pk, _body in part], [float(mood) for mood in moods]],
                )
    except (modelstore.ModelMissing, modelstore.ModelCorrupt, modelstore.ModelIncompatible, EncoderMissing, EncoderCorrupt) as error:
        models.notes.append(error.text)
        return 0
    except CrmError as error:  # The encoder was changed: the stars serve until the model is retrained.
        logger.warning("reviews not scored", extra={"code": error.code})
        models.notes.append(error.text)
        return 0
    models.versions["sentiment"] = number
    return len(rows)


def _buyers(orders: dataset.OrderRows, people: dataset.People, models: _Models) -> _Scores:
    """Return the scores of everyone with an order."""
    day = orders.as_of_day
    history = summarise_orders(orders.customer, orders.day, orders.amount, as_of_day=day)
    gaps = gap_history(orders.customer, orders.day, customers=history.customer, as_of_day=day)
    place = np.searchsorted(people.customer, history.customer)
    net = np.maximum(history.total_amount - people.unmatched_returns[place], 0.0)
    scale = learn_scale(silence_days=history.silence_days, orders=history.orders, amount=net)
    rfm = scale.score(silence_days=history.silence_days, orders=history.orders, amount=net)
    lifecycle = models.lifecycle or Lifecycle().fit([], [])
    stages = lifecycle.stages(gaps)
    columns = (history.frequency, history.recency_days, history.age_days)
    if models.value is not None:
        near = models.value.forecast(history, horizon_days=HORIZON_DAYS)
        p_active, orders_90, low, high, amount = near.p_active, near.orders, near.orders_low, near.orders_high, near.order_amount
        orders_365 = models.value.rate.expected_orders(*columns, YEAR_DAYS)
    else:
        orders_90 = _recent_orders(orders, history, HORIZON_DAYS)
        orders_365 = _recent_orders(orders, history, YEAR_DAYS)
        amount = history.mean_amount
        p_active = low = high = np.full(len(history), np.nan)
    return _Scores(
        history=history,
        gaps=gaps,
        stage=stages.stage,
        expected_gap=stages.expected_gap_days,
        overdue=stages.overdue,
        recency=rfm.recency,
        frequency=rfm.frequency,
        monetary=rfm.monetary,
        group=rfm.group,
        p_active=p_active,
        orders_90=orders_90,
        orders_90_low=low,
        orders_90_high=high,
        orders_365=orders_365,
        order_amount=amount,
        loyal_orders=int(lifecycle.loyal_orders_),
    )


def _recent_orders(orders: dataset.OrderRows, history: OrderHistory, days: int) -> Floats:
    """Return each buyer's days with an order in the last `days`: the baseline "the same again"."""
    recent = orders.day > orders.as_of_day - days
    pairs = np.unique(np.column_stack([orders.customer[recent], orders.day[recent]]), axis=0)
    return np.bincount(np.searchsorted(history.customer, pairs[:, 0]), minlength=len(history)).astype(float)


_COLUMNS = (
    "customer_id, recency_score, frequency_score, monetary_score, rfm_group, stage, p_active, expected_orders_90, value_365, "
    "currency, sentiment, reviews_count, reasons, versions, as_of, refreshed_at"
)


def _write(
    people: dataset.People,
    scores: _Scores,
    known: dataset.Currencies,
    versions: dict[str, int],
    as_of: datetime,
    wanted: NDArray[np.int64] | None,
    on_progress: Progress | None,
) -> int:
    """Store the portraits through a temporary table and return how many; one transaction, one writer at a time."""
    chosen = np.arange(len(people)) if wanted is None else np.flatnonzero(np.isin(people.customer, wanted))
    rows = _Rows(people, scores, known)
    settled = orjson.dumps(versions).decode()
    moment = as_of.isoformat()
    with transaction.atomic(), connection.cursor() as cursor:
        locks.take("portraits")
        cursor.execute("CREATE TEMPORARY TABLE fresh_portrait (LIKE customers_portrait INCLUDING DEFAULTS) ON COMMIT DROP")
        with cursor.copy(f"COPY fresh_portrait ({_COLUMNS}) FROM STDIN") as stream:
            for begin in range(0, len(chosen), CHUNK):
                part = chosen[begin : begin + CHUNK]
                stream.write("".join(rows.line(int(index), settled, moment) for index in part))
                if on_progress:
                    on_progress(begin + len(part), len(chosen))
        assignments = ", ".join(f"{name} = EXCLUDED.{name}" for name in _COLUMNS.split(", ")[1:])
        # A customer erased or merged meanwhile has no row to hang a portrait on.
        cursor.execute(
            f"INSERT INTO customers_portrait ({_COLUMNS}) SELECT {_COLUMNS} FROM fresh_portrait "  # noqa: S608 - our own column names
            f"WHERE EXISTS (SELECT 1 FROM customers_customer c WHERE c.id = fresh_portrait.customer_id) "
            f"ON CONFLICT (customer_id) DO UPDATE SET {assignments}"
        )
        written = cursor.rowcount
        cursor.execute(
            "DELETE FROM customers_portrait p USING customers_customer c WHERE c.id = p.customer_id AND (c.merged_into_id IS NOT NULL OR c.is_anonymous)"
        )
        cursor.execute("DROP TABLE fresh_portrait")
    return int(written)


class _Rows:
    """Prints portraits as COPY lines. Columns are turned into Python lists once: indexing numpy per row is ten times slower."""

    def __init__(self, people: dataset.People, scores: _Scores, known: dataset.Currencies) -> None:
        self.ids, self.currency = people.customer.tolist(), people.currency.tolist()
        self.reviews, self.mood = people.reviews.tolist(), people.mood.tolist()
        buyer = np.full(len(people), -1, dtype=np.int64)
        buyer[np.searchsorted(people.customer, scores.history.customer)] = np.arange(len(scores.history))
        self.buyer = buyer.tolist()
        self.factor = {code: known.of(code) for code in set(self.currency)}
        history = scores.history
        self.orders, self.total = history.orders.tolist(), history.total_amount.tolist()
        self.silence, self.age = history.silence_days.tolist(), history.age_days.tolist()
        self.expected_gap, self.overdue = scores.expected_gap.tolist(), scores.overdue.tolist()
        self.last_gap = scores.gaps.last_gap_days.tolist()
        self.stage, self.group = scores.stage.tolist(), scores.group.tolist()
        self.r, self.f, self.m = scores.recency.tolist(), scores.frequency.tolist(), scores.monetary.tolist()
        self.p_active, self.orders_90, self.orders_365 = scores.p_active.tolist(), scores.orders_90.tolist(), scores.orders_365.tolist()
        self.low, self.high = scores.orders_90_low.tolist(), scores.orders_90_high.tolist()
        self.amount, self.loyal_orders = scores.order_amount.tolist(), scores.loyal_orders
        # Without dropout: what the same rate would give if the customer were certainly active.
        sure = np.where(np.isfinite(scores.p_active) & (scores.p_active > 0), scores.p_active, 1.0)
        self.rate_365 = (scores.orders_365 / sure).tolist()
        self.mean_orders = float(scores.orders_365.mean()) if len(history) else 0.0
        self.mean_amount = float(scores.order_amount.mean()) if len(history) else 0.0

    def line(self, index: int, versions: str, moment: str) -> str:
        place, currency = self.buyer[index], self.currency[index]
        mood = _number(self.mood[index])
        tail = f"{currency}\t{mood}\t{self.reviews[index]}"
        if place < 0:
            reasons = '{"stage":[{"code":"no_orders","data":{}}]}'
            return f"{self.ids[index]}\t\\N\t\\N\t\\N\t\tprospect\t\\N\t\\N\t\\N\t{tail}\t{reasons}\t{versions}\t{moment}\t{moment}\n"
        value = self.orders_365[place] * self.amount[place] / self.factor[currency]
        return (
            f"{self.ids[index]}\t{self.r[place]}\t{self.f[place]}\t{self.m[place]}\t{self.group[place]}\t{self.stage[place]}\t"
            f"{_number(self.p_active[place])}\t{_number(self.orders_90[place])}\t{_money(value)}\t{tail}\t"
            f"{_escaped(self.reasons(place, self.factor[currency]))}\t{versions}\t{moment}\t{moment}\n"
        )

    def reasons(self, place: int, factor: float) -> str:
        """Return the facts behind stage and value as JSON. The value's effects add up to it exactly."""
        amount, mean_amount = self.amount[place] / factor, self.mean_amount / factor
        rate, orders, mean = self.rate_365[place], self.orders_365[place], self.mean_orders
        reasons: dict[str, Any] = {
            "stage": self._stage_reasons(place),
            "value": [
                {"code": "base", "data": {"effect": _short(mean * mean_amount)}},
                {"code": "frequency", "data": {"effect": _short((rate - mean) * mean_amount), "orders": int(self.orders[place]), "days": int(self.age[place])}},
                {"code": "silence", "data": {"effect": _short((orders - rate) * mean_amount), "days": int(self.silence[place])}},
                {"code": "amount", "data": {"effect": _short(orders * (amount - mean_amount)), "amount": _short(amount), "typical": _short(mean_amount)}},
            ],
        }
        if np.isfinite(self.low[place]):
            reasons["range"] = {"orders_90": [_short(self.low[place]), _short(self.high[place])], "level": 0.8}
        return orjson.dumps(reasons).decode()

    def _stage_reasons(self, place: int) -> list[dict[str, Any]]:
        stage, silence = self.stage[place], int(self.silence[place])
        rhythm = {"silence_days": silence, "expected_gap_days": round(self.expected_gap[place]), "times": round(self.overdue[place], 1)}
        count = {"code": "orders", "data": {"count": int(self.orders[place]), "loyal_from": self.loyal_orders}}
        if stage in {"at_risk", "lapsed"}:
            return [{"code": "overdue", "data": rhythm}, count]
        if stage == "reactivated":
            return [{"code": "came_back", "data": {"gap_days": int(self.last_gap[place]), "silence_days": silence}}, count]
        if stage == "new":
            return [{"code": "first_order", "data": {"days": silence}}]
        return [{"code": "on_time", "data": rhythm}, count]


def _number(value: float) -> str:
    """Return a COPY field; what is not a finite number is NULL, never NaN."""
    return f"{value:.6g}" if np.isfinite(value) else "\\N"


def _money(value: float) -> str:
    return f"{min(value, 1e11):.2f}" if np.isfinite(value) else "\\N"


def _short(value: float) -> float | None:
    return round(float(value), 2) if np.isfinite(value) else None


def _escaped(text: str) -> str:
    """Return the text as COPY wants it; our JSON has no tabs or line breaks, but may have backslashes."""
    return text.replace("\\", "\\\\")
