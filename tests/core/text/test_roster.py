"""Which members join, by what is known before any is fitted."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

from crm.core.text.classifier import TextClassifier
from crm.core.text.heads import TextFeatures
from crm.core.text.members import Material, NgramMember
from crm.core.text.roster import chosen_members, upper_layers
from crm.core.text.scope import FEWEST_OF_A_CLASS, Calibration, restraint_for
from crm.core.text.upper import TRAINED


@pytest.mark.parametrize(
    ("classes", "each", "encoder", "joins"),
    [(20, FEWEST_OF_A_CLASS, True, True), (20, FEWEST_OF_A_CLASS - 1, True, False), (20, FEWEST_OF_A_CLASS - 1, False, True), (2, 10, True, True)],
)
def test_words_alone_join_where_they_are_all_there_is_or_have_enough_to_learn_from(classes, each, encoder, joins):
    codes = np.repeat(np.arange(classes), each)
    features = TextFeatures(vectors=None, weight=np.zeros(len(codes), dtype=np.float32), ngrams=sparse.csr_matrix((len(codes), 4)))
    material = Material(texts=["a"] * len(codes), features=features, middle=None, words_from=2)
    owner = SimpleNamespace(seed=0, say=print, notes_=[], finetune=False, uses_encoder_=encoder)

    members = chosen_members(material, codes, classes=classes, owner=owner)

    assert any(isinstance(member, NgramMember) for member in members) == joins


@pytest.mark.parametrize(
    ("classes", "rows", "seconds", "layers"),
    [(2, 1_000, 100.0, 6), (2, 1_000, 300.0, 3), (2, 1_000, 500.0, 0), (77, 1_000, 100.0, 3), (2, 999, 1.0, 0), (2, 20_001, 1.0, 0)],
)
def test_the_tone_of_texts_is_taught_to_all_layers_where_the_machine_is_quick_enough(classes, rows, seconds, layers, monkeypatch):
    monkeypatch.setattr("crm.core.text.encoder.reads", lambda _text: True)
    monkeypatch.setattr("crm.core.text.upper.seconds_needed", lambda _texts, layers: seconds * layers / TRAINED)
    owner = SimpleNamespace(notes_=[], glosses_=False)

    assert upper_layers(["a"] * rows, classes=classes, owner=owner) == layers
    assert bool(owner.notes_) == (seconds == 500.0)


def test_few_texts_a_class_teach_no_bias_of_its_own():
    generator = np.random.default_rng(0)
    codes = np.repeat(np.arange(12), 8)
    scores = generator.normal(size=(96, 12))
    scores[np.arange(96), codes] += 1.5

    restrained = Calibration(restraint=restraint_for(96, 12)).fit(scores, codes)
    free = Calibration(restraint=restraint_for(12 * FEWEST_OF_A_CLASS, 12)).fit(scores, codes)

    assert np.abs(restrained.bias_).max() < 0.1 < np.abs(free.bias_).max()


def test_a_bias_is_learned_as_far_as_the_rows_kept_out_of_learning_allow(monkeypatch):
    """A slow member judges one row in seven: of 20 texts a class 3, too few for a bias of the class's own."""

    class Slow:
        kind, needs_held_out = "slow", True

        def fit(self, material, codes, classes, held_out):
            scores = np.full((len(codes), classes), np.nan, dtype=np.float32)
            scores[held_out] = np.random.default_rng(0).normal(size=(int(held_out.sum()), classes))
            return scores

        def scores(self, material):
            return np.zeros((len(material.texts), 10), dtype=np.float32)

    given = []

    class Noted(Calibration):
        def __init__(self, *, restraint: float) -> None:
            given.append(restraint)
            super().__init__(restraint=restraint)

    monkeypatch.setattr("crm.core.text.classifier.Calibration", Noted)
    texts = [f"{word} number {count}" for word in "abcdefghij" for count in range(20)]
    labels = [text[0] for text in texts]

    TextClassifier(use_encoder=False).fit(texts, labels)
    monkeypatch.setattr("crm.core.text.classifier.chosen_members", lambda *_given, **_named: [Slow()])
    TextClassifier(use_encoder=False).fit(texts, labels)

    assert given == [restraint_for(200, 10), restraint_for(29, 10)]
    assert given[0] < given[1]
