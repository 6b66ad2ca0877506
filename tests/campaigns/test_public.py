"""What a recipient's mail program, scanner and browser can do with the links in a mail."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.core.signing import Signer
from django.test import Client

from campaigns import links
from campaigns.models import Delivery, DeliveryState, Engagement
from crm.core import clock
from customers import consent
from customers.models import ConsentEntry, Product
from recommendations.models import RecommendationFeedback

pytestmark = pytest.mark.django_db
Make = Callable  # type: ignore[type-arg]


@pytest.fixture
def delivery(make_customer: Make, make_campaign: Make) -> Delivery:
    at = clock.now() - timedelta(hours=1)
    return Delivery.objects.create(campaign=make_campaign(), customer=make_customer(), state=DeliveryState.SENT, sent_at=at, claimed_at=at, language="en")


@pytest.fixture
def stranger() -> Client:
    """A browser without cookies that enforces CSRF, as a mail provider's server is."""
    return Client(enforce_csrf_checks=True)


def path(url: str) -> str:
    return urlsplit(url).path


def allowed(delivery: Delivery) -> bool:
    return consent.may_contact(customer_ids=[delivery.customer_id], channel="email", at=clock.now())[delivery.customer_id].allowed


def test_one_click_post_unsubscribes_at_once_without_cookies(delivery: Delivery, stranger: Client) -> None:
    answer = stranger.post(path(links.unsubscribe_url(delivery.public_id)), "List-Unsubscribe=One-Click", content_type="application/x-www-form-urlencoded")

    assert answer.status_code == 200
    assert not answer.cookies
    assert not allowed(delivery)
    delivery.refresh_from_db()
    assert delivery.unsubscribed_at is not None
    assert ConsentEntry.objects.filter(customer=delivery.customer).first().origin == "one-click unsubscribe"  # type: ignore[union-attr]
    assert list(Engagement.objects.values_list("kind", flat=True)) == ["unsubscribed"]


@pytest.mark.parametrize("method", ["get", "head"])
def test_scanners_following_the_link_change_nothing(delivery: Delivery, stranger: Client, method: str) -> None:
    answer = getattr(stranger, method)(path(links.unsubscribe_url(delivery.public_id)))

    assert answer.status_code == 200
    assert allowed(delivery)
    assert ConsentEntry.objects.count() == 1
    assert not Engagement.objects.exists()


def test_the_page_speaks_the_mails_language(delivery: Delivery, stranger: Client) -> None:
    Delivery.objects.update(language="zh-hans")

    page = stranger.get(path(links.unsubscribe_url(delivery.public_id)), headers={"Accept-Language": "en"}).content.decode()

    assert '<html lang="zh-Hans">' in page
    assert "退订" in page
    assert "Unsubscribe" not in page


def test_pressing_twice_writes_one_more_line_at_most_and_is_200(delivery: Delivery, stranger: Client) -> None:
    url = path(links.unsubscribe_url(delivery.public_id))

    assert [stranger.post(url).status_code for _time in range(3)] == [200, 200, 200]

    assert ConsentEntry.objects.filter(customer=delivery.customer, state="withdrawn").count() == 1
    assert Engagement.objects.count() == 1


def test_subscribing_again_needs_an_unsubscribe_first(delivery: Delivery, stranger: Client) -> None:
    url = path(links.unsubscribe_url(delivery.public_id))
    consent.withdraw(customer_id=delivery.customer_id, channel="email", origin="phone call", at=clock.now())

    assert stranger.post(url, {"action": "subscribe"}).status_code == 404
    assert not allowed(delivery)

    stranger.post(url)
    assert stranger.post(url, {"action": "subscribe"}).status_code == 200
    assert allowed(delivery)
    latest = ConsentEntry.objects.filter(customer=delivery.customer).first()
    assert latest is not None
    assert (latest.origin, latest.wording) == ("unsubscribe page", "unsubscribe-page-1")
    # And the same link works a second time.
    stranger.post(url)
    assert not allowed(delivery)


def test_a_forged_or_borrowed_token_does_nothing(delivery: Delivery, stranger: Client) -> None:
    token = path(links.unsubscribe_url(delivery.public_id)).split("/")[2]
    open_token = path(links.open_url(delivery.public_id)).rsplit("/", 1)[1].removesuffix(".gif")
    other = Signer(key="another key", salt="campaigns.unsubscribe", sep=".").sign(delivery.public_id.hex)

    for forged in (token[:-2], f"{uuid.uuid4().hex}.{token.partition('.')[2]}", open_token, other, "x", "x.y"):
        assert stranger.post(f"/u/{forged}/").status_code == 404

    assert allowed(delivery)


