"""Which other segments hold the same people."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count

from customers.models import Segment, SegmentMembership

MOST_LINES = 8


@dataclass(frozen=True, slots=True)
class Overlap:
    """One other segment.  shared: members of both.  share: shared as a part of this segment's members, 0 to 1."""

    id: int
    name: str
    members: int
    shared: int
    share: float


def overlaps(*, segment: Segment) -> Sequence[Overlap]:
    """Return the segments that share most members with this one, largest first; those that share nobody are left out.

    As of the last evaluation, like the members themselves.  Three queries.
    """
    here = SegmentMembership.objects.filter(segment=segment, left_at=None)
    total = here.count()
    if not total:
        return ()
    # Joined through the customer, so that the index on a customer's stays does the work.
    found = (
        SegmentMembership.objects.filter(left_at=None, customer__memberships__segment=segment, customer__memberships__left_at=None)
        .exclude(segment=segment)
        .values("segment")
        .annotate(shared=Count("pk"))
        .order_by("-shared", "segment")[:MOST_LINES]
    )
    shared = {row["segment"]: row["shared"] for row in found}
    others = Segment.objects.in_bulk(list(shared))
    return [Overlap(pk, others[pk].name, others[pk].members_count, count, count / total) for pk, count in shared.items() if pk in others]
