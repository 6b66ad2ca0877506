"""The customers list: filters in the URL, pages, search, tags for many, export, saved views, and few questions at any number of rows."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.urls import reverse

from crm.core.models import AuditEntry, SavedView
from crm.core.models.people import Role
from customers import portrait
from customers.listing import Filters
from customers.models import Customer
from tests.customers.pages.conftest import HTMX, client_of, queries
from tests.factories import CustomerFactory, PortraitFactory, SegmentFactory, UserFactory
from tests.world import NOW, World

pytestmark = pytest.mark.django_db


def names(response: Any) -> list[str]:
    return [str(customer) for customer in response.context["page"].customers]


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


def test_search_sources_find_by_beginning_and_middle(world: World) -> None:
    from crm.core.registries import search_sources

    SegmentFactory(name="Tea lovers")

    assert [hit.title for hit in search_sources["customers"].find("旧友", 5)] == ["王旧友"]
    assert [hit.title for hit in search_sources["segments"].find("tea", 5)] == ["Tea lovers"]
    assert [hit.title for hit in search_sources["products"].find("铁壶", 5)] == ["Iron teapot"]
    order = world.brand_new.orders.get()
    hit = search_sources["orders"].find(order.external_id, 5)[0]
    assert urlsplit(hit.url).path == reverse("customers:detail", args=[world.brand_new.pk])
