"""Who is in a segment: exact stays with their beginnings and ends, recomputed as a set in one statement."""

from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import EmptyResultSet
from django.db import connection, transaction
from django.db.models import F, QuerySet

from crm.core import locks
from crm.core.errors import NotFound
from crm.core.events import publish
from customers.events import SegmentChanged
from customers.models import Customer, Segment, SegmentMembership
from customers.segmentation import tree
from customers.segmentation.compile import queryset


@dataclass(frozen=True, slots=True)
class Change:
    """What one evaluation did."""

    segment_id: int
    members: int
    entered: int
    left: int


# One statement, one snapshot: who matches, who goes, who comes. {matched} is the compiled rule with bound parameters.
_REFRESH = """
    WITH matched AS MATERIALIZED ({matched}),
    gone AS (
        UPDATE customers_segmentmembership AS stay SET left_at = %s
        WHERE stay.segment_id = %s AND stay.left_at IS NULL
          AND NOT EXISTS (SELECT 1 FROM matched WHERE matched.id = stay.customer_id)
        RETURNING 1
    ),
    come AS (
        INSERT INTO customers_segmentmembership (segment_id, customer_id, entered_at)
        SELECT %s, matched.id, %s FROM matched
        WHERE NOT EXISTS (
            SELECT 1 FROM customers_segmentmembership AS stay
            WHERE stay.segment_id = %s AND stay.customer_id = matched.id AND stay.left_at IS NULL
        )
        ON CONFLICT DO NOTHING
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM matched), (SELECT count(*) FROM come), (SELECT count(*) FROM gone)
"""


def refresh(*, segment_id: int, at: datetime, cause: str = "schedule") -> Change:
    """Recompute the segment's members as of `at`, store who entered and left, and publish SegmentChanged if any did.

    Two evaluations of one segment wait for each other. Raises NotFound, and tree.RuleInvalid for a stored rule whose
    field has since disappeared (the members then stay as they were).
    """
    with transaction.atomic():
        locks.take(f"segment:{segment_id}")
        segment = Segment.objects.filter(pk=segment_id).first()
        if segment is None:
            raise NotFound
        matched, params = _compiled(tree.parse(segment.rule), at)
        with connection.cursor() as cursor:
            cursor.execute(_REFRESH.format(matched=matched), [*params, at, segment_id, segment_id, at, segment_id])
            members, entered, left = cursor.fetchone()
        Segment.objects.filter(pk=segment_id).update(members_count=members, evaluated_at=at)
        if entered or left:
            publish(SegmentChanged(segment_id=segment_id, entered=entered, left=left, at=at, cause=cause))
    return Change(segment_id=segment_id, members=members, entered=entered, left=left)


def count(rule: tree.Group, *, at: datetime) -> int:
    """Return how many people match the rule now."""
    return queryset(rule, at=at).count()


def member_ids(*, segment_id: int) -> "QuerySet[SegmentMembership, int]":
    """Return the ids of the current members as a queryset, ascending; runs nothing."""
    return SegmentMembership.objects.filter(segment_id=segment_id, left_at=None).order_by("customer_id").values_list("customer_id", flat=True)


def members(*, segment_id: int) -> "QuerySet[Customer]":
    """Return the current members with `entered_at`, newest first; runs nothing."""
    return (
        Customer.objects.people()
        .filter(memberships__segment_id=segment_id, memberships__left_at=None)
        .annotate(entered_at=F("memberships__entered_at"))
        .order_by("-entered_at", "-id")
    )


def _compiled(rule: tree.Group, at: datetime) -> tuple[str, tuple[object, ...]]:
    try:
        return queryset(rule, at=at).order_by().values("id").query.sql_with_params()
    except EmptyResultSet:
        return "SELECT id FROM customers_customer WHERE false", ()
