"""Who refuses to be profiled is in no training row."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from customers.ml import dataset
from customers.portrait import serving
from recommendations.ml import dataset as interactions
from tests.factories import CustomerFactory, OrderFactory, OrderLineFactory, ReviewFactory

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
