"""Who refuses to be profiled, wherever it was said, is in no training row and has no scores."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from customers import consent
from customers.merging import merge, unmerge
from customers.ml import dataset
from customers.models import Customer, Portrait
from customers.portrait import serving
from customers.portrayal import profiling
from recommendations.ml import dataset as interactions
from tests.factories import CustomerFactory, OrderFactory, OrderLineFactory, PortraitFactory, ReviewFactory

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def test_orders_and_reviews_of_who_refuses_teach_nothing() -> None:
    content, refusing = CustomerFactory(), CustomerFactory(profiling_refused=True)
    for person in (content, refusing):
        order = OrderFactory(customer=person, placed_at=NOW - timedelta(days=20))
        OrderLineFactory(order=order)
        ReviewFactory(customer=person, rating=5, body=f"Lovely {person.pk}", written_at=NOW - timedelta(days=5))
    known = dataset.currencies(as_of=NOW, default="CNY")

    assert set(dataset.order_rows(as_of=NOW, known=known).customer) == {content.pk}
    assert dataset.rated_reviews(as_of=NOW).texts == [f"Lovely {content.pk}"]
    assert set(interactions.read(as_of=NOW).customer_ids) == {content.pk}


def test_the_mood_of_who_refuses_is_not_read(monkeypatch) -> None:
    class Reader:
        def predict(self, texts: list[str]) -> SimpleNamespace:
            return SimpleNamespace(score=np.full(len(texts), 0.5))

    monkeypatch.setattr(serving.modelstore, "build", lambda *_: Reader())
    monkeypatch.setattr(serving, "version_of", lambda _: 3)
    people = (CustomerFactory(), CustomerFactory(profiling_refused=True), None)
    reviews = [ReviewFactory(customer=person, body="Lovely", written_at=NOW) for person in people]

    assert serving.read_reviews(NOW)[:2] == (2, 3)
    for review in reviews:
        review.refresh_from_db()
    assert [review.sentiment for review in reviews] == [0.5, None, 0.5]


def scored(**fields: object) -> Customer:
    person = CustomerFactory(**fields)
    PortraitFactory(customer=person)
    return person


@pytest.mark.parametrize("origin", ["identify", "preferences page"])
def test_a_refusal_stops_profiling_whoever_told_it(origin: str) -> None:
    person, other = scored(), scored()
    review = ReviewFactory(customer=person, sentiment=0.5, sentiment_version=3)

    consent.record(statements=[consent.Statement(person.pk, "any", "withdrawn", "profiling")], origin=origin, at=NOW, cause="track")

    person.refresh_from_db()
    review.refresh_from_db()
    assert person.profiling_refused
    assert review.sentiment is None
    assert list(Portrait.objects.values_list("customer_id", flat=True)) == [other.pk]


def test_marketing_withdrawn_leaves_profiling_alone() -> None:
    person = scored()

    consent.withdraw(customer_id=person.pk, channel="email", origin="staff", at=NOW)

    person.refresh_from_db()
    assert not person.profiling_refused
    assert Portrait.objects.filter(customer=person).exists()


def test_what_the_shop_still_believes_does_not_undo_a_refusal_but_the_person_may() -> None:
    person = CustomerFactory()
    profiling.refuse(customer_id=person.pk, actor=None, at=NOW)
    yes = [consent.Statement(person.pk, "any", "granted", "profiling")]

    consent.record(statements=yes, origin="identify", at=NOW + timedelta(hours=1), cause="track")
    person.refresh_from_db()
    assert person.profiling_refused
    consent.record(statements=yes, origin="preferences page", at=NOW + timedelta(hours=2), cause="track")
    person.refresh_from_db()
    assert not person.profiling_refused


def test_a_refusal_survives_a_merge_in_either_direction() -> None:
    for refusing_goes in (True, False):
        refusing, content = CustomerFactory(), scored()
        profiling.refuse(customer_id=refusing.pk, actor=None, at=NOW)
        gone, kept = (refusing, content) if refusing_goes else (content, refusing)

        merge(gone_id=gone.pk, kept_id=kept.pk, at=NOW)

        kept.refresh_from_db()
        assert kept.profiling_refused
        assert not Portrait.objects.filter(customer=kept).exists()


def test_a_refusal_without_a_statement_survives_a_merge_too() -> None:
    refusing, content = CustomerFactory(profiling_refused=True), CustomerFactory()

    record = merge(gone_id=refusing.pk, kept_id=content.pk, at=NOW)
    content.refresh_from_db()
    assert content.profiling_refused

    unmerge(merge_id=record.pk, at=NOW)
    refusing.refresh_from_db()
    assert refusing.profiling_refused


def test_a_statement_after_the_refusal_decides_for_a_merged_person() -> None:
    refusing, agreeing = CustomerFactory(), CustomerFactory()
    profiling.refuse(customer_id=refusing.pk, actor=None, at=NOW)
    consent.grant(customer_id=agreeing.pk, channel="any", purpose="profiling", origin="staff", at=NOW + timedelta(days=1))

    merge(gone_id=refusing.pk, kept_id=agreeing.pk, at=NOW + timedelta(days=2))

    agreeing.refresh_from_db()
    assert not agreeing.profiling_refused
