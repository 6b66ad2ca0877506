import numpy as np
import pytest

from crm.core.text.ngrams import NgramFeatures, clean

TEXTS = ["where is my parcel", "我的包裹到哪里了", "return these shoes", "想退这双鞋", "Where is my PARCEL?"]


def test_rows_have_length_one_and_unknown_texts_none():
    features = NgramFeatures().fit(TEXTS)

    rows = features.transform([*TEXTS, "ŁŻŹ"])

    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(1)).ravel())
    assert lengths[:5] == pytest.approx(1, abs=1e-5)
    assert lengths[5] == 0
    assert (rows.data > 0).all()


def test_similar_texts_lie_near_in_both_languages():
    features = NgramFeatures().fit(TEXTS)
    rows = features.transform(["where is the parcel", "包裹在哪里", *TEXTS])

    near = (rows[:2] @ rows[2:].T).toarray()

    assert near.argmax(1).tolist() in ([0, 1], [4, 1])


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ("Order 123456 PLEASE", "order 98765 please"),
        ("see https://a.example/x?y=1 now", "see http://b.example now"),
        ("write to ann@example.org", "write to bob.b@example.com"),
        ("soooooooo late", "sooooo late"),
        ("ＦＵＬＬ　width", "full width"),
    ],
)
def test_what_differs_from_message_to_message_is_masked(written, same):
    assert clean(written) == clean(same)


def test_short_numbers_stay_because_sizes_matter():
    assert clean("size 38") != clean("size 44")


def test_chinese_words_need_no_spaces():
    features = NgramFeatures().fit(TEXTS)

    assert {"包", "裹", "包 裹"} <= {piece for piece, _ in features.pieces("我的包裹")}


def test_coverage_falls_from_known_to_foreign():
    features = NgramFeatures().fit(TEXTS)

    known, partly, foreign = features.coverage(["where is my parcel", "where is my xylophone", "ŁŻŹ"])

    assert known == 1
    assert 0 < partly < 1
    assert foreign < partly


def test_saved_features_give_the_same_rows():
    features = NgramFeatures(fewest=2).fit(TEXTS)

    again = NgramFeatures.from_tensors(features.to_tensors(), features.to_config())

    assert (again.transform(TEXTS) != features.transform(TEXTS)).nnz == 0


@pytest.mark.parametrize("text", ["", "   ", "\x00\ud800", "😀" * 500, "a" * 20_000])
def test_strange_texts_do_no_harm(text):
    rows = NgramFeatures().fit([*TEXTS, "x"]).transform([text])

    assert np.isfinite(rows.data).all()
