import numpy as np
import pytest

from customers.ml.lifecycle import STAGES, Lifecycle, gap_history


def steady_shop(*, gap: int = 30, customers: int = 200, orders: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Customers that order about every `gap` days, each at a slightly different pace."""
    generator = np.random.default_rng(0)
    days = [np.cumsum(np.append(generator.integers(0, 20), np.maximum(1, generator.lognormal(np.log(gap), 0.4, orders - 1)))) for _ in range(customers)]
    return np.repeat(np.arange(customers), orders), np.concatenate(days).astype(int)


@pytest.fixture
def lifecycle() -> Lifecycle:
    return Lifecycle().fit(*steady_shop())


def stage_of(lifecycle: Lifecycle, days: list[int], as_of: int, p_active: float | None = None) -> str:
    history = gap_history(np.ones(len(days), dtype=int), np.array(days), customers=[1], as_of_day=as_of)
    return str(lifecycle.stages(history, None if p_active is None else [p_active]).stage[0])


def test_rhythm_of_the_shop_is_learned(lifecycle):
    assert np.exp(lifecycle.log_gap_) == pytest.approx(30, rel=0.1)
    assert lifecycle.within_ == pytest.approx(0.16, rel=0.25)


@pytest.mark.parametrize(
    ("days", "as_of", "stage"),
    [
        ([], 100, "prospect"),
        ([90], 100, "new"),
        ([70, 95], 100, "growing"),
        ([0, 30, 60, 90, 120, 150], 160, "loyal"),
        ([0, 30, 60, 90], 135, "at_risk"),
        ([0, 30, 60, 90], 400, "lapsed"),
        ([0], 400, "lapsed"),
        ([0, 30, 60, 300], 310, "reactivated"),
    ],
)
def test_stages_of_typical_customers(lifecycle, days, as_of, stage):
    assert stage_of(lifecycle, days, as_of) == stage


def test_slow_customer_is_judged_by_their_own_rhythm():
    who, when = steady_shop(gap=15)
    slower = steady_shop(gap=70)
    lifecycle = Lifecycle().fit(np.append(who, slower[0] + 1000), np.append(when, slower[1]))
    quick, slow = [0, 15, 30, 45, 60], [0, 70, 140, 210, 280]

    assert stage_of(lifecycle, quick, 60 + 60) in {"at_risk", "lapsed"}
    assert stage_of(lifecycle, slow, 280 + 60) in {"growing", "loyal"}


def test_repeat_buyer_the_value_model_gave_up_is_lapsed(lifecycle):
    assert stage_of(lifecycle, [70, 95], 100, p_active=0.05) == "lapsed"
    assert stage_of(lifecycle, [95], 100, p_active=0.05) == "new"


def test_every_customer_gets_one_known_stage_and_finite_reasons(lifecycle):
    who, when = steady_shop()
    history = gap_history(who, when, customers=np.arange(220), as_of_day=150)

    found = lifecycle.stages(history)

    assert set(found.stage.tolist()) <= set(STAGES)
    assert (found.stage[200:] == "prospect").all()
    for column in (found.expected_gap_days, found.overdue, found.silence_quantile):
        assert np.isfinite(column).all()


def test_orders_after_the_as_of_day_are_not_seen(lifecycle):
    early = gap_history([1, 1, 1], [10, 40, 200], customers=[1], as_of_day=50)

    assert early.orders.tolist() == [2]
    assert early.silence_days.tolist() == [10]


def test_shop_with_hardly_any_repeat_order_uses_the_stated_prior():
    lifecycle = Lifecycle().fit([1, 1, 2, 3], [0, 20, 5, 9])

    assert np.exp(lifecycle.log_gap_) == pytest.approx(60)
    assert stage_of(lifecycle, [95], 100) == "new"


def test_no_orders_at_all():
    lifecycle = Lifecycle().fit([], [])
    history = gap_history([], [], customers=[1, 2], as_of_day=10)

    assert lifecycle.stages(history).stage.tolist() == ["prospect", "prospect"]


def test_configuration_gives_the_same_stages(lifecycle):
    who, when = steady_shop()
    history = gap_history(who, when, customers=np.arange(200), as_of_day=200)

    again = Lifecycle.from_config(lifecycle.to_config())

    assert np.array_equal(again.stages(history).stage, lifecycle.stages(history).stage)
