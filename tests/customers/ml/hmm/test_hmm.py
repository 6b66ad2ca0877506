"""The hidden Markov model on panels whose truth is known, and on panels with nothing in them."""

import itertools

import numpy as np
import pytest
from scipy.stats import nbinom, poisson

from customers.ml.hmm import emissions, fitting, panel, recursions
from customers.ml.hmm.emissions import Emission
from customers.ml.hmm.model import HiddenMarkov
from customers.ml.hmm.panel import PanelUnusable, panel_of_counts, panel_of_orders
from customers.ml.hmm.stages import asleep_and_often, state_names

RATES = (0.1, 0.8, 2.5)
MOVES = np.array([[0.85, 0.12, 0.03], [0.12, 0.80, 0.08], [0.03, 0.15, 0.82]])
START = (0.4, 0.4, 0.2)
TRUTH = HiddenMarkov(Emission("poisson", np.array(RATES), np.zeros(0)), np.array(START), MOVES[None])


def simulated(customers: int, periods: int, *, seed: int = 1, moves: np.ndarray = MOVES) -> tuple[np.ndarray, np.ndarray]:
    """Return (states, counts), both (n, p), drawn from the model above."""
    random = np.random.default_rng(seed)
    states = np.zeros((customers, periods), dtype=int)
    states[:, 0] = random.choice(3, customers, p=START)
    ladder = np.cumsum(moves, axis=1)
    for period in range(1, periods):
        states[:, period] = (random.random(customers)[:, None] > ladder[states[:, period - 1]]).sum(axis=1)
    return states, random.poisson(np.array(RATES)[states])


def by_enumeration(counts: list[int]) -> tuple[np.ndarray, float]:
    """Return smoothed state probabilities and the likelihood by summing over every path."""
    found, total = np.zeros((len(counts), 3)), 0.0
    for path in itertools.product(range(3), repeat=len(counts)):
        chance = START[path[0]]
        for before, after in itertools.pairwise(path):
            chance *= MOVES[before, after]
        for count, state in zip(counts, path, strict=True):
            chance *= poisson.pmf(count, RATES[state]) if count >= 0 else 1.0
        total += chance
        for period, state in enumerate(path):
            found[period, state] += chance
    return found / total, total


@pytest.mark.parametrize("counts", [[0, 2, 0, 1, 5], [0, 0, 0], [3, -1, -1, 0, 1], [1]])
def test_probabilities_equal_the_sum_over_all_paths(counts):
    made = panel_of_counts([counts])
    expected, likelihood = by_enumeration(counts)

    assert TRUTH.smoothed(made)[0] == pytest.approx(expected, abs=1e-12)
    assert TRUTH.filtered(made)[0, -1] == pytest.approx(expected[-1], abs=1e-12)
    table = emissions.log_table(TRUTH.emission, made.count, made.exposure)
    found = recursions.expect(table, made.cell, None, made.weight, made.length, TRUTH.initial, TRUTH.transitions)
    assert found.log_likelihood == pytest.approx(np.log(likelihood), abs=1e-10)
    assert found.moves.sum() == pytest.approx(len(counts) - 1)


def test_learned_model_names_as_many_states_rightly_as_the_true_one():
    states, counts = simulated(1500, 18)
    made = panel_of_counts(counts)

    fitted = fitting.choose(made, states=range(1, 6), families=("poisson",))

    right = {name: float((model.smoothed(made)[made.story].argmax(axis=2) == states).mean()) for name, model in (("true", TRUTH), ("learned", fitted.model))}
    assert fitted.model.states == 3
    assert fitted.model.emission.rate == pytest.approx(RATES, rel=0.12)
    assert fitted.model.transitions[0] == pytest.approx(MOVES, abs=0.04)
    assert right["learned"] > right["true"] - 0.006
    assert right["true"] > 0.75


def test_same_seed_same_model_and_the_likelihood_only_rises():
    _, counts = simulated(300, 10)
    made = panel_of_counts(counts)
    first, second = (fitting.fit(made, states=3, seed=7) for _round in range(2))
    short = fitting._run(made, fitting._start(made, 3, "poisson", np.random.default_rng(0), spread=0.0), steps=2)
    longer = fitting._run(made, fitting._start(made, 3, "poisson", np.random.default_rng(0), spread=0.0), steps=40)

    assert np.array_equal(first.transitions, second.transitions)
    assert first.log_likelihood == second.log_likelihood
    assert longer.log_likelihood >= short.log_likelihood


