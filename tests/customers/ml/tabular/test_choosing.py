"""The choice among candidates, its honesty, its calibration and its leak guard."""

import numpy as np
import pytest

from crm.core.learning.evaluation import auroc, calibration_error
from customers.ml.tabular.calibration import Calibration, learn_calibration, sigmoid
from customers.ml.tabular.choosing import BASE_RATE, SIMPLE, choose, grouped_folds
from customers.ml.tabular.columns import Matrix, NothingToLearnFrom
from customers.ml.tabular.figures import average_precision, calibration_by_chance, lift, lift_table
from customers.ml.tabular.leaks import find_leaks
from customers.ml.tabular.linear import LinearSettings
from customers.ml.tabular.scattered import ScatterSettings
from customers.ml.tabular.trees import TreeSettings
from tests.customers.ml.tabular.tables import known_table

LINEAR = (LinearSettings(0.05),)
SCATTERED = (ScatterSettings(trees=20),)
TREES = (TreeSettings(trees=40, leaves=6, rate=0.1),)


def test_the_chosen_model_beats_the_baseline_and_comes_near_the_truth() -> None:
    matrix, label, _truth = known_table(seed=1)
    asked, happened, truth = known_table(seed=2)

    choice = choose(matrix, label, linear=LINEAR, trees=TREES, scattered=SCATTERED, repeats=1, seeds=1)

    ours, best = auroc(happened, choice.model.probability(asked)), auroc(happened, truth)
    assert ours > auroc(happened, choice.baseline.probability(asked)) + 0.05
    assert ours > best - 0.03
    assert calibration_error(happened, choice.model.probability(asked)) < 0.05
    assert choice.candidates[choice.model.name]["log_loss"] < min(figures["log_loss"] for figures in choice.candidates.values()) + 0.01
    assert {BASE_RATE, SIMPLE} <= set(choice.candidates)


def test_what_is_said_of_training_rows_was_said_unseen() -> None:
    """On labels that are pure noise, a model that had seen the rows would rank them well."""
    matrix, _label, _truth = known_table(rows=400)
    noise = np.random.default_rng(9).integers(0, 2, 400)

    choice = choose(matrix, noise, linear=LINEAR, trees=TREES, scattered=SCATTERED, repeats=1, seeds=1)

    assert abs(auroc(noise, choice.unseen_score) - 0.5) < 0.1 or choice.model.name == BASE_RATE
    assert auroc(noise, choice.unseen) < 0.6


def test_a_second_run_gives_the_same_model() -> None:
    matrix, label, _truth = known_table(rows=300)

    first, second = (choose(matrix, label, linear=LINEAR, trees=TREES, scattered=SCATTERED, repeats=1, seeds=1, seed=4).model for _ in range(2))

    np.testing.assert_array_equal(first.probability(matrix), second.probability(matrix))


def test_copies_of_a_row_share_a_fold_and_labels_are_spread() -> None:
    groups = np.repeat(np.arange(100), 3)
    label = (groups % 4 == 0).astype(np.int64)

    fold = grouped_folds(groups, label, seed=3)

    assert all(len(set(fold[groups == group])) == 1 for group in range(100))
    assert np.ptp([label[fold == number].sum() for number in range(5)]) == 0


def test_too_few_of_a_label_are_named() -> None:
    matrix, _label, _truth = known_table(rows=50)

    with pytest.raises(NothingToLearnFrom, match="2 of 50 rows bear the positive label"):
        choose(matrix, np.arange(50) < 2)


class TestCalibration:
    def test_overconfident_scores_are_brought_back(self) -> None:
        random = np.random.default_rng(0)
        truth = random.normal(0, 1.5, 4000)
        label = (random.random(4000) < sigmoid(truth)).astype(np.int64)

        learned = learn_calibration(3 * truth + 1, label, np.arange(4000) % 5)

        assert calibration_error(label, sigmoid(learned.apply(3 * truth + 1))) < 0.02
        assert calibration_error(label, sigmoid(3 * truth + 1)) > 0.08

    def test_steps_serve_where_a_line_does_not_fit(self) -> None:
        random = np.random.default_rng(1)
        score = random.uniform(-4, 4, 8000)
        label = (random.random(8000) < np.where(score < 0, 0.1, 0.6)).astype(np.int64)

        learned = learn_calibration(score, label, np.arange(8000) % 5)

        assert learned.kind == "isotonic"
        assert calibration_error(label, sigmoid(learned.apply(score))) < 0.03

    def test_no_ranking_changes(self) -> None:
        steps = Calibration("isotonic", slope=0.5, intercept=0, at=(-1.0, 1.0), to=(-2.0, 0.5))
        score = np.linspace(-6, 6, 500)

        assert (np.diff(steps.apply(score)) > 0).all()


class TestFigures:
    def test_by_hand(self) -> None:
        label, said = np.array([1, 0, 1, 0, 0, 0, 0, 0, 0, 0]), np.array([0.9, 0.8, 0.7, 0.3, 0.2, 0.2, 0.1, 0.1, 0.1, 0.1])

        assert average_precision(label, said) == pytest.approx((1 + 2 / 3) / 2)
        assert lift(label, said) == pytest.approx(1 / 0.2)
        assert lift_table(label, said, parts=5)[0] == (1, 2, pytest.approx(0.85), 0.5, pytest.approx(2.5))

    def test_ties_at_the_edge_count_by_their_mean(self) -> None:
        assert lift(np.array([1, 0, 0, 0]), np.array([0.5, 0.5, 0.5, 0.5]), share=0.25) == pytest.approx(1.0)

    def test_chance_shows_an_error_where_none_is(self) -> None:
        said = np.random.default_rng(0).uniform(0.1, 0.9, 300)

        assert 0.03 < calibration_by_chance(said) < 0.12


class TestLeakGuard:
    def matrix(self, **columns: np.ndarray) -> Matrix:
        return Matrix.of_numbers(np.column_stack(list(columns.values())), list(columns))

    def test_a_copy_of_the_label_is_named(self) -> None:
        matrix, label, _truth = known_table(rows=800)

        leaks = find_leaks(self.matrix(age=matrix.values[:, 0], closed=label * 3.0 + 1), label)

        assert [(leak.column, leak.is_certain) for leak in leaks] == [("closed", True)]
        assert "'closed' alone predicts the label" in leaks[0].reason

    def test_a_gap_that_says_the_answer_is_named(self) -> None:
        random = np.random.default_rng(0)
        label = random.integers(0, 2, 600)

        leaks = find_leaks(self.matrix(refund=np.where(label == 1, random.normal(size=600), np.nan)), label)

        assert leaks[0].is_certain

    def test_what_is_only_filled_after_a_rare_answer_is_named(self) -> None:
        """As the spend of those who visited: most visitors spend nothing, but who spends has visited."""
        random = np.random.default_rng(0)
        label = (random.random(5000) < 0.15).astype(np.int64)
        spend = np.where((label == 1) & (random.random(5000) < 0.2), random.gamma(2, 30, 5000), 0.0)

        leaks = find_leaks(self.matrix(spend=spend), label)

        assert leaks[0].is_certain
        assert "'spend'" in leaks[0].reason

    def test_an_honest_strong_column_passes(self) -> None:
        matrix, label, truth = known_table(rows=2000)

        assert find_leaks(self.matrix(age=matrix.values[:, 0], truth=truth + np.random.default_rng(0).normal(size=2000)), label) == []
