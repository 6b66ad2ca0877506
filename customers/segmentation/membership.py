"""Who is in a segment: exact stays with their beginnings and ends, recomputed as sets."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

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


# Who matches against who is in, as sets. {matched} is the compiled rule with bound parameters. EXCEPT and arrays, because
# joins against the membership table are planned as nested loops while it is young: 100,000 members then take minutes.
_COMPARE = """
    WITH matched AS MATERIALIZED ({matched}),
    stays AS MATERIALIZED (SELECT customer_id FROM customers_segmentmembership WHERE segment_id = %s AND left_at IS NULL),
    entering AS (SELECT id FROM matched EXCEPT SELECT customer_id FROM stays),
    leaving AS (SELECT customer_id FROM stays EXCEPT SELECT id FROM matched)
    SELECT (SELECT count(*) FROM matched), ARRAY(SELECT id FROM entering), ARRAY(SELECT customer_id FROM leaving)
"""
_LEAVE = "UPDATE customers_segmentmembership SET left_at = %s WHERE segment_id = %s AND left_at IS NULL AND customer_id = ANY(%s)"
# A customer erased since the comparison is no longer there to enter.
_ENTER = """
    INSERT INTO customers_segmentmembership (segment_id, customer_id, entered_at)
    SELECT %s, id, %s FROM customers_customer WHERE id = ANY(%s) ORDER BY id
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
            cursor.execute(_COMPARE.format(matched=matched), [*params, segment_id])
            members, entering, leaving = cursor.fetchone()
            if leaving:
                cursor.execute(_LEAVE, [at, segment_id, leaving])
            if entering:
                cursor.execute(_ENTER, [segment_id, at, entering])
        entered, left = len(entering), len(leaving)
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


def _compiled(rule: tree.Group, at: datetime) -> tuple[str, tuple[Any, ...]]:
    try:
        return queryset(rule, at=at).order_by().values("id").query.sql_with_params()
    except EmptyResultSet:
        return "SELECT id FROM customers_customer WHERE false", ()