def test_equal_stories_are_stored_once_and_weigh_as_often_as_they_occur():
    counts = np.repeat([[0, 1, 0], [2, 0, 0], [0, 1, 0]], 100, axis=0)

    made = panel_of_counts(counts)

    assert len(made.cell) == 2
    assert sorted(made.weight) == [100, 200]
    assert np.array_equal(TRUTH.last(made)[made.story[0]], TRUTH.last(made)[made.story[250]])
    assert made.observations == 900


def test_a_collision_of_hashes_would_be_noticed(monkeypatch):
    class Same:
        def integers(self, *_: object, **__: object) -> np.ndarray:
            return np.zeros(4, dtype=np.uint64)

    rows = np.random.default_rng(0).integers(0, 9, (50, 4)).astype(np.int16)
    expected = len(np.unique(rows, axis=0))
    monkeypatch.setattr(panel.np.random, "default_rng", lambda _seed: Same())

    first, kind, counts = panel._distinct(rows)

    assert len(first) == expected == len(counts)
    assert np.array_equal(rows[first][kind], rows)


def test_orders_become_periods_counted_back_from_the_as_of_day():
    # Two orders on one day are one; day 101 lies after the as-of day; the first order is taken out of its period.
    made = panel_of_orders([1, 1, 1, 1, 2, 2], [5, 5, 40, 101, 95, 99], customers=[1, 2], as_of_day=99, period_days=30, most_periods=10)

    assert made.periods == 4
    assert made.start.tolist() == [0, 3]
    seen = [[(made.count[kind], made.exposure[kind]) for kind in made.cell[story][: made.length[story]]] for story in made.story]
    assert seen[0] == [(0, 0.5), (0, 1), (1, 1), (0, 1)]
    assert seen[1] == [(1, 0.5)]


def test_customers_older_than_the_panel_keep_their_later_periods():
    made = panel_of_orders([1, 1], [0, 395], customers=[1], as_of_day=399, period_days=30, most_periods=3)

    assert made.periods == 3
    assert [made.count[kind] for kind in made.cell[0]] == [0, 0, 1]
    assert set(made.exposure[made.cell[0]]) == {1.0}


def test_contact_changes_the_way_into_the_next_period():
    made = panel_of_orders(
        [1, 2], [0, 0], customers=[1, 2], as_of_day=89, period_days=30, most_periods=9, contact_customer=[1, 1], contact_day=[10, 70], contact_level=[2, 2]
    )

    # The message of day 70 would act on a period that is not there yet.
    assert made.level[made.story[0]].tolist() == [0, 2, 0]
    assert made.level[made.story[1]].tolist() == [0, 0, 0]
    assert made.levels == 3


def test_an_effect_of_contact_is_found():
    random = np.random.default_rng(0)
    contact = (random.random((1500, 12)) < 0.4).astype(int)
    woken = np.array([[0.45, 0.45, 0.10], *MOVES[1:]])
    states = np.zeros((1500, 12), dtype=int)
    states[:, 0] = random.choice(3, 1500, p=START)
    for period in range(1, 12):
        ladder = np.where(contact[:, period, None, None] == 1, np.cumsum(woken, axis=1), np.cumsum(MOVES, axis=1))[np.arange(1500), states[:, period - 1]]
        states[:, period] = (random.random(1500)[:, None] > ladder).sum(axis=1)
    made = panel_of_counts(random.poisson(np.array(RATES)[states]), contact=contact)

    model = fitting.fit(made, states=3)

    assert len(model.transitions) == 2
    assert model.transitions[0, 0, 0] == pytest.approx(0.85, abs=0.07)
    assert model.transitions[1, 0, 0] == pytest.approx(0.45, abs=0.1)


