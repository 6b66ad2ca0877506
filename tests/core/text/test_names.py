"""Names of classes as examples: where there are few others, and where the names are words."""

import numpy as np
import pytest

from crm.core.text import names
from crm.core.text.classifier import TextClassifier

# Three examples each, none of which resembles the class's name.
EXAMPLES = {
    "lost_or_stolen_card": ["my purse was snatched on the train", "somebody has taken my wallet", "I left everything in a taxi"],
    "exchangeRate": ["how many euros for a pound", "what do I get for my dollars", "is the yen dear today"],
    "OPENING-HOURS": ["when may I come by", "are you there on Sundays", "until what time are you in"],
    "vacancies": ["I am a welder without work", "do you need a cook", "may I send you my CV"],
    "gift_wrapping": ["it is for my niece's birthday", "could you make it pretty with a bow", "no bill inside, it is a surprise"],
    "change_address": ["I have moved to Leeds", "we live in another street now", "my flat has a new number"],
    "vegan_food": ["does it have milk in it", "I eat nothing from animals", "is there gelatine inside"],
    "parking": ["where can I leave my van", "is there space for a caravan", "how far is the garage"],
    "close_account": ["I do not want to be with you any more", "forget that I was ever here", "take me off your books"],
    "repair_watch": ["it stopped at noon", "the hands do not move", "the strap came off"],
}
TEXTS = [text for found in EXAMPLES.values() for text in found]


def lead(model: TextClassifier, probes: list[str]) -> float:
    """Return how far the right class's score is above the next best, where the probes stand in the order of EXAMPLES."""
    codes = np.arange(len(probes))
    order = [model.classes_.index(name) for name in (EXAMPLES if "vacancies" in model.classes_ else sorted(model.classes_))]
    scores = model.head_.scores(model._material(probes, model.ngrams_.transform(probes)).features)[0][:, order]
    right = scores[codes, codes].copy()
    scores[codes, codes] = -np.inf
    return float((right - scores.max(1)).mean())


@pytest.mark.parametrize(
    ("name", "words"),
    [("card_arrival", "card arrival"), ("PlayMusic", "Play Music"), ("CHECK-PINCODE", "CHECK PINCODE"), ("退货", "退货"), ("__", "")],
)
def test_a_name_is_read_as_words(name, words):
    assert names.spoken([name, "b"], rows=2) == [words, "b"]


def test_where_examples_are_many_there_are_no_names():
    assert names.spoken(["a", "b"], rows=2 * names.MOST_EXAMPLES) == ["a", "b"]
    assert names.spoken(["a", "b"], rows=2 * names.MOST_EXAMPLES + 1) == []


def test_few_examples_are_helped_by_the_names_of_their_classes():
    labels = [name for name, found in EXAMPLES.items() for _ in found]
    probes = ["my card was stolen", "what is the exchange rate", "your opening hours", "have you any vacancies", "gift wrapping please"]
    probes += ["change of address", "vegan food", "parking", "close my account", "watch repair"]

    named = TextClassifier().fit(TEXTS, labels)
    numbered = TextClassifier().fit(TEXTS, [f"c{list(EXAMPLES).index(label):02d}" for label in labels])

    assert named.predict(probes).labels.tolist() == list(EXAMPLES)
    assert lead(named, probes) > lead(numbered, probes) + 0.1
    assert named.out_of_sample_.codes.shape == (len(TEXTS),)


def test_names_that_say_nothing_are_left_out():
    labels = [f"c{place:02d}" for place, found in enumerate(EXAMPLES.values()) for _ in found]

    model = TextClassifier().fit(TEXTS, labels, ["what is the capital of France"])

    assert len(model.head_.exemplars_) == len(TEXTS) + 1


def test_names_are_examples_of_their_own_class_behind_all_others():
    labels = [name for name, found in EXAMPLES.items() for _ in found]

    model = TextClassifier().fit(TEXTS, labels, ["what is the capital of France"])
    prediction = model.predict(["opening hours"])

    assert len(model.head_.exemplars_) == len(TEXTS) + 1 + len(EXAMPLES)
    assert prediction.nearest[0] == len(TEXTS) + 1 + model.classes_.index("OPENING-HOURS")
    assert np.isfinite(prediction.confidence).all()