def test_a_link_from_a_test_mail_changes_nothing(stranger: Client, delivery: Delivery) -> None:
    assert stranger.post(path(links.unsubscribe_url(None))).status_code == 200
    assert stranger.get(path(links.open_url(None))).status_code == 200

    assert allowed(delivery)
    assert not Engagement.objects.exists()


def test_a_click_leads_to_the_products_stored_address_and_is_a_label(delivery: Delivery, stranger: Client, make_product: Make) -> None:
    pot: Product = make_product("Pot", url="https://shop.example/pot")
    url = path(links.click_url(delivery.public_id, pot.pk))

    answers = [stranger.get(url) for _time in range(2)]

    assert [(answer.status_code, answer["Location"]) for answer in answers] == [(302, "https://shop.example/pot")] * 2
    delivery.refresh_from_db()
    assert delivery.clicked_at is not None
    assert delivery.opened_at is not None
    assert [(row.kind, row.product_id) for row in Engagement.objects.all()] == [("clicked", pot.pk)]
    label = RecommendationFeedback.objects.get()
    assert (label.kind, label.customer_id, label.product_id, label.origin) == ("clicked", delivery.customer_id, pot.pk, f"campaign:{delivery.campaign_id}")


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", "//evil.example/x", "/relative", "ftp://shop.example/x"])
def test_an_address_that_is_none_is_never_followed(delivery: Delivery, stranger: Client, make_product: Make, address: str) -> None:
    pot: Product = make_product("Pot", url=address)

    answer = stranger.get(path(links.click_url(delivery.public_id, pot.pk)))

    assert answer["Location"] == "https://shop.example"


def test_there_is_no_open_redirect(delivery: Delivery, stranger: Client) -> None:
    url = path(links.click_url(delivery.public_id, None))
    token = url.split("/")[3]

    assert stranger.get(f"{url}?next=https://evil.example&url=https://evil.example")["Location"] == "https://shop.example"
    for forged in ("https:%2F%2Fevil.example", token.replace("-s.", "-phttps."), f"{delivery.public_id.hex}-p1.{token.rpartition('.')[2]}"):
        answer = stranger.get(f"/e/c/{forged}/")
        assert answer.status_code == 404
        assert "Location" not in answer.headers


def test_the_demo_shops_products_are_shown_on_our_own_page(delivery: Delivery, stranger: Client, make_product: Make) -> None:
    pot: Product = make_product("Pot", chinese="铁壶", url="https://maple.example/pot")
    pot.source.is_demo = True
    pot.source.save()

    answer = stranger.get(path(links.click_url(delivery.public_id, pot.pk)))

    assert answer.status_code == 200
    assert "Pot" in answer.content.decode()
    assert "¥88.00" in answer.content.decode()
    assert not answer.cookies


@pytest.mark.parametrize("headers", [{"Sec-Purpose": "prefetch;prerender"}, {"Purpose": "prefetch"}])
def test_a_prefetch_is_no_click_and_no_open(delivery: Delivery, stranger: Client, headers: dict[str, str]) -> None:
    stranger.get(path(links.click_url(delivery.public_id, None)), headers=headers)
    stranger.get(path(links.open_url(delivery.public_id)), headers=headers)
    stranger.head(path(links.click_url(delivery.public_id, None)))

    assert not Engagement.objects.exists()


def test_an_open_is_counted_once_and_the_pixel_always_comes(delivery: Delivery, stranger: Client) -> None:
    url = path(links.open_url(delivery.public_id))

    answers = [stranger.get(url), stranger.get(url), stranger.get("/e/o/forged.gif")]

    assert {(answer.status_code, answer["Content-Type"]) for answer in answers} == {(200, "image/gif")}
    assert "no-store" in answers[0]["Cache-Control"]
    assert Engagement.objects.count() == 1


def test_nothing_in_a_link_names_the_person(delivery: Delivery) -> None:
    for url in (links.open_url(delivery.public_id), links.click_url(delivery.public_id, 5), links.unsubscribe_url(delivery.public_id)):
        assert delivery.customer.email not in url
        assert f"/{delivery.customer_id}" not in url
