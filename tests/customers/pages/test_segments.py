"""The segment pages: the builder with its live panel, templates, and what a stored segment shows."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from crm.core import clock
from crm.core.models import AuditEntry
from customers import segment_pages
from customers.models import Segment
from customers.segmentation import tree
from tests.customers.pages.conftest import HTMX, queries
from tests.factories import CustomerFactory, SegmentFactory
from tests.world import NOW, World

pytestmark = pytest.mark.django_db

RULE = {"r-op": "all", "r-0-field": "spent_amount", "r-0-was": "spent_amount", "r-0-operator": "at_least", "r-0-value": "480"}


def test_live_panel_counts_matched_and_reachable_with_reasons(world: World, marketer: Client) -> None:
    text = marketer.post(reverse("segments:preview"), RULE, **HTMX).content.decode()
    preview = segment_pages.preview_of(tree.parse({"op": "all", "rules": [{"field": "spent_amount", "operator": "at_least", "value": 480}]}), at=NOW)

    assert "2 matched, 1 may be e-mailed" in text
    assert (preview.matched, preview.reachable, preview.everyone) == (2, 1, 3)
    assert [(str(drop.reason), drop.count) for drop in preview.drops] == [("Withdrawn, bounced or marked as spam", 1)]
    assert {str(customer) for customer in preview.sample} == {"Lin Loyal", "王旧友"}
    assert preview.sentence == "Customers for whom Total spent is at least ¥480.00."
    assert "Very few people" in preview.warning


def test_live_panel_asks_little_and_remembers_counts(world: World, marketer: Client) -> None:
    marketer.post(reverse("segments:preview"), RULE)

    with CaptureQueriesContext(connection) as captured:
        marketer.post(reverse("segments:preview"), RULE)

    assert len(captured) <= 4  # session, user, sample, and the choices of a menu at most


@pytest.mark.parametrize(
    ("change", "node"),
    [
        ({"r-0-value": "many"}, "rules[0].value"),
        ({"r-0-field": "password", "r-0-was": "password"}, "rules[0].field"),
        ({"r-0-field": "stage", "r-0-was": "stage", "r-0-operator": "is", "r-0-value": "'; --"}, "rules[0].value"),
    ],
)
def test_bad_rule_is_a_400_naming_the_node(marketer: Client, change: dict[str, str], node: str) -> None:
    live = marketer.post(reverse("segments:preview"), RULE | change)
    saved = marketer.post(reverse("segments:new"), RULE | change | {"name": "x", "do": "save"})

    assert (live.status_code, saved.status_code) == (400, 400)
    # People read which condition it is; programs read the node.
    assert f'data-node="{node}">Condition 1: ' in live.content.decode()
    assert not Segment.objects.exists()


def test_building_and_saving_without_scripts(world: World, marketer: Client) -> None:
    url = reverse("segments:new")

    added = marketer.post(url, RULE | {"do": "add-group:r", "name": "Big"})
    assert 'name="r-1-0-field"' in added.content.decode()
    assert 'value="Big"' in added.content.decode()
    changed = marketer.post(url, RULE | {"r-0-field": "stage", "do": "preview"}, **HTMX)  # another field picked in the row
    assert 'name="r-0-value"' in changed.content.decode()
    saved = marketer.post(url, RULE | {"do": "save", "name": "Big", "description": ""})

    segment = Segment.objects.get()
    assert saved.headers["Location"] == reverse("segments:detail", args=[segment.pk])
    assert segment.rule == {"op": "all", "rules": [{"field": "spent_amount", "operator": "at_least", "value": 480}]}
    assert (segment.members_count, segment.created_by) == (2, world.marketer)
    assert marketer.post(url, RULE | {"do": "save", "name": "Big"}).status_code == 422


def test_editing_bumps_the_version_and_moves_people(world: World, marketer: Client) -> None:
    marketer.post(reverse("segments:new"), RULE | {"do": "save", "name": "Big"})
    segment = Segment.objects.get()

    marketer.post(reverse("segments:edit", args=[segment.pk]), RULE | {"r-0-value": "481", "do": "save", "name": "Bigger"})

    segment.refresh_from_db()
    assert (segment.name, segment.version, segment.members_count) == ("Bigger", 2, 1)
    before = AuditEntry.objects.get(action="segment.change").data["before"]
    assert before["rules"][0]["value"] == 480
    page = marketer.get(reverse("segments:detail", args=[segment.pk])).context["page"]
    assert (page.entered, page.left, page.reachable) == (2, 1, 1)
    marketer.post(reverse("segments:delete", args=[segment.pk]))
    assert not Segment.objects.exists()


@pytest.mark.parametrize("key", ["vip", "at-risk", "one-time", "new", "win-back", "window-shoppers"])
def test_templates_open_in_the_builder(marketer: Client, key: str) -> None:
    page = marketer.get(f"{reverse('segments:new')}?template={key}").context["page"]

    assert not page.preview.error
    assert page.rules.rows


def test_segment_pages_ask_the_same_questions_for_any_number(world: World, marketer: Client) -> None:
    from customers.segmentation import membership

    segment = SegmentFactory(rule={})
    membership.refresh(segment_id=segment.pk, at=NOW)
    listing, detail = reverse("segments:list"), reverse("segments:detail", args=[segment.pk])
    before = queries(marketer, listing), queries(marketer, detail)

    for _index in range(29):
        CustomerFactory()
        membership.refresh(segment_id=SegmentFactory(rule={}).pk, at=NOW)
    membership.refresh(segment_id=segment.pk, at=NOW)

    assert (queries(marketer, listing), queries(marketer, detail)) == before
    assert max(before) <= 12


def test_the_line_of_members_begins_with_the_segment(world: World, marketer: Client) -> None:
    made_today, older = SegmentFactory(rule={}), SegmentFactory(rule={})
    Segment.objects.filter(pk=older.pk).update(created_at=clock.now() - timedelta(days=3))

    young, old = (marketer.get(reverse("segments:detail", args=[segment.pk])).context["page"].trend for segment in (made_today, older))

    assert young.is_empty
    assert "tomorrow" in young.summary
    assert len(old.rows) == 4


def test_stored_rule_with_a_vanished_field_is_told_in_words(world: World, marketer: Client) -> None:
    segment = SegmentFactory(rule={"op": "all", "rules": [{"field": "gone", "operator": "is", "value": 1}]})

    for name in ("segments:detail", "segments:edit"):
        response = marketer.get(reverse(name, args=[segment.pk]))
        assert response.status_code == 200
        assert "gone" in response.content.decode()
