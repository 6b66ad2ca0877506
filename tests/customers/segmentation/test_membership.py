"""Who is in a segment: entering and leaving recorded once, few statements at any size, and what two segments share."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import Max

from crm.core import events
from customers.events import SegmentChanged
from customers.models import Customer, SegmentMembership
from customers.segmentation import membership
from tests.customers.segmentation.rules import rule
from tests.factories import CustomerFactory, SegmentFactory, place_order
from tests.world import NOW, build

pytestmark = pytest.mark.django_db


def test_refresh_records_entering_and_leaving_once(django_capture_on_commit_callbacks: Any) -> None:
    world = build()
    segment = SegmentFactory(rule=rule("last_order_at", "in_last_days", 30))
    heard: list[SegmentChanged] = []
    events.listen(SegmentChanged, heard.append)

    with django_capture_on_commit_callbacks(execute=True):
        first = membership.refresh(segment_id=segment.pk, at=NOW)
        again = membership.refresh(segment_id=segment.pk, at=NOW)
        later = membership.refresh(segment_id=segment.pk, at=NOW + timedelta(days=24))

    assert (first.members, first.entered, first.left) == (2, 2, 0)
    assert (again.members, again.entered, again.left) == (2, 0, 0)
    assert (later.members, later.entered, later.left) == (0, 0, 2)
    assert [(event.entered, event.left) for event in heard] == [(2, 0), (0, 2)]
    assert set(SegmentMembership.objects.values_list("customer_id", flat=True)) == {world.loyal.pk, world.brand_new.pk}
    assert SegmentMembership.objects.aggregate(last=Max("left_at"))["last"] == NOW + timedelta(days=24)
    place_order(world.loyal, at=NOW + timedelta(days=25))
    assert membership.refresh(segment_id=segment.pk, at=NOW + timedelta(days=26)).entered == 1
    assert SegmentMembership.objects.filter(customer=world.loyal).count() == 2
    segment.refresh_from_db()
    assert (segment.members_count, segment.evaluated_at) == (1, NOW + timedelta(days=26))


def test_refresh_takes_the_same_few_statements_for_any_size(django_assert_num_queries: Any) -> None:
    for _index in range(30):
        CustomerFactory()
    segment = SegmentFactory(rule={})

    with django_assert_num_queries(7):  # savepoint, lock, segment, comparison, those who enter, count, release
        assert membership.refresh(segment_id=segment.pk, at=NOW).entered == 30
    assert list(membership.member_ids(segment_id=segment.pk)) == sorted(Customer.objects.values_list("pk", flat=True))
    assert membership.members(segment_id=segment.pk).count() == 30


def test_overlap_counts_who_is_in_both_now_and_leaves_strangers_out(django_assert_num_queries: Any) -> None:
    from customers.segmentation.overlap import overlaps

    people = [CustomerFactory(country="CN" if number < 3 else "DE") for number in range(4)]
    everyone, chinese, germans, nobody = (
        SegmentFactory(name=name, rule=rule)
        for name, rule in (
            ("Everyone", {"op": "all", "rules": []}),
            ("Chinese", {"op": "all", "rules": [{"field": "country", "operator": "is", "value": "CN"}]}),
            ("Germans", {"op": "all", "rules": [{"field": "country", "operator": "is", "value": "DE"}]}),
            ("Nobody", {"op": "all", "rules": [{"field": "country", "operator": "is", "value": "FR"}]}),
        )
    )
    for segment in (everyone, chinese, germans, nobody):
        membership.refresh(segment_id=segment.pk, at=NOW)
    # Who has left one of them is not in both.
    people[0].country = "FR"
    people[0].save()
    membership.refresh(segment_id=chinese.pk, at=NOW)

    with django_assert_num_queries(3):
        found = overlaps(segment=everyone)

    assert [(line.name, line.shared, line.members, line.share) for line in found] == [("Chinese", 2, 2, 0.5), ("Germans", 1, 1, 0.25)]
    assert [line.name for line in overlaps(segment=germans)] == ["Everyone"]
    assert overlaps(segment=nobody) == ()
