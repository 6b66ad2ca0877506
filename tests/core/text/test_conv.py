import numpy as np
import pytest

from crm.core.text.classifier import TextClassifier
from crm.core.text.conv import ConvolutionMember
from tests.core.text.test_classifier import toy


@pytest.fixture(scope="module")
def fitted() -> TextClassifier:
    texts, labels, _ = toy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crm.core.text.classifier.FEWEST_TO_JOIN", 50)
        patch.setattr("crm.core.text.classifier.MANY_TEXTS", 50)
        patch.setattr("crm.core.text.roster.FEWEST_TO_CONVOLVE", 30)
        return TextClassifier().fit(texts, labels)


def test_what_the_encoder_reads_is_left_to_others_and_still_judges_them(fitted):
    texts, _, _ = toy()
    read = [row for row, text in enumerate(texts) if text.isascii()]
    member = next(each for each in fitted.members_ if isinstance(each, ConvolutionMember))
    probes = ["where is my parcel", "订单怎么退货"]

    scores = member.scores(fitted._material(probes, fitted.ngrams_.transform(probes)))

    assert (scores[0] == 0).all()
    assert (scores[1] != 0).any()
    # Every text the encoder reads, and of the others those held out.
    assert set(read) <= set(fitted.kept_rows_)
    assert len(read) < len(fitted.kept_rows_) < len(texts)


def test_saved_it_answers_the_same(fitted):
    probes = ["台灯破损了", "where is it", ""]
    again = TextClassifier.from_tensors(*fitted.to_tensors())

    # Half precision on disk.
    assert again.predict(probes).probabilities == pytest.approx(fitted.predict(probes).probabilities, abs=5e-3)
    assert np.array_equal(again.predict(probes).labels, fitted.predict(probes).labels)
