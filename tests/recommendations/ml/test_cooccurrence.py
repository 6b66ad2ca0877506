import numpy as np
import pytest

from crm.core.learning.evaluation import hit_rate, ndcg
from recommendations.ml.cooccurrence import CoOccurrence
from recommendations.ml.evaluation import measure
from recommendations.ml.popularity import Popularity
from tests import public_data

KETTLE, TEA, CUP, TENT, STOVE, RARE, UNSOLD = range(7)


def histories() -> list[list[int]]:
    """Tea people buy kettle, tea, cup; campers tent, stove; one person joined a rare item to the tent."""
    return [[KETTLE, TEA, CUP]] * 12 + [[TENT, STOVE]] * 12 + [[TENT, RARE]] + [[CUP, TEA]] * 3


def columns(lists: list[list[int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    users = np.repeat(np.arange(len(lists)), [len(items) for items in lists])
    return users, np.concatenate(lists), np.concatenate([np.arange(len(items)) for items in lists])


@pytest.fixture
def model() -> CoOccurrence:
    return CoOccurrence().fit(*columns(histories()), items=7)


def test_products_bought_by_the_same_people_go_together(model):
    assert [item for item, _ in model.similar(TENT)] == [STOVE, RARE]
    assert {item for item, _ in model.similar(KETTLE, k=2)} == {TEA, CUP}
    assert model.similar(UNSOLD) == []


def test_pair_seen_once_ranks_below_a_pair_seen_often(model):
    weights = dict(model.similar(TENT))

    assert weights[STOVE] > 3 * weights[RARE]


def test_what_comes_next_outranks_what_came_before(model):
    assert model.weights_[KETTLE, TEA] > model.weights_[TEA, KETTLE]


def test_newest_purchase_counts_most(model):
    assert model.recommend([KETTLE, TENT], exclude=[KETTLE, TENT])[0][0] == STOVE
    assert model.recommend([TENT, KETTLE], exclude=[KETTLE, TENT])[0][0] in {TEA, CUP}


def test_excluded_items_never_appear_and_unknown_ones_do_no_harm(model):
    found = model.recommend([KETTLE, 999, -1], exclude=[KETTLE, TEA, 999], k=7)

    assert not {KETTLE, TEA} & {item for item, _ in found}
    assert len(found) == 5


def test_customer_without_history_gets_what_sells(model):
    assert model.recommend([])[0][0] in {TEA, CUP}


def test_many_at_once_equal_one_by_one(model):
    asked = [[KETTLE], [TENT, TEA], [], [CUP, KETTLE]] * 200
    together = model.recommend_many(asked, exclude=[list(history) for history in asked], k=3)

    for history, (items, scores) in list(zip(asked, together, strict=True))[:4]:
        alone = model.recommend(history, exclude=history, k=3)
        assert [item for item, _ in alone] == items.tolist()
        assert [score for _, score in alone] == pytest.approx(scores.tolist())


def test_reason_names_the_product_that_led_there(model):
    reasons = model.because([TENT, KETTLE], TEA)

    assert reasons[0] == (KETTLE, pytest.approx(1.0))
    assert model.because([TENT], UNSOLD) == []


def test_rows_of_one_order_have_no_direction():
    users, items, _ = columns([[KETTLE, TEA]] * 10)

    model = CoOccurrence(transition_weight=1.0).fit(users, items, np.zeros(20), items=2)

    assert model.weights_[KETTLE, TEA] == pytest.approx(2 * model.weights_[TEA, KETTLE], rel=0.5)
    assert model.weights_[TEA, KETTLE] > 0


def test_saved_model_recommends_the_same(model):
    again = CoOccurrence.from_tensors(*model.to_tensors())

    assert again.recommend([KETTLE], k=5) == model.recommend([KETTLE], k=5)


def test_only_the_strongest_neighbours_are_kept():
    model = CoOccurrence(neighbours=1).fit(*columns(histories()), items=7)

    assert np.diff(model.weights_.indptr).max() == 1
    assert [item for item, _ in model.similar(TENT)] == [STOVE]


def test_shop_without_orders():
    model = CoOccurrence().fit([], [], [], items=0)

    assert model.recommend([], k=5) == []


class TestPopularity:
    def test_a_buyer_counts_once_and_old_sales_fade(self):
        users, items, days = [1, 1, 1, 2, 3, 4], [0, 0, 0, 1, 1, 2], [100, 99, 98, 10, 10, 100]

        faded = Popularity(half_life_days=30).fit(users, items, days, items=4)
        flat = Popularity(half_life_days=None).fit(users, items, days, items=4)

        assert flat.scores_.tolist() == [1, 2, 1, 0]
        assert faded.scores_ == pytest.approx([1, 2 * 0.5**3, 1, 0])
        assert [item for item, _ in faded.recommend(k=3)] == [0, 2, 1]
        assert [item for item, _ in faded.recommend(exclude=[0], k=9)] == [2, 1]


class TestMeasure:
    def test_ranks_by_hand_with_ties_in_the_middle(self):
        def scorer(histories):
            return np.tile([5.0, 4.0, 3.0, 3.0, 3.0], (len(histories), 1))

        figures = measure(scorer, [[0], [0]], [1, 3], top=2)

        # Item 0 is in the history, so item 1 ranks first; items 2, 3, 4 share places 1 to 3.
        assert figures.ranks.tolist() == [0, 2]
        assert figures.hit_rate.value == hit_rate([0, 2], top=2)
        assert figures.ndcg.value == ndcg([0, 2], top=2)

    def test_wanted_item_already_bought_still_ranks(self):
        figures = measure(lambda histories: np.array([[3.0, 2.0, 1.0]]), [[0, 1]], [1])

        assert figures.ranks.tolist() == [0]


def test_structure_in_histories_beats_popularity():
    generator = np.random.default_rng(0)
    tastes = [generator.permutation(60)[:12] for _ in range(6)]
    lists = [generator.permutation(tastes[user % 6])[:6].tolist() for user in range(600)]
    users, items, times = columns([history[:-1] for history in lists])
    wanted, known = [history[-1] for history in lists], [history[:-1] for history in lists]

    learned = CoOccurrence().fit(users, items, times, items=60)
    popular = Popularity(half_life_days=None).fit(users, items, times, items=60)

    ours = measure(learned.scores, known, wanted).hit_rate.value
    theirs = measure(lambda part: np.tile(popular.scores_, (len(part), 1)), known, wanted).hit_rate.value
    assert ours > 1.5 * theirs


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("amazon_beauty", 0.095), ("amazon_toys", 0.098)])
def test_figures_on_the_validation_item(name, least, capsys):
    """All items ranked; fitted without the validation item, so the test item's figure is not touched."""
    lists = public_data.sequences(name)
    items = max(max(history) for history in lists) + 1
    known, wanted = [history[:-1] for history in lists], [history[-1] for history in lists]
    users, what, times = columns(known)

    learned = CoOccurrence().fit(users, what, times, items=items)
    popular = Popularity(half_life_days=None).fit(users, what, times, items=items)
    ours = measure(learned.scores, known, wanted)
    theirs = measure(lambda part: np.tile(popular.scores_, (len(part), 1)), known, wanted)

    public_data.show(
        capsys,
        f"{name}: HR@10 {ours.hit_rate.value:.4f} [{ours.hit_rate.low:.4f}, {ours.hit_rate.high:.4f}], NDCG@10 {ours.ndcg.value:.4f}, "
        f"coverage {ours.coverage:.2f}; popularity {theirs.hit_rate.value:.4f} / {theirs.ndcg.value:.4f}",
    )
    assert ours.hit_rate.value > least > theirs.hit_rate.value
