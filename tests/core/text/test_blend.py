"""How members' scores are weighed: on all rows those that judged all, and on few the slow ones against them."""

import numpy as np
import pytest

from crm.core.text.blend import Blend

CLASSES = 6


def members(rows: int, noises: tuple[float, ...], seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """Return one member's scores per noise, around 1 in the true class's column, and the true classes."""
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, CLASSES, rows)
    truth = np.eye(CLASSES)[codes]
    return [(truth + noise * generator.normal(size=(rows, CLASSES))).astype(np.float32) for noise in noises], codes


def right(scores: np.ndarray, codes: np.ndarray) -> float:
    return float((scores.argmax(1) == codes).mean())


def test_the_better_member_weighs_more_and_both_beat_either():
    (good, bad), codes = members(4_000, (0.5, 1.0))
    read = np.ones(len(codes), dtype=bool)

    blend = Blend().fit([good, bad], codes, read)

    assert blend.weights_[1, 0] > 1.5 * blend.weights_[1, 1] > 0
    assert right(blend.join([good, bad], read), codes) > max(right(good, codes), right(bad, codes))


def test_texts_the_encoder_does_not_read_have_weights_of_their_own():
    (known, words), codes = members(2_000, (0.5, 0.8))
    read = np.arange(len(codes)) % 2 == 0
    known[~read] = np.random.default_rng(1).normal(size=(int((~read).sum()), CLASSES))

    blend = Blend().fit([known, words], codes, read)

    unread, reads = blend.weights_
    assert reads[0] > reads[1]
    assert unread[0] < 0.2 * unread[1]


def test_a_slow_member_leaves_the_weights_of_the_others_to_all_rows():
    """Two members of which one knows nothing, and a slow one judged on 60 rows: by these alone it would weigh by chance."""
    (good, slow), codes = members(3_000, (0.6, 0.6))
    useless = np.random.default_rng(2).normal(size=good.shape).astype(np.float32)
    read = np.ones(len(codes), dtype=bool)
    few = slow.copy()
    few[60:] = np.nan

    blend = Blend().fit([good, useless, few], codes, read)
    whole = Blend().fit([good, useless], codes, read)

    joined = blend.join([good, useless, slow], read)
    assert blend.weights_[1, 1] / blend.weights_[1, 0] == pytest.approx(whole.weights_[1, 1] / whole.weights_[1, 0], rel=1e-6)
    assert right(joined, codes) > right(good, codes) + 0.02


def test_blend_that_was_stored_joins_the_same():
    (one, two), codes = members(500, (0.5, 0.7))
    read = np.arange(500) % 3 > 0
    two[100:] = np.nan
    blend = Blend().fit([one, two], codes, read)

    again = Blend.from_config(blend.to_config())

    assert np.array_equal(again.join([one[:100], two[:100]], read[:100]), blend.join([one[:100], two[:100]], read[:100]))


def test_members_that_share_no_row_cannot_be_weighed():
    (one, two), codes = members(100, (0.5, 0.5))
    one[50:], two[:50] = np.nan, np.nan

    with pytest.raises(ValueError, match="no row"):
        Blend().fit([one, two], codes, np.ones(100, dtype=bool))
