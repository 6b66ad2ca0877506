"""The interval of the lift, against published values, and words that do not overstate."""

import random

import pytest

from campaigns.experiments import Difference, Group, difference_of_rates, difference_of_revenue, wilson


@pytest.mark.parametrize(
    ("a", "m", "b", "n", "low", "high"),
    [
        # Newcombe (1998), table II, method 10.
        (56, 70, 48, 80, 0.0524, 0.3339),
        (9, 10, 3, 10, 0.1705, 0.8090),
        (6, 7, 2, 7, 0.0582, 0.8062),
        (5, 56, 0, 29, -0.0381, 0.1926),
        (0, 10, 0, 20, -0.1611, 0.2775),
        (0, 10, 0, 10, -0.2775, 0.2775),
        (10, 10, 0, 20, 0.6791, 1.0000),
        (10, 10, 0, 10, 0.6075, 1.0000),
    ],
)
def test_interval_equals_the_published_values(a: int, m: int, b: int, n: int, low: float, high: float) -> None:
    found = difference_of_rates(Group(m, a), Group(n, b))

    assert found.estimate == pytest.approx(a / m - b / n)
    assert found.low == pytest.approx(low, abs=5e-5)
    assert found.high == pytest.approx(high, abs=5e-5)


def test_wilson_equals_the_published_value() -> None:
    # Newcombe (1998), Statistics in Medicine 17, 857-872, table I: 81 of 263.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_wilson_of_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="nobody"):
        wilson(0, 0)


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [
        (Difference(0.02, 0.01, 0.03), "more"),
        (Difference(-0.02, -0.03, -0.01), "less"),
        (Difference(0.02, -0.001, 0.04), "unclear"),
        (Difference(0.02, 0.0, 0.04), "unclear"),
        (Difference(None, None, None), "unknown"),
    ],
)
def test_words_follow_the_interval(difference: Difference, verdict: str) -> None:
    assert difference.verdict == verdict


def test_without_a_held_out_group_nothing_is_claimed() -> None:
    assert not difference_of_rates(Group(100, 10), Group(0, 0)).is_known


def test_the_interval_covers_a_known_lift_at_small_size() -> None:
    # 3,000 customers, 10% held out, 5% order anyway, the campaign adds 2 points: at least 90% of 200 runs.
    chance = random.Random(20)
    covered = 0
    for _run in range(200):
        treated = Group(2700, sum(chance.random() < 0.07 for _one in range(2700)))
        holdout = Group(300, sum(chance.random() < 0.05 for _one in range(300)))
        found = difference_of_rates(treated, holdout)
        covered += found.low is not None and found.high is not None and found.low <= 0.02 <= found.high

    assert covered >= 180


def test_revenue_needs_enough_buyers_for_an_interval() -> None:
    few = difference_of_revenue(Group(100, 10, 5.0, 400.0), Group(100, 5, 2.0, 400.0))
    many = difference_of_revenue(Group(1000, 100, 5.0, 400.0), Group(400, 30, 2.0, 400.0))

    assert (few.estimate, few.low) == (3.0, None)
    # 1.96 * sqrt(400/1000 + 400/400) = 2.319
    assert many.low == pytest.approx(3.0 - 2.3190, abs=1e-3)
    assert many.high == pytest.approx(3.0 + 2.3190, abs=1e-3)
