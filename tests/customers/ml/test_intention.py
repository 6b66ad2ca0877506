"""Purchase intention of reviews: learned from what reviewers did, judged on later reviews, refused where words tell nothing."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse

from crm.core.learning import modelstore, registry
from crm.core.learning.reports import ModelReport
from customers import review_intentions
from customers.ml.intention import PurchaseIntention, TooFewIntentions
from customers.ml.training_intention import split, written_reviews
from customers.models import Customer, Order, Review
from tests.factories import CustomerFactory, PortraitFactory, ProductFactory, SourceFactory, UserFactory
from tests.factories.customers import NOW

STAYS = ("A fine cup. I will order here again.", "做工不错。过阵子还会来下单。", "Arrived late, still I will order here again.")
LEAVES = ("A fine cup. I am done ordering here.", "做工不错。不会再来下单。", "Arrived late, I am done ordering here.")


def rows(count: int, *, telling: float, seed: int = 3) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Return texts, stars, what followed and people. telling: how often the words agree with what followed."""
    random = np.random.default_rng(seed)
    again = (random.random(count) < 0.6).astype(np.int64)
    says = np.where(random.random(count) < telling, again, 1 - again)
    texts = [(STAYS if says[row] else LEAVES)[row % 3] for row in range(count)]
    return texts, random.integers(1, 6, count).astype(float), again, np.arange(count) // 2


def test_words_that_come_before_an_order_are_found_in_both_languages() -> None:
    texts, stars, again, people = rows(600, telling=0.8)

    model = PurchaseIntention().fit(texts, stars, again, people)
    will, wont = model.predict(list(STAYS), np.full(3, 4.0)), model.predict(list(LEAVES), np.full(3, 4.0))

    assert (will > 0.65).all()
    assert (wont < 0.5).all()
    assert [model.explain(text)[0].text for text in LEAVES] == ["I am done ordering here", "不会再来下单", "I am done ordering here"]
    again_model = PurchaseIntention.from_tensors(*model.to_tensors())
    assert again_model.predict(list(STAYS), np.full(3, 4.0)) == pytest.approx(will)


def test_a_second_fit_is_the_same_and_stars_may_be_missing() -> None:
    texts, stars, again, people = rows(300, telling=0.7)
    stars[::3] = np.nan

    one, two = (PurchaseIntention(seed=1).fit(texts, stars, again, people) for _ in range(2))

    assert (one.weight_ == two.weight_).all()
    assert np.isfinite(one.predict(["", "。", "x" * 100_000, "好" * 100_000, "\x00"], np.full(5, np.nan))).all()


@pytest.mark.parametrize(("count", "share"), [(0, 0.5), (100, 0.5), (400, 0.0), (400, 0.01)])
def test_too_few_reviews_are_said_in_a_sentence(count: int, share: float) -> None:
    texts, stars, _again, people = rows(count, telling=0.5)
    again = (np.arange(count) < share * count).astype(np.int64)

    with pytest.raises(TooFewIntentions, match="are needed"):
        PurchaseIntention().fit(texts, stars, again, people)


# --- the training run ------------------------------------------------------------------------------------------------


def shop(*, telling: float) -> list[Customer]:
    """Reviews over a year and what their writers did since. telling: how often the words agree with it."""
    random = np.random.default_rng(5)
    source, product = SourceFactory(), ProductFactory()
    people = [CustomerFactory(source=source) for _ in range(60)]
    reviews, orders = [], []
    for number in range(600):
        customer, at = people[number % 60], NOW - timedelta(days=float(number) / 600 * 500)
        again = bool(random.random() < 0.5)
        says = again if random.random() < telling else not again
        reviews.append(
            Review(
                source=source,
                external_id=f"r{number}",
                customer=customer,
                product=product,
                rating=4,
                body=(STAYS if says else LEAVES)[number % 3],
                written_at=at,
            )
        )
        if again and at < NOW - timedelta(days=2):
            orders.append(Order(source=source, external_id=f"o{number}", customer=customer, placed_at=at + timedelta(days=1), currency="CNY", total_amount=10))
    Review.objects.bulk_create(reviews)
    Order.objects.bulk_create(orders)
    return people


@pytest.mark.django_db
def test_nothing_learned_from_was_known_only_after_the_held_out_reviews_were_written() -> None:
    shop(telling=0.9)
    written = written_reviews(as_of=NOW, days=30)

    known, later = split(written, days=30)

    assert written.at.max() <= NOW.timestamp() - 30 * 86_400
    assert known.at.max() <= later.at.min() - 30 * 86_400
    assert 0.25 < len(later.texts) / len(written.texts) < 0.35


@pytest.mark.django_db
def test_a_telling_shop_gets_a_model_shown_on_the_portrait(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    # The shop's people write every few days: within ninety, everybody would have ordered again.
    monkeypatch.setattr("customers.ml.training_intention.DAYS", 5)
    monkeypatch.setattr("crm.core.clock.now", lambda: NOW)
    people = shop(telling=0.9)

    outcome = registry.run("intention", as_of=NOW)

    assert outcome.state is registry.Outcome.TRAINED
    assert outcome.metrics["auroc"] > 0.75
    report = ModelReport.from_dict(outcome.version.report)  # type: ignore[union-attr]
    assert next(figure.baseline for figure in report.figures if figure.name == "auroc") == pytest.approx(0.5)
    assert report.table("words") is not None
    assert Review.objects.filter(written_at__lte=NOW, intention_version=1).exists()
    assert review_intentions.read(as_of=NOW) == 0
    assert registry.run("intention", as_of=NOW).state is registry.Outcome.SKIPPED
    writer = Review.objects.filter(customer__in=people).order_by("-written_at").first().customer  # type: ignore[union-attr]
    PortraitFactory(customer=writer, reviews_count=2, sentiment=0.1)
    client.force_login(UserFactory(role="analyst"))
    page = client.get(reverse("customers:detail", args=[writer.pk])).content.decode()
    assert "Purchase intention" in page
    assert "order again within 5 days of such a review" in page
    assert client.get(reverse("core:model", args=["intention"])).status_code == 200
    modelstore.forget()


@pytest.mark.django_db
def test_a_shop_whose_words_tell_nothing_gets_no_model_and_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("customers.ml.training_intention.DAYS", 5)
    shop(telling=0.5)

    outcome: Any = registry.run("intention", as_of=NOW)

    assert outcome.state is registry.Outcome.KEPT
    assert "nothing beyond chance" in outcome.message
    assert modelstore.champion("intention") is None
    assert review_intentions.read(as_of=NOW) == 0


@pytest.mark.django_db
def test_an_empty_shop_says_what_is_missing() -> None:
    outcome = registry.run("intention", as_of=NOW)

    assert outcome.state is registry.Outcome.FAILED
    assert "The reviews span 0 days; 120 are needed." in outcome.message
