"""The customer and segment pages through their doors: who may, what they show, how many questions they ask."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from crm.core import clock
from crm.core.models import AuditEntry, SavedView, User
from crm.core.models.people import Role
from customers import consent, portrait, segment_pages
from customers.listing import Filters
from customers.models import Customer, Segment
from customers.segmentation import tree
from tests.factories import ActivityFactory, ConsentFactory, CustomerFactory, PortraitFactory, SegmentFactory, UserFactory, place_order
from tests.world import NOW, World, build

pytestmark = pytest.mark.django_db
HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("crm.core.clock.now", lambda: NOW)
    return build()


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def marketer(world: World) -> Client:
    return client_of(world.marketer)


def names(response: Any) -> list[str]:
    return [str(customer) for customer in response.context["page"].customers]


def queries(client: Client, url: str, **headers: str) -> int:
    cache.clear()
    with CaptureQueriesContext(
        connection,
    ) as captured:
        response = client.get(url, **headers)
    assert response.status_code == 200
    return len(captured)


# --- who may --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["customers:list", "segments:list", "segments:new"])
def test_pages_are_for_staff_with_the_permission(world: World, name: str) -> None:
    url = reverse(name)

    assert Client().get(url).headers["Location"].startswith("/login/")
    assert client_of(world.outsider).get(url).status_code == 403
    assert client_of(world.marketer).get(url).status_code == 200


def test_agents_see_customers_but_neither_segments_nor_exports(world: World) -> None:
    agent = client_of(world.teammate)

    assert agent.get(reverse("customers:detail", args=[world.loyal.pk])).status_code == 200
    assert agent.get(reverse("segments:list")).status_code == 403
    assert agent.get(reverse("customers:export")).status_code == 403
    analyst = client_of(world.analyst)
    assert analyst.post(reverse("customers:tags", args=[world.loyal.pk]), {"tag": "x"}).status_code == 403
    assert analyst.get(reverse("segments:new")).status_code == 403
    world.loyal.refresh_from_db()
    assert world.loyal.tags == ["vip"]


# --- the list -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["Lin Loyal", "Nora New", "王旧友"]),
        ("q=NORA", ["Nora New"]),
        ("q=旧友", ["王旧友"]),
        ("q=lapsing@", ["王旧友"]),
        ("country=GB", ["Nora New"]),
        ("contactable=yes", ["Lin Loyal", "Nora New"]),
        ("contactable=no", ["王旧友"]),
        ("min_spend=480.01", ["Lin Loyal"]),
        ("tag=vip", ["Lin Loyal"]),
        ("orders=no", []),
        ("stage=lapsed", ["王旧友"]),
        ("stage=lapsed&country=GB", []),
        ("sort=-spent", ["Lin Loyal", "王旧友", "Nora New"]),
        ("sort=name", ["Lin Loyal", "Nora New", "王旧友"]),
        ("sort=last_order", ["王旧友", "Lin Loyal", "Nora New"]),
    ],
)
def test_filters_in_the_url_find_the_right_people(marketer: Client, query: str, expected: list[str]) -> None:
    portrait.refresh(as_of=NOW)

    found = names(marketer.get(f"{reverse('customers:list')}?{query}"))

    assert found == expected if "sort" in query else sorted(found) == sorted(expected)


@pytest.mark.parametrize(
    "query",
    [
        "min_spend=abc",
        "min_spend=NaN",
        "stage=asleep",
        "sort=;drop",
        "segment=x",
        "segment=99999999999999999999",
        "page=zz",
        "page=-3",
        "q=%00",
        "view=x",
        "min_spend=1e99",
        "product=%D9%A3",
    ],
)
def test_nonsense_in_the_url_is_ignored(marketer: Client, query: str) -> None:
    assert marketer.get(f"{reverse('customers:list')}?{query}").status_code == 200


def test_segment_and_product_filters(world: World, marketer: Client) -> None:
    segment = SegmentFactory(rule={"op": "all", "rules": [{"field": "last_order_at", "operator": "in_last_days", "value": 8}]})
    from customers.segmentation import membership

    membership.refresh(segment_id=segment.pk, at=NOW)

    assert names(marketer.get(f"{reverse('customers:list')}?segment={segment.pk}")) == ["Nora New"]
    assert names(marketer.get(f"{reverse('customers:list')}?product={world.teapot.pk}")) == ["Nora New"]


def test_htmx_swaps_only_the_results(marketer: Client) -> None:
    response = marketer.get(f"{reverse('customers:list')}?q=lin", **HTMX)

    assert response.content.decode().strip().startswith('<div class="stack" id="results">')
    assert "<html" not in response.content.decode()


def test_list_asks_the_same_questions_for_any_number_of_rows(world: World, marketer: Client) -> None:
    url = reverse("customers:list")
    portrait.refresh(as_of=NOW)
    with_three = queries(marketer, url)

    for index in range(27):
        PortraitFactory(customer=CustomerFactory(tags=[f"t{index}"]))
    SegmentFactory()

    assert queries(marketer, url) == with_three <= 12


def test_list_pages_do_not_overlap(world: World, marketer: Client) -> None:
    same_moment = [CustomerFactory(name=f"same {index}", last_seen_at=NOW) for index in range(60)]

    first = marketer.get(f"{reverse('customers:list')}?q=same")
    second = marketer.get(first.context["page"].pages.next_url)
    back = marketer.get(second.context["page"].pages.previous_url)

    seen = names(first) + names(second)
    assert len(seen) == len(set(seen)) == len(same_moment)
    assert names(back) == names(first)
    assert (first.context["page"].pages.previous_url, second.context["page"].pages.next_url) == ("", "")
    assert parse_qs(urlsplit(first.context["page"].pages.next_url).query)["q"] == ["same"]


def test_empty_shop_offers_the_import() -> None:
    client = client_of(UserFactory(role=Role.ADMIN))

    page = client.get(reverse("customers:list"))

    assert "No customers yet" in page.content.decode()


def test_bulk_tag_reaches_the_ticked_or_everyone_matching(world: World, marketer: Client) -> None:
    url = reverse("customers:bulk")

    marketer.post(url, {"customer": [world.brand_new.pk, "x", "9" * 30], "tag": "spring", "scope": "page", "query": ""})
    marketer.post(url, {"customer": [world.brand_new.pk], "tag": "silent", "scope": "all", "query": "contactable=no&view=3"})
    marketer.post(url, {"customer": [world.loyal.pk], "tag": "vip", "scope": "page", "query": ""})
    refused = marketer.post(url, {"customer": [world.loyal.pk], "tag": "a,b", "scope": "page", "query": ""}, follow=True)

    tags = {customer.name: customer.tags for customer in Customer.objects.all()}
    assert tags == {"Lin Loyal": ["vip"], "Nora New": ["spring"], "王旧友": ["silent"]}
    assert "A tag cannot contain a comma." in refused.content.decode()
    assert [entry.data["customers"] for entry in AuditEntry.objects.filter(action="customer.tag").order_by("pk")] == [1, 1, 0]


def test_export_has_the_filtered_rows_and_no_formulas(world: World, marketer: Client) -> None:
    CustomerFactory(name="=HYPERLINK(1)", email="", phone="+8613800000000", tags=["@a", "b"], last_seen_at=NOW)

    content = marketer.get(f"{reverse('customers:export')}?orders=no").content.decode("utf-8-sig")

    lines = content.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("id,name,email")
    assert "'=HYPERLINK(1)" in lines[1]
    assert "'+8613800000000" in lines[1]
    assert "'@a, b" in lines[1]
    assert AuditEntry.objects.get(action="customer.export").data == {"query": "orders=no", "rows": 1}


def test_saved_views_remember_share_change_and_go(world: World, marketer: Client) -> None:
    saved = marketer.post(reverse("customers:view-save"), {"name": "Vips", "query": "tag=vip&page=3&junk=1", "is_shared": "on"})
    view = SavedView.objects.get()
    assert (view.query, view.is_shared, saved.headers["Location"]) == ("tag=vip", True, f"/customers/?tag=vip&view={view.pk}")

    analyst = client_of(world.analyst)
    tab = analyst.get(saved.headers["Location"]).context["page"].current
    assert (tab.name, tab.is_own, tab.is_changed) == ("Vips", False, False)
    assert analyst.post(reverse("customers:view-update", args=[view.pk]), {"query": ""}).status_code == 404
    assert marketer.get(f"/customers/?tag=vip&country=CN&view={view.pk}").context["page"].current.is_changed

    marketer.post(reverse("customers:view-update", args=[view.pk]), {"query": "tag=vip&country=CN"})
    view.refresh_from_db()
    assert parse_qs(view.query) == {"tag": ["vip"], "country": ["CN"]}
    marketer.post(reverse("customers:view-save"), {"name": "Vips", "query": ""})
    assert SavedView.objects.count() == 1
    marketer.post(reverse("customers:view-delete", args=[view.pk]))
    assert not SavedView.objects.exists()


def test_equal_filters_give_equal_query_strings() -> None:
    assert Filters.read({"tag": "a", "q": "x "}).as_query() == Filters.read({"q": "x", "tag": "a", "page": "9", "sort": "-seen"}).as_query()


# --- one customer ---------------------------------------------------------------------------------------------------


def test_customer_page_tells_the_whole_truth(world: World, marketer: Client) -> None:
    portrait.refresh(as_of=NOW)

    text = marketer.get(reverse("customers:detail", args=[world.lapsing.pk])).content.decode()

    for expected in ("王旧友", "lapsing@mail.example", "Lapsed", "Consent was withdrawn.", "Silent for 200 days", "¥480.00", "no trained model"):
        assert expected in text


def test_customer_page_asks_few_questions_whatever_the_history(world: World, marketer: Client) -> None:
    portrait.refresh(as_of=NOW)
    url = reverse("customers:detail", args=[world.brand_new.pk])
    timeline_url = reverse("customers:timeline", args=[world.brand_new.pk])
    page_before, timeline_before = queries(marketer, url), queries(marketer, timeline_url, **HTMX)

    for index in range(30):
        place_order(world.brand_new, at=NOW - timedelta(days=index))
        ActivityFactory(customer=world.brand_new, source=world.source, product=world.teapot)
        ConsentFactory(customer=world.brand_new)

    assert queries(marketer, url) == page_before <= 12
    assert queries(marketer, timeline_url, **HTMX) == timeline_before <= 12


def test_merged_customer_leads_to_who_they_are_now(world: World, marketer: Client) -> None:
    gone = CustomerFactory(merged_into=world.loyal)

    assert marketer.get(reverse("customers:detail", args=[gone.pk])).headers["Location"] == reverse("customers:detail", args=[world.loyal.pk])
    assert marketer.get(reverse("customers:detail", args=[987654321])).status_code == 404


def test_editing_in_place_saves_and_refuses(world: World, marketer: Client) -> None:
    url = reverse("customers:edit", args=[world.brand_new.pk])
    values = {
        "name": "Nora Newman",
        "email": "new@mail.example",
        "phone": "",
        "locale": "en",
        "country": "GB",
        "city": "Leeds",
        "gender": "",
        "birth_date": "1990-05-01",
    }

    taken = marketer.post(url, values | {"email": "loyal@mail.example"}, **HTMX)
    assert taken.status_code == 422
    assert "already has this e-mail" in taken.content.decode()
    saved = marketer.post(url, values, **HTMX)
    assert "Leeds" in saved.content.decode()
    assert marketer.post(url, values | {"birth_date": "never"}).status_code == 422
    world.brand_new.refresh_from_db()
    assert (world.brand_new.name, world.brand_new.city, world.brand_new.email) == ("Nora Newman", "Leeds", "new@mail.example")
    assert set(AuditEntry.objects.get(action="customer.change").data["fields"]) == {"name", "city", "birth_date"}


def test_tags_are_added_and_removed_in_place(world: World, marketer: Client) -> None:
    url = reverse("customers:tags", args=[world.loyal.pk])

    assert "press" in marketer.post(url, {"tag": " press "}, **HTMX).content.decode()
    assert marketer.post(url, {"tag": ""}, **HTMX).status_code == 422
    marketer.post(url, {"tag": "press"})
    marketer.post(url, {"tag": "", "remove": "vip"})
    marketer.post(url, {"tag": "", "remove": "not there"})

    world.loyal.refresh_from_db()
    assert world.loyal.tags == ["press"]


def test_consent_is_recorded_by_staff_and_the_gate_follows(world: World, marketer: Client) -> None:
    url = reverse("customers:consents", args=[world.lapsing.pk])

    marketer.post(url, {"channel": "email", "state": "granted"})
    assert consent.may_contact(customer_ids=[world.lapsing.pk], channel="email", at=NOW)[world.lapsing.pk].allowed
    marketer.post(url, {"channel": "email", "state": "withdrawn"}, **HTMX)
    assert not consent.may_contact(customer_ids=[world.lapsing.pk], channel="email", at=NOW)[world.lapsing.pk].allowed
    for bad in ({"channel": "fax", "state": "granted"}, {"channel": "email", "state": "bounced"}, {}):
        assert marketer.post(url, bad).status_code == 400
    assert list(AuditEntry.objects.filter(target_id=str(world.lapsing.pk)).order_by("pk").values_list("action", flat=True)) == [
        "consent.granted",
        "consent.withdrawn",
    ]


# --- segments -------------------------------------------------------------------------------------------------------

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


def test_search_sources_find_by_beginning_and_middle(world: World) -> None:
    from crm.core.registries import search_sources

    SegmentFactory(name="Tea lovers")

    assert [hit.title for hit in search_sources["customers"].find("旧友", 5)] == ["王旧友"]
    assert [hit.title for hit in search_sources["segments"].find("tea", 5)] == ["Tea lovers"]
    assert [hit.title for hit in search_sources["products"].find("铁壶", 5)] == ["Iron teapot"]
    order = world.brand_new.orders.get()
    hit = search_sources["orders"].find(order.external_id, 5)[0]
    assert urlsplit(hit.url).path == reverse("customers:detail", args=[world.brand_new.pk])
