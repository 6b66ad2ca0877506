import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from crm.core.learning import evaluation


def test_time_split_never_parts_a_moment_nor_looks_ahead():
    at = np.array([5, 1, 3, 3, 3, 9, 2, 8, 3, 7])

    earlier, later = evaluation.time_split(at, share=0.3)

    assert at[earlier].max() < at[later].min()
    assert sorted([*earlier, *later]) == list(range(10))
    assert at[later].tolist() == [9, 8, 7]


def test_time_split_of_a_single_moment_has_no_later_part():
    earlier, later = evaluation.time_split([4, 4, 4])

    assert (len(earlier), len(later)) == (3, 0)


def test_folds_spread_every_label_and_follow_the_seed():
    labels = ["a"] * 50 + ["b"] * 10 + ["c"] * 3

    fold = evaluation.stratified_folds(labels, folds=5, seed=1)

    assert np.bincount(fold).tolist() in ([13, 13, 13, 12, 12], [12, 13, 13, 13, 12], [12, 12, 13, 13, 13], [13, 12, 12, 13, 13], [13, 13, 12, 12, 13])
    assert np.bincount(fold[50:60]).tolist() == [2, 2, 2, 2, 2]
    assert np.array_equal(fold, evaluation.stratified_folds(labels, folds=5, seed=1))
    assert not np.array_equal(fold, evaluation.stratified_folds(labels, folds=5, seed=2))


def test_figures_agree_with_scikit_learn():
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 4, 400)
    said = np.where(generator.random(400) < 0.6, truth, generator.integers(0, 4, 400))
    score = generator.random(400).round(1) + (truth == 0)

    assert evaluation.macro_f1(truth, said) == pytest.approx(sklearn_metrics.f1_score(truth, said, average="macro"))
    assert evaluation.matthews(truth, said) == pytest.approx(sklearn_metrics.matthews_corrcoef(truth, said))
    assert evaluation.auroc(truth == 0, score) == pytest.approx(sklearn_metrics.roc_auc_score(truth == 0, score))
    assert evaluation.brier(truth == 0, score / 2) == pytest.approx(sklearn_metrics.brier_score_loss(truth == 0, score / 2))


def test_calibration_error_of_honest_and_of_boastful_confidence():
    generator = np.random.default_rng(0)
    stated = generator.uniform(0.5, 1, 20_000)

    assert evaluation.calibration_error(generator.random(20_000) < stated, stated) < 0.02
    assert evaluation.calibration_error(generator.random(20_000) < stated - 0.2, stated) == pytest.approx(0.2, abs=0.02)


def test_ranking_figures_by_hand():
    ranks = [0, 1, 9, 10, np.inf]

    assert evaluation.hit_rate(ranks, top=10) == 0.6
    assert evaluation.ndcg(ranks, top=10) == pytest.approx((1 + 1 / np.log2(3) + 1 / np.log2(11)) / 5)


def test_bootstrap_interval_holds_the_value_and_narrows_with_rows():
    generator = np.random.default_rng(0)
    small, large = generator.random(50), generator.random(5000)

    few, many = evaluation.bootstrap(np.mean, small), evaluation.bootstrap(np.mean, large)

    assert few.low < few.value < few.high
    assert (many.high - many.low) < (few.high - few.low) / 5
    assert np.isnan(evaluation.bootstrap(np.mean, []).value)


def test_bootstrap_of_very_many_rows_draws_some_and_tells_the_same_interval(monkeypatch):
    values, weights = np.random.default_rng(0).normal(size=(2, 20_000))
    drawn: list[int] = []

    def measure(one: np.ndarray, other: np.ndarray) -> float:
        drawn.append(len(one))
        return float((one + other).mean())

    whole = evaluation.bootstrap(measure, values, weights, resamples=1_000)
    monkeypatch.setattr(evaluation, "MOST_DRAWN", 2_000)
    some = evaluation.bootstrap(measure, values, weights, resamples=1_000)

    assert some.value == whole.value
    assert some.rows == 20_000
    assert drawn[-1] == 2_000
    # The standard error of the sum's mean is 0.01; an end of a 95% interval from 1,000 draws is known to a tenth of that.
    assert (some.low, some.high) == pytest.approx((whole.low, whole.high), abs=0.004)


@pytest.mark.parametrize(
    ("challenger", "champion", "baseline", "higher", "promote"),
    [
        (0.8, None, 0.7, True, True),
        (0.6, None, 0.7, True, False),
        (0.8, 0.85, 0.7, True, False),
        (0.85, 0.8, 0.7, True, True),
        (0.3, 0.4, 0.5, False, True),
        (0.45, 0.4, 0.5, False, False),
        (float("nan"), None, 0.5, True, False),
    ],
)
def test_verdict(challenger, champion, baseline, higher, promote):
    verdict = evaluation.compare(challenger=challenger, champion=champion, baseline=baseline, higher_is_better=higher)

    assert verdict.promote is promote
    assert verdict.reason.endswith(".")


def test_margin_forgives_noise():
    assert evaluation.compare(challenger=0.79, champion=0.80, baseline=0.5, margin=0.02).promote
