"""The public stages with probabilities: each kind of story gets the stage a person would give it."""

import numpy as np
import pytest

from customers.ml.hmm import fitting
from customers.ml.hmm.panel import panel_of_orders
from customers.ml.hmm.stages import PERIOD_DAYS, StageModel, names_stages, stage_probabilities
from customers.ml.lifecycle import STAGES, Lifecycle

AS_OF = 719


def shop(*, customers: int = 1200, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (customer, day, day of leaving) of people who buy every 15 or every 60 days until they leave for good."""
    random = np.random.default_rng(seed)
    who, when, gone = [], [], np.full(customers, AS_OF + 1)
    for person in range(customers):
        gap, at = (15, 60)[person % 2], random.uniform(0, 600)
        end = at + random.exponential(250)
        gone[person] = min(end, AS_OF + 1)
        while at <= min(end, AS_OF):
            who.append(person)
            when.append(int(at))
            at += random.exponential(gap)
    return np.array(who), np.array(when), gone


@pytest.fixture(scope="module")
def model() -> StageModel:
    who, when, _ = shop()
    panel = panel_of_orders(who, when, customers=np.unique(who), as_of_day=AS_OF, period_days=PERIOD_DAYS, most_periods=36)
    states = fitting.choose(panel, families=("poisson",)).model
    assert names_stages(states)
    return StageModel(Lifecycle().fit(who, when), states)


def told(model: StageModel, days: list[int]) -> dict[str, float]:
    found = stage_probabilities(model, customer=np.ones(len(days), dtype=int), day=days, customers=[1], as_of_day=AS_OF)
    return {"stage": str(found.stage[0]), **dict(zip(found.names, found.probability[0].tolist(), strict=True))}


@pytest.mark.parametrize(
    ("days", "stage"),
    [
        ([], "prospect"),
        ([715], "new"),
        (list(range(400, 720, 14)), "loyal"),
        (list(range(420, 720, 58)), "growing"),
        (list(range(300, 630, 14)), "at_risk"),
        (list(range(100, 400, 14)), "lapsed"),
        ([100, 115, 130, 145, 690, 700, 712], "reactivated"),
    ],
)
def test_typical_stories_get_their_stage(model, days, stage):
    found = told(model, days)

    assert found["stage"] == stage
    assert found[stage] > 0.5


def test_silence_moves_a_frequent_customer_down_step_by_step(model):
    days = list(range(100, 460, 14))
    risk = [
        stage_probabilities(model, customer=np.ones(len(days), dtype=int), day=days, customers=[1], as_of_day=460 + silence) for silence in (0, 60, 120, 240)
    ]

    again = [float(one.buys_again[0]) for one in risk]
    assert again == sorted(again, reverse=True)
    assert again[0] > 0.8
    assert again[-1] < 0.2


def test_who_left_is_told_from_who_stayed(model):
    who, when, gone = shop(seed=9)
    customers = np.unique(who)
    found = stage_probabilities(model, customer=who, day=when, customers=customers, as_of_day=AS_OF)

    left = gone[customers] < AS_OF - 60
    away = found.probability[:, [STAGES.index("at_risk"), STAGES.index("lapsed")]].sum(axis=1)
    assert ((away > 0.5) == left).mean() > 0.9
    assert np.abs(away.mean() - left.mean()) < 0.08


def test_every_row_is_a_distribution_and_nobody_has_two_stages(model):
    who, when, _ = shop(seed=3)
    found = stage_probabilities(model, customer=who, day=when, customers=np.arange(1500), as_of_day=AS_OF)

    assert found.probability.sum(axis=1) == pytest.approx(1)
    assert (found.probability >= 0).all()
    assert (found.stage[1200:] == "prospect").all()
    assert np.isfinite(found.buys_again).all()
    assert found.is_probability


def test_orders_after_the_as_of_day_change_nothing(model):
    early = stage_probabilities(model, customer=[1, 1], day=[500, 510], customers=[1], as_of_day=520)
    same = stage_probabilities(model, customer=[1, 1, 1], day=[500, 510, 700], customers=[1], as_of_day=520)

    assert np.array_equal(early.probability, same.probability)


def test_without_states_the_rules_of_the_gaps_name_the_stage(model):
    who, when, _ = shop()
    gaps = StageModel(model.gaps)

    found = stage_probabilities(gaps, customer=who, day=when, customers=np.unique(who), as_of_day=AS_OF)

    assert not found.is_probability
    assert set(np.unique(found.probability)) == {0.0, 1.0}
    assert (np.array(STAGES)[found.probability.argmax(axis=1)] == found.stage).all()
    assert np.isnan(found.buys_again).all()


def test_configuration_gives_the_same_stages_and_old_versions_still_load(model):
    who, when, _ = shop()
    again = StageModel.from_config(model.gaps, model.to_config())
    old = StageModel.from_config(model.gaps, None)

    one, two = (stage_probabilities(each, customer=who, day=when, customers=np.unique(who), as_of_day=AS_OF) for each in (model, again))

    assert np.array_equal(one.probability, two.probability)
    assert old.states is None
