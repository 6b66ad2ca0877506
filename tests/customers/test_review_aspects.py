"""What reviews praise and blame: read once, counted by customer and product, told with quotes, made into a segment."""

import csv
import io
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from crm.core.api import keys
from customers import review_aspects
from customers.insights import pages, segments
from customers.models import Customer, Product, Review
from customers.portrayal import profiling
from tests.factories import CustomerFactory, PortraitFactory, ProductFactory, ReviewFactory, UserFactory
from tests.factories.customers import NOW

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    cache.clear()
    monkeypatch.setattr("crm.core.clock.now", lambda: NOW)


def wrote(text: str, *, customer: Customer | None = None, product: Product | None = None, days: int = 3) -> Review:
    review: Review = ReviewFactory(
        customer=customer or CustomerFactory(), product=product or ProductFactory(), body=text, written_at=NOW - timedelta(days=days)
    )
    return review


def test_reading_keeps_sides_with_quotes_in_both_languages_and_reads_once() -> None:
    english, chinese, silent = wrote("Delivery was slow but the fabric is soft."), wrote("客服不回复。"), wrote("It is a cup.")

    assert review_aspects.read(as_of=NOW) == 3
    assert review_aspects.read(as_of=NOW) == 0
    for review in (english, chinese, silent):
        review.refresh_from_db()
    assert english.aspects["blame"]["delivery"][0] == "Delivery was slow"
    assert english.aspects["praise"]["quality"][0] == "but the fabric is soft"
    assert chinese.aspects["blame"]["service"][0] == "客服不回复"
    assert silent.aspects == {}


def test_nothing_is_read_of_the_future_or_of_a_refused_profile() -> None:
    refuser = CustomerFactory(profiling_refused=True)
    wrote("Far too expensive.", customer=refuser)
    wrote("Far too expensive.", days=-1)

    assert review_aspects.read(as_of=NOW) == 0


def test_refusing_forgets_what_was_read() -> None:
    review = wrote("Far too expensive.")
    review_aspects.read(as_of=NOW)
    assert review.customer is not None

    profiling.refuse(customer_id=review.customer.pk, actor=None, at=NOW)

    review.refresh_from_db()
    assert (review.aspects, review.aspects_version, review.body) == (None, None, "Far too expensive.")


def test_the_portrait_quotes_reviews_even_those_not_read_yet(client: Client) -> None:
    customer = PortraitFactory(reviews_count=2, sentiment=-0.2).customer
    wrote("Delivery was slow.", customer=customer)
    review_aspects.read(as_of=NOW)
    wrote("物流太慢了。", customer=customer)
    client.force_login(UserFactory(role="marketer"))

    page = client.get(reverse("customers:detail", args=[customer.pk])).content.decode()

    assert "praised 0, blamed 2" in page
    assert '<q class="fine" lang="en">Delivery was slow</q>' in page or '<q class="fine" lang="zh-Hans">物流太慢了</q>' in page


def test_the_partner_api_tells_the_same(client: Client) -> None:
    customer = PortraitFactory(reviews_count=1).customer
    wrote("Delivery was slow.", customer=customer)
    _key, secret = keys.create(name="Partner", scopes=["customers:read"], sources=[])

    told = client.get(f"/api/v1/customers/{customer.public_id}/portrait", HTTP_AUTHORIZATION=f"Bearer {secret}").json()

    assert told["review_aspects"] == [{"aspect": "delivery", "praise": 0, "blame": 1, "praise_quotes": [], "blame_quotes": ["Delivery was slow"]}]
    assert told["purchase_intention"] is None


def test_insights_count_by_product_and_make_a_segment_of_those_who_complained(client: Client) -> None:
    kettle, cup = ProductFactory(name="Kettle"), ProductFactory(name="Cup")
    angry = wrote("Delivery was slow. It broke.", product=kettle)
    wrote("物流太慢了，做工很好", product=kettle)
    wrote("Great quality.", product=cup)
    wrote("Delivery was slow.", product=kettle, days=400)
    review_aspects.read(as_of=NOW)
    client.force_login(UserFactory(role="marketer"))

    found = {sheet.name: sheet for sheet in pages.insight_page(name="reviews", params={}, at=NOW).sheets}
    page = client.get(reverse("insights:page", args=["reviews"])).content.decode()
    answer = client.get(reverse("insights:page", args=["reviews"]), {"csv": "aspect-products"}).content.decode("utf-8-sig")
    segment = segments.make(key="blamed:delivery", actor=UserFactory(), at=NOW)

    assert [list(row) for row in found["aspects"].rows] == [["quality", 2, 1], ["delivery", 0, 2]]
    assert [row[1:5] for row in found["aspect-products"].rows] == [["Kettle", "delivery", 0, 2], ["Kettle", "quality", 1, 1]]
    assert "物流太慢了" in page
    assert list(csv.reader(io.StringIO(answer)))[1][2:5] == ["delivery", "0", "2"]
    assert segment.members_count == 2
    assert segment.memberships.filter(customer=angry.customer).exists()
    assert segments.make(key="praised:quality", actor=UserFactory(), at=NOW).members_count == 2


@pytest.mark.parametrize("key", ["blamed:", "blamed:colour", "blamed:delivery:1", "praised"])
def test_an_unknown_side_makes_no_segment(key: str) -> None:
    with pytest.raises(segments.OfferUnknown):
        segments.make(key=key, actor=UserFactory(), at=NOW)
