import numpy as np
import pytest

from customers.ml.rfm import GROUPS, RfmScale, learn_scale, name_groups


def test_distinct_values_give_five_equal_fifths():
    days = np.arange(100.0)

    scores = learn_scale(silence_days=days, orders=days + 1, amount=days).score(silence_days=days, orders=days + 1, amount=days)

    assert np.bincount(scores.recency).tolist() == [0, 20, 20, 20, 20, 20]
    assert scores.recency[0] == 5
    assert scores.frequency[-1] == 5


def test_ties_never_split_and_one_time_buyers_score_lowest():
    orders = np.array([1] * 70 + [2] * 20 + [3] * 10)

    scores = learn_scale(silence_days=np.arange(100), orders=orders, amount=np.arange(100)).score(
        silence_days=np.arange(100), orders=orders, amount=np.arange(100)
    )

    assert {int(value): set(scores.frequency[orders == value].tolist()) for value in (1, 2, 3)} == {1: {1}, 2: {4}, 3: {5}}


def test_order_of_rows_does_not_matter():
    generator = np.random.default_rng(1)
    days, orders, amount = generator.integers(0, 300, 500), generator.integers(1, 5, 500), generator.gamma(2, 50, 500)
    shuffled = generator.permutation(500)

    straight = learn_scale(silence_days=days, orders=orders, amount=amount).score(silence_days=days, orders=orders, amount=amount)
    mixed = learn_scale(silence_days=days[shuffled], orders=orders[shuffled], amount=amount[shuffled]).score(
        silence_days=days[shuffled], orders=orders[shuffled], amount=amount[shuffled]
    )

    assert np.array_equal(straight.group[shuffled], mixed.group)


@pytest.mark.parametrize("size", [1, 4, 50])
def test_column_that_says_nothing_scores_three(size):
    same = np.full(size, 7.0)

    scores = learn_scale(silence_days=same, orders=same, amount=same).score(silence_days=same, orders=same, amount=same)

    assert set(scores.recency.tolist()) == set(scores.frequency.tolist()) == set(scores.monetary.tolist()) == {3}


def test_every_score_triple_has_exactly_one_known_group():
    r, f, m = (grid.ravel() for grid in np.meshgrid(range(1, 6), range(1, 6), range(1, 6)))

    groups = name_groups(r, f, m)

    assert set(groups.tolist()) == set(GROUPS)


@pytest.mark.parametrize(
    ("scores", "group"),
    [((5, 5, 5), "champions"), ((5, 1, 1), "new"), ((1, 5, 5), "cannot_lose"), ((1, 1, 1), "lost"), ((4, 1, 1), "promising"), ((3, 3, 3), "need_attention")],
)
def test_named_corners(scores, group):
    assert name_groups(*scores) == group


def test_scale_scores_a_new_customer_like_its_equals():
    days, orders, amount = np.arange(200), np.arange(200) % 6 + 1, np.arange(200) * 3.0
    scale = learn_scale(silence_days=days, orders=orders, amount=amount)

    alone = RfmScale(scale.recency, scale.frequency, scale.monetary).score(silence_days=[days[40]], orders=[orders[40]], amount=[amount[40]])
    together = scale.score(silence_days=days, orders=orders, amount=amount)

    assert alone.group[0] == together.group[40]


def test_no_customers():
    scores = learn_scale(silence_days=[], orders=[], amount=[]).score(silence_days=[], orders=[], amount=[])

    assert len(scores.group) == 0
