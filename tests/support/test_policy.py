import numpy as np
import pytest

from crm.core.models import AuditEntry, User
from support import policy
from support.models import PolicyChoice
from support.policy import HeldOut, Thresholds
from tests.support.conftest import NOW, later

TRAINED = Thresholds(answer_from=0.8, clarify_from=0.5, scope_from=0.4)


@pytest.fixture
def rows() -> HeldOut:
    """Six in-scope examples, three of each language, and two that no intent fits."""
    return HeldOut(
        confidence=np.array([0.95, 0.90, 0.70, 0.60, 0.30, 0.99, 0.85, 0.20]),
        together=np.array([1.00, 0.99, 0.90, 0.80, 0.40, 1.00, 0.95, 0.45]),
        scope=np.array([0.90, 0.80, 0.70, 0.60, 0.50, 0.10, 0.60, 0.10]),
        right=np.array([1, 0, 1, 0, 0, 1, 0, 0], dtype=bool),
        holds=np.array([1, 1, 1, 0, 0, 1, 0, 0], dtype=bool),
        outside=np.array([0, 0, 0, 0, 0, 0, 1, 1], dtype=bool),
        language=np.array([0, 0, 0, 1, 1, 1, 0, 1], dtype=np.uint8),
    )


def test_split_says_what_the_thresholds_would_have_done(rows: HeldOut) -> None:
    found = policy.split(rows, TRAINED)

    # Answered: the two surest that pass the gate; asked: 0.70 and 0.60; handed over: 0.30 and the one outside the gate.
    assert (found.rows, found.outside_rows) == (6, 2)
    assert (found.answered, found.answered_right) == (pytest.approx(2 / 6), 0.5)
    assert (found.asked, found.asked_right, found.handed_over) == (pytest.approx(2 / 6), 0.5, pytest.approx(2 / 6))
    assert (found.outside_refused, found.outside_answered) == (0.5, 0.5)
    assert found.right_low < 0.5 < found.right_high


def test_moving_one_threshold_moves_the_split_as_the_decision_does(rows: HeldOut) -> None:
    for thresholds in (TRAINED, Thresholds(0.95, 0.5, 0.4), Thresholds(0.8, 0.95, 0.0), Thresholds(0.0, 0.0, 0.0), Thresholds(1.0, 1.0, 1.0)):
        said = [
            thresholds.decision(confidence=confidence, together=together, scope=scope)
            for confidence, together, scope, outside in zip(rows.confidence, rows.together, rows.scope, rows.outside, strict=True)
            if not outside
        ]
        found = policy.split(rows, thresholds)
        assert (found.answered, found.asked, found.handed_over) == tuple(pytest.approx(said.count(word) / 6) for word in ("answer", "clarify", "hand_over"))


def test_languages_apart_and_the_curve_covers_more_the_bolder_it_is(rows: HeldOut) -> None:
    assert [(name, part.rows, part.outside_rows) for name, part in policy.by_language(rows, TRAINED)] == [("en", 3, 1), ("zh-hans", 3, 1)]

    points = policy.curve(rows, scope_from=0.4)

    assert [level for level, _, _ in points] == [0.95, 0.9, 0.7, 0.6, 0.3]
    assert [coverage for _, coverage, _ in points] == [pytest.approx(count / 6) for count in (1, 2, 3, 4, 5)]
    assert points[0][2] == 1.0
    assert policy.curve(rows, scope_from=1.0) == []


def test_no_rows_are_no_figures(rows: HeldOut) -> None:
    nothing = policy.split(rows.only(np.zeros(8, dtype=bool)), TRAINED)

    assert (nothing.rows, nothing.answered, nothing.answered_right, nothing.right_low) == (0, None, None, None)


def test_the_newest_choice_of_the_version_decides_and_every_one_is_kept(agent: User) -> None:
    assert policy.in_force(version=3, trained=TRAINED) == TRAINED

    policy.choose(version=3, thresholds=Thresholds(0.9, 0.6, 0.3), by=agent, now=NOW)
    policy.choose(version=3, thresholds=Thresholds(0.7, 0.6, 0.3), by=agent, now=later(1))
    policy.choose(version=4, thresholds=Thresholds(0.1, 0.1, 0.1), by=agent, now=later(2))

    assert policy.in_force(version=3, trained=TRAINED) == Thresholds(0.7, 0.6, 0.3)
    assert policy.in_force(version=5, trained=TRAINED) == TRAINED
    assert PolicyChoice.objects.count() == 3
    assert AuditEntry.objects.filter(action="policy.choose", actor=agent).count() == 3


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_what_is_no_share_is_refused(agent: User, value: float) -> None:
    with pytest.raises(policy.ThresholdBad):
        policy.choose(version=3, thresholds=Thresholds(value, 0.5, 0.5), by=agent, now=NOW)
    assert not PolicyChoice.objects.exists()
