"""Reasons are exact: they add up, equal brute-force Shapley values, survive saving, and pulling one moves the score its way."""

import itertools
import math

import numpy as np
import pytest

from customers.ml.tabular.calibration import Calibration
from customers.ml.tabular.columns import Matrix
from customers.ml.tabular.linear import LinearSettings, SplineLogistic
from customers.ml.tabular.model import Part, TabularModel
from customers.ml.tabular.scattered import ScatteredTrees, ScatterSettings
from customers.ml.tabular.trees import BoostedTrees, TreeSettings
from tests.customers.ml.tabular.tables import known_table

TREES = TreeSettings(rate=0.1, trees=25, leaves=8, smallest=10, seeds=2)
STEPS = Calibration("isotonic", slope=0.8, intercept=0.1, at=(-1.5, 0.0, 1.2), to=(-1.4, 0.3, 0.9))


def model(calibration: Calibration) -> tuple[TabularModel, Matrix]:
    matrix, label, _truth = known_table()
    linear = SplineLogistic(LinearSettings(0.1, products=True)).fit(matrix, label)
    trees = BoostedTrees(TREES).fit(matrix, label)
    scattered = ScatteredTrees(ScatterSettings(trees=10, smallest=5)).fit(matrix, label)
    parts = (Part("linear", linear, 0.4), Part("trees", trees, 0.5), Part("scattered", scattered, 0.2))
    made = TabularModel(matrix.names, matrix.columns, matrix.levels, parts, -0.05, calibration, name="blend")
    return made, matrix


@pytest.fixture(scope="module", params=[Calibration("platt", 0.9, 0.2), STEPS], ids=["line", "steps"])
def blended(request: pytest.FixtureRequest) -> tuple[TabularModel, Matrix]:
    return model(request.param)


def test_base_and_contributions_add_up_to_the_log_odds(blended: tuple[TabularModel, Matrix]) -> None:
    made, matrix = blended

    why = made.explain(matrix)
    probability = made.probability(matrix)

    np.testing.assert_allclose(why.base + why.contributions.sum(axis=1), np.log(probability / (1 - probability)), atol=1e-9)
    np.testing.assert_allclose(why.probability, probability, atol=1e-12)


def test_pulling_the_strongest_reason_moves_the_score_against_it(blended: tuple[TabularModel, Matrix]) -> None:
    made, matrix = blended
    some = matrix.take(np.arange(300))
    why = made.explain(some)
    strongest = np.abs(why.contributions).argmax(axis=1)

    # The column's own values, shuffled among the rows, stand for "not knowing it"; the mean over them is what it is without.
    without = np.zeros(len(some))
    for place in range(len(why.columns)):
        rows = np.flatnonzero(strongest == place)
        for other in matrix.values[:80, place]:
            moved = some.values[rows].copy()
            moved[:, place] = other
            without[rows] += made.score(Matrix(moved, some.names, some.columns, some.levels)) / 80
    moved_by = made.score(some) - without

    agrees = np.sign(moved_by) == np.sign(why.contributions[np.arange(len(some)), strongest])
    assert agrees.mean() >= 0.95


def test_the_same_row_gets_the_same_reasons_in_any_company(blended: tuple[TabularModel, Matrix]) -> None:
    made, matrix = blended

    alone = made.explain(matrix.take(np.array([7])))
    together = made.explain(matrix)

    np.testing.assert_allclose(alone.contributions[0], together.contributions[7], atol=1e-12)


def test_a_saved_model_says_the_same(blended: tuple[TabularModel, Matrix]) -> None:
    made, matrix = blended
    tensors, config = made.to_tensors()

    again = TabularModel.from_tensors(tensors, config)

    assert all(values.dtype.kind in "fib" for values in tensors.values())
    np.testing.assert_array_equal(again.probability(matrix), made.probability(matrix))
    np.testing.assert_array_equal(again.explain(matrix).contributions, made.explain(matrix).contributions)


def test_columns_join_the_features_made_from_them() -> None:
    matrix, label, _truth = known_table(rows=400)
    joined = Matrix(matrix.values, matrix.names, ("age", "place", "visits", "visits"), matrix.levels)
    made = TabularModel(joined.names, joined.columns, joined.levels, (Part("linear", SplineLogistic().fit(joined, label)),), 0.0, Calibration())

    why = made.explain(joined)

    assert why.columns == ("age", "place", "visits")
    np.testing.assert_allclose(why.base + why.contributions.sum(axis=1), made.score(joined), atol=1e-9)


