"""Which members join, by what is known before any is fitted."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

from crm.core.text.heads import TextFeatures
from crm.core.text.members import Material, NgramMember
from crm.core.text.roster import chosen_members
from crm.core.text.scope import FEWEST_OF_A_CLASS, Calibration, restraint_for


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


def test_few_texts_a_class_teach_no_bias_of_its_own():
    generator = np.random.default_rng(0)
    codes = np.repeat(np.arange(12), 8)
    scores = generator.normal(size=(96, 12))
    scores[np.arange(96), codes] += 1.5

    restrained = Calibration(restraint=restraint_for(96, 12)).fit(scores, codes)
    free = Calibration(restraint=restraint_for(12 * FEWEST_OF_A_CLASS, 12)).fit(scores, codes)

    assert np.abs(restrained.bias_).max() < 0.1 < np.abs(free.bias_).max()