def test_richer_families_are_chosen_only_where_the_counts_need_them():
    random = np.random.default_rng(2)
    states, _ = simulated(800, 14)
    rate = np.array(RATES)[states]
    wild = panel_of_counts(random.poisson(rate * random.gamma(1.2, 1 / 1.2, rate.shape)))

    best = fitting.choose(wild, states=(2, 3, 4)).model

    assert best.emission.family == "negative binomial"
    assert 0.7 < best.emission.extra[0] < 2.5


def test_emissions_agree_with_scipy():
    count, exposure = np.array([0.0, 0.0, 3.0, 7.0]), np.array([0.0, 1.0, 1.0, 0.5])
    shape = 2.0
    negative = emissions.log_table(Emission("negative binomial", np.array([1.5]), np.array([shape])), count, exposure)[:, 0]
    inflated = emissions.log_table(Emission("zero-inflated poisson", np.array([1.5]), np.array([0.3])), count, exposure)[:, 0]

    assert negative[0] == inflated[0] == 0
    assert negative[2] == pytest.approx(nbinom.logpmf(3, shape, shape / (shape + 1.5)))
    assert inflated[1] == pytest.approx(np.log(0.3 + 0.7 * np.exp(-1.5)))
    assert inflated[3] == pytest.approx(np.log(0.7) + poisson.logpmf(7, 0.75))


def test_forecasts_agree_with_the_model_run_forward():
    last = np.array([[0.2, 0.5, 0.3]])
    random = np.random.default_rng(4)
    state = random.choice(3, 40_000, p=last[0])
    orders = np.zeros(40_000)
    for _period in range(3):
        state = (random.random(len(state))[:, None] > np.cumsum(MOVES, axis=1)[state]).sum(axis=1)
        orders += random.poisson(np.array(RATES)[state])

    assert TRUTH.expected_orders(last, periods=3)[0] == pytest.approx(orders.mean(), rel=0.03)
    assert TRUTH.buys_again(last, periods=3)[0] == pytest.approx((orders > 0).mean(), abs=0.01)
    assert TRUTH.buys_again(last, periods=0.001)[0] < 0.01


@pytest.mark.parametrize(
    "counts",
    [[[3]], [[0, 0, 0, 0]], np.zeros((40, 6)), np.full((40, 6), 2), [[1, 10_000_000, 0, 1]] * 3, [[np.nan, 1, np.nan, 0, 2]], [[-1, -1]]],
    ids=["one cell", "one silent customer", "all zero", "constant", "huge", "gaps", "nothing known"],
)
def test_degenerate_panels_give_a_model_without_a_nan(counts):
    made = panel_of_counts(counts)
    fitted = fitting.choose(made)

    for values in (fitted.model.emission.rate, fitted.model.transitions, fitted.model.initial, fitted.model.smoothed(made)):
        assert np.isfinite(values).all()
    assert fitted.model.transitions.sum(axis=2) == pytest.approx(1)
    assert all(np.isfinite(each.bic) for each in fitted.attempts)


def test_panels_that_are_none_say_so():
    with pytest.raises(PanelUnusable, match="at least one customer"):
        panel_of_counts(np.zeros((0, 0)))
    with pytest.raises(PanelUnusable, match="infinite"):
        panel_of_counts([[1, np.inf]])
    with pytest.raises(PanelUnusable, match="no orders"):
        panel_of_orders([], [], customers=[1], as_of_day=10, period_days=30, most_periods=3)


def test_states_are_named_by_what_they_do():
    lasting = np.array([[0.99, 0.01, 0.0], *MOVES[1:]])[None]

    assert state_names(TRUTH) == ("asleep", "occasional", "frequent")
    assert state_names(HiddenMarkov(TRUTH.emission, TRUTH.initial, lasting)) == ("gone", "occasional", "frequent")
    asleep, often = asleep_and_often(TRUTH)
    assert asleep.tolist() == [True, False, False]
    assert often.tolist() == [False, False, True]


def test_configuration_gives_the_same_model():
    _, counts = simulated(100, 6)
    made = panel_of_counts(counts)
    model = fitting.fit(made, states=2, family="negative binomial")

    again = HiddenMarkov.from_config(model.to_config())

    assert np.array_equal(again.smoothed(made), model.smoothed(made))