def test_other_features_are_refused() -> None:
    made, matrix = model(Calibration())

    with pytest.raises(ValueError, match="noise"):
        made.probability(Matrix(matrix.values[:, :3], matrix.names[:3], matrix.columns[:3], matrix.levels[:3]))


def brute_force(trees: BoostedTrees, row: np.ndarray) -> np.ndarray:
    """Shapley values by the definition: every subset of known features, unknown splits taken both ways by their shares."""
    nodes, features = trees.nodes_, trees.features_

    def value(known: frozenset[int]) -> float:
        def walk(at: int) -> float:
            feature = int(nodes.feature[at])
            if feature < 0:
                return float(nodes.value[at])
            left, right = int(nodes.left[at]), int(nodes.right[at])
            if feature not in known:
                return (nodes.count[left] * walk(left) + nodes.count[right] * walk(right)) / nodes.count[at]
            cell = row[feature]
            if np.isnan(cell):
                goes_left = nodes.missing_left[at]
            elif nodes.levels[at] >= 0:
                goes_left = nodes.masks[nodes.levels[at], int(cell)]
            else:
                goes_left = cell <= nodes.threshold[at]
            return walk(left if goes_left else right)

        return sum(walk(int(root)) for root in nodes.roots)

    worth = {frozenset(some): value(frozenset(some)) for size in range(features + 1) for some in itertools.combinations(range(features), size)}
    shapley = np.zeros(features)
    for some, before in worth.items():
        for feature in set(range(features)) - some:
            weight = math.factorial(len(some)) * math.factorial(features - len(some) - 1) / math.factorial(features)
            shapley[feature] += weight * (worth[some | {feature}] - before)
    return shapley


def test_tree_contributions_are_the_shapley_values_of_their_definition() -> None:
    matrix, label, _truth = known_table(rows=600)
    trees = BoostedTrees(TreeSettings(trees=6, leaves=10, smallest=5, rate=0.3)).fit(matrix, label)

    found, base = trees.explain(matrix)

    scattered = ScatteredTrees(ScatterSettings(trees=3, smallest=20)).fit(matrix, label)
    np.testing.assert_allclose(scattered.explain(matrix)[0][5], brute_force(scattered, matrix.values[5]), atol=1e-10)
    rows = [0, 1, 2, int(np.flatnonzero(np.isnan(matrix.values[:, 2]))[0])]
    for row in rows:
        np.testing.assert_allclose(found[row], brute_force(trees, matrix.values[row]), atol=1e-10)
    np.testing.assert_allclose(base + found.sum(axis=1), trees.log_odds(matrix), atol=1e-10)


def test_trees_score_what_scikit_learn_scores_also_where_a_fold_lacks_a_level() -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    matrix, label, _truth = known_table(rows=500)
    learned = matrix.take(np.flatnonzero(matrix.values[:, 1] != 2))
    truth = label[matrix.values[:, 1] != 2]
    trees = BoostedTrees(TreeSettings(trees=20, leaves=8, smallest=10)).fit(learned, truth)
    wanted = trees.settings
    theirs = HistGradientBoostingClassifier(
        learning_rate=wanted.rate, max_iter=20, max_leaf_nodes=8, max_depth=wanted.depth, min_samples_leaf=10, l2_regularization=wanted.ridge,
        max_features=wanted.features, categorical_features=matrix.is_category, early_stopping=False, random_state=0,
    ).fit(learned.values, truth)  # fmt: skip

    np.testing.assert_allclose(trees.log_odds(matrix), theirs.decision_function(matrix.values), atol=1e-10)


def test_a_category_of_one_level_and_gaps_is_learned_from() -> None:
    random = np.random.default_rng(0)
    label = random.integers(0, 2, 300)
    matrix = Matrix(np.column_stack([random.normal(size=300), np.where(label == 1, 0.0, np.nan)]), ("a", "b"), ("a", "b"), ((), ("shut",)))

    said = BoostedTrees(TreeSettings(trees=20, leaves=4)).fit(matrix, label).log_odds(matrix)

    assert said[label == 1].min() > said[label == 0].max()
