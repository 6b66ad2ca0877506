"""What people did with recommendations, kept as labelled rows that the next training reads."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Q
from django.utils.translation import gettext_lazy as _

from crm.core.errors import CrmError, NotFound
from customers.models import Customer, Order, Product
from recommendations.models import FeedbackKind, RecommendationFeedback

ORIGIN_LENGTH = 40


class UnknownKind(CrmError):
    code = "unknown_feedback_kind"
    status = 400
    message = "Feedback is one of shown, clicked, bought, dismissed."


@dataclass(frozen=True, slots=True)
class FeedbackCounts:
    """Feedback of one period. Rates are None while there is nothing to divide by."""

    shown: int
    clicked: int
    bought: int
    dismissed: int

    @property
    def total(self) -> int:
        return self.shown + self.clicked + self.bought + self.dismissed

    @property
    def click_rate(self) -> float | None:
        return min(self.clicked / self.shown, 1.0) if self.shown else None


def record(*, customer_id: int, product_id: int, kind: str, origin: str, at: datetime, external_id: str = "", model_version: int = 0) -> bool:
    """Store one reaction and return whether it is new; the same one again is stored once.

    origin: where it happened ('shop', 'campaign:12', 'staff'), cut at 40 characters.  external_id: the sender's own id;
    without one the moment and origin tell two reactions apart.  Raises UnknownKind, or NotFound for a customer or product
    that does not exist.
    """
    if kind not in FeedbackKind.values:
        raise UnknownKind(kind=kind)
    row = _row(customer_id, product_id, kind, origin, at, external_id, model_version)
    with transaction.atomic():
        # Checked under the transaction: a foreign key error would only surface at commit, far from this caller.
        if not Customer.objects.filter(pk=customer_id).exists():
            raise NotFound(str(_("There is no such customer.")))
        if not Product.objects.filter(pk=product_id).exists():
            raise NotFound(str(_("There is no such product.")))
        return _insert([row]) == 1


def record_shown(*, customer_id: int, product_ids: Iterable[int], origin: str, at: datetime, external_id: str = "", model_version: int = 0) -> int:
    """Store that a list was put before a customer; one statement for the whole list. Returns how many rows are new."""
    return _insert([_row(customer_id, product_id, FeedbackKind.SHOWN, origin, at, external_id, model_version) for product_id in product_ids])


def mark_bought(*, order_id: int) -> int:
    """Credit recommendations with an order's products and return how many.

    A product counts when it was shown to or clicked by this customer within CRM_RECOMMEND_CREDIT_DAYS before the order;
    a click is preferred over a showing, then the latest. Three queries; running it again adds nothing.
    """
    order = Order.objects.filter(pk=order_id, customer__isnull=False).values("customer_id", "placed_at").first()
    if order is None:
        return 0
    since = order["placed_at"] - timedelta(days=settings.CRM_RECOMMEND_CREDIT_DAYS)
    touches = (
        RecommendationFeedback.objects.filter(
            customer_id=order["customer_id"],
            product__order_lines__order_id=order_id,
            kind__in=(FeedbackKind.SHOWN, FeedbackKind.CLICKED),
            at__gte=since,
            at__lte=order["placed_at"],
        )
        # 'clicked' sorts before 'shown'.
        .order_by("product_id", "kind", "-at", "-id")
        .distinct("product_id")
        .values("product_id", "origin", "model_version")
    )
    return _insert(
        [
            _row(
                order["customer_id"], touch["product_id"], FeedbackKind.BOUGHT, touch["origin"], order["placed_at"], f"order:{order_id}", touch["model_version"]
            )
            for touch in touches
        ]
    )


def move(*, gone_id: int, kept_id: int) -> None:
    """Hand a merged customer's feedback to the person they turned out to be; rows both had are kept once."""
    with transaction.atomic():
        rows = list(RecommendationFeedback.objects.select_for_update().filter(customer_id=gone_id).order_by("id"))
        _insert([_row(kept_id, row.product_id, row.kind, row.origin, row.at, row.external_id, row.model_version) for row in rows])
        RecommendationFeedback.objects.filter(pk__in=[row.pk for row in rows]).delete()


def counts(*, since: datetime, until: datetime) -> FeedbackCounts:
    """Return how often each reaction happened in [since, until). One query."""
    return counts_by_period(edges=[since, until])[0]


def counts_by_period(*, edges: Sequence[datetime]) -> list[FeedbackCounts]:
    """Return the counts of each period between neighbouring edges, half-open, in the order given. One query."""
    periods = list(pairwise(edges))
    rows = RecommendationFeedback.objects.filter(at__gte=edges[0], at__lt=edges[-1]).order_by().values("kind")
    numbered = {f"period_{index}": Count("id", filter=Q(at__gte=start, at__lt=end)) for index, (start, end) in enumerate(periods)}
    found: list[Any] = list(rows.annotate(**numbered))
    counted = {row["kind"]: row for row in found}

    def of(index: int, kind: str) -> int:
        return int(counted[kind][f"period_{index}"]) if kind in counted else 0

    return [FeedbackCounts(**{kind: of(index, kind) for kind in FeedbackKind.values}) for index in range(len(periods))]


def _row(customer_id: int, product_id: int, kind: str, origin: str, at: datetime, external_id: str, model_version: int) -> RecommendationFeedback:
    origin = origin[:ORIGIN_LENGTH]
    return RecommendationFeedback(
        customer_id=customer_id,
        product_id=product_id,
        kind=kind,
        origin=origin,
        at=at,
        external_id=(external_id or f"{origin}@{at.isoformat()}")[:100],
        model_version=model_version,
    )


def _insert(rows: list[RecommendationFeedback]) -> int:
    """Insert rows, skipping those already there, and return how many went in.

    bulk_create(ignore_conflicts) cannot say which rows are new, so the statement is written out; values are parameters.
    """
    if not rows:
        return 0
    columns = ("customer_id", "product_id", "kind", "origin", "model_version", "external_id", "at")
    sql = (
        f'INSERT INTO "{RecommendationFeedback._meta.db_table}" ({", ".join(columns)}) '  # noqa: S608 - names come from the model, values are parameters
        f"VALUES {', '.join(['(' + ', '.join(['%s'] * len(columns)) + ')'] * len(rows))} ON CONFLICT DO NOTHING"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [getattr(row, column) for row in rows for column in columns])
        return int(cursor.rowcount)
