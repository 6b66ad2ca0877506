"""One customer's page: what it tells, and changes made in place."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from crm.core.models import AuditEntry
from customers import consent, portrait
from tests.customers.pages.conftest import HTMX, queries
from tests.factories import ActivityFactory, ConsentFactory, CustomerFactory, place_order
from tests.world import NOW, World

pytestmark = pytest.mark.django_db


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
