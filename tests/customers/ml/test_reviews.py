import numpy as np
import pytest

from crm.core.text.classifier import TooFewExamples
from customers.ml.reviews import ReviewSentiment, name, score_of_rating
from tests import public_data


def reviews() -> tuple[list[str], list[int]]:
    good = ["lovely {}, very happy", "the {} is excellent", "great {} and fast delivery", "{}质量很好，很喜欢", "{}非常满意"]
    bad = ["the {} broke after a day", "terrible {}, waste of money", "very disappointed with the {}", "{}质量太差了", "{}坏了，很失望"]
    things = ["cup", "lamp", "coat", "tea", "chair", "tent", "杯子", "台灯", "外套"]
    texts = [pattern.format(thing) for pattern in [*good, *bad] for thing in things]
    return texts, [5] * (len(good) * len(things)) + [1] * (len(bad) * len(things))


@pytest.fixture(scope="module")
def fitted() -> ReviewSentiment:
    texts, ratings = reviews()
    return ReviewSentiment().fit([*texts, "it is a cup", "   "], [*ratings, 3, 5])


def test_praise_and_blame_are_told_apart_in_both_languages(fitted):
    found = fitted.predict(["what a lovely excellent chair", "it broke, terrible", "质量很好", "太差了，失望"])

    assert found.label.tolist() == ["positive", "negative", "positive", "negative"]
    assert (np.sign(found.score) == [1, -1, 1, -1]).all()
    assert (np.abs(found.score) <= 1).all()


def test_three_stars_and_empty_texts_teach_nothing(fitted):
    assert fitted.trained_on_ == {"negative": 45, "positive": 45}


def test_words_are_pointed_at(fitted):
    explanation = fitted.explain("terrible lamp")

    assert explanation.label == "negative"
    assert explanation.words[0].word == "terrible"


def test_too_few_reviews_of_one_kind_are_said():
    with pytest.raises(TooFewExamples) as caught:
        ReviewSentiment().fit(["good"] * 50 + ["bad"] * 5, [5] * 50 + [1] * 5)

    assert caught.value.data == {"negative": 5, "positive": 50}


def test_judgement_names_its_baseline(fitted):
    metrics, baseline, report = fitted.judge()

    assert metrics["accuracy"] > baseline["accuracy"] + 0.2
    assert report.baseline
    assert report.figures[0].baseline == baseline["accuracy"]


def test_saved_model_reads_the_same(fitted):
    again = ReviewSentiment.from_tensors(*fitted.to_tensors())

    assert np.array_equal(again.predict(["broken cup"]).score, fitted.predict(["broken cup"]).score)


def test_doubtful_texts_are_neutral():
    assert name(np.array([0.1, 0.35, 0.5, 0.65, 0.9])).tolist() == ["negative", "neutral", "neutral", "neutral", "positive"]
    assert score_of_rating([1, 3, 5]).tolist() == [-1, 0, 1]


@pytest.mark.data
@pytest.mark.slow
@public_data.minutes_long
@pytest.mark.parametrize(
    ("parts", "text", "label", "least"),
    [
        (("chnsenticorp_hotel", "train.csv.gz"), "review", "label", 0.87),
        (("waimai_10k", "train.csv.gz"), "review", "label", 0.86),
        (("english_sentiment", "cr_train.csv"), "text", "label", 0.82),
    ],
    ids=["hotel", "waimai", "cr"],
)
def test_figures_on_public_reviews(parts, text, label, least, capsys):
    found = public_data.rows(*parts)
    chosen = np.random.default_rng(0).permutation(len(found))[:3500]
    model = ReviewSentiment().fit([found[row][text] for row in chosen], [5 if found[row][label] == "1" else 1 for row in chosen])

    metrics, baseline, _ = model.judge()
    public_data.show(
        capsys,
        f"{parts[0]}, {metrics['reviews']} reviews, out of sample: "
        + ", ".join(f"{key} {value:.4f}" for key, value in metrics.items())
        + f"; baseline {baseline['accuracy']:.4f}",
    )
    assert metrics["accuracy"] > least
