"""Networks against brute force: every answer equals the sum over all cells of the joint distribution."""

import numpy as np
import pytest

from customers.ml.network import unknown
from customers.ml.network.inference import EvidenceImpossible, TooTangled, posterior, probability
from customers.ml.network.influence import explain, log_odds
from customers.ml.network.learning import Rows, Rules, learn, rows_of, smoothed
from customers.ml.network.model import UNKNOWN, Network, NetworkInvalid


def drawn_network(seed: int, variables: int = 7) -> Network:
    """Return a random network of two to four states and up to three parents each."""
    random = np.random.default_rng(seed)
    names = [f"x{number}" for number in range(variables)]
    states = {name: tuple(f"s{number}" for number in range(random.integers(2, 5))) for name in names}
    parents = {}
    for place, name in enumerate(names):
        count = min(place, int(random.integers(0, 4)))
        parents[name] = tuple(names[one] for one in random.choice(place, count, replace=False)) if count else ()
    tables = {name: random.dirichlet(np.ones(len(states[name])), size=tuple(len(states[one]) for one in parents[name])) for name in names}
    return Network(states, parents, tables).checked()


def joint(network: Network) -> np.ndarray:
    """Return the whole joint distribution, one axis per variable, multiplied cell by cell."""
    whole = np.ones([len(values) for values in network.states.values()])
    for cell in np.ndindex(*whole.shape):
        for name in network.names:
            at = tuple(cell[network.names.index(one)] for one in (*network.parents[name], name))
            whole[cell] *= network.tables[name][at]
    return whole


def enumerated(whole: np.ndarray, query: int, row: np.ndarray) -> np.ndarray:
    known = tuple(slice(None) if code == UNKNOWN or place == query else slice(code, code + 1) for place, code in enumerate(row))
    cut = whole[known].sum(axis=tuple(place for place in range(whole.ndim) if place != query))
    return cut / cut.sum()


def sampled(whole: np.ndarray, rows: int, *, unknown: float, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    codes = np.column_stack(np.unravel_index(random.choice(whole.size, rows, p=whole.ravel() / whole.sum()), whole.shape))
    codes[random.random(codes.shape) < unknown] = UNKNOWN
    return codes


@pytest.mark.parametrize("seed", range(4))
def test_answers_equal_enumeration_whatever_is_unknown(seed):
    network = drawn_network(seed)
    whole = joint(network)
    rows = sampled(whole, 60, unknown=0.5, seed=seed)

    for query in (0, 3, 6):
        found, chance = posterior(network, network.names[query], rows)
        expected = np.array([enumerated(whole, query, row) for row in rows])
        assert np.abs(found - expected).max() < 1e-12
        assert chance[0] > 0


@pytest.mark.parametrize("seed", range(3))
def test_learned_network_answers_within_three_hundredths(seed):
    network = drawn_network(seed)
    whole = joint(network)
    asked = sampled(whole, 200, unknown=0.4, seed=99)

    learned = learn(Rows(network.states, sampled(whole, 8000, unknown=0.1)))

    errors = [
        np.abs(posterior(learned.network, network.names[query], asked)[0] - np.array([enumerated(whole, query, row) for row in asked])).mean()
        for query in (2, 6)
    ]
    assert max(errors) < 0.03
    assert learned.rows == 8000


def test_unknown_cells_are_filled_in_and_not_thrown_away():
    """Where a cause is unknown more often when its effect is there, dropping those rows would learn the wrong rate."""
    random = np.random.default_rng(0)
    cause = random.random(6000) < 0.3
    effect = np.where(cause, random.random(6000) < 0.9, random.random(6000) < 0.1)
    codes = np.column_stack([cause, effect]).astype(np.int64)
    codes[effect & (random.random(6000) < 0.7), 0] = UNKNOWN

    network = learn(Rows({"cause": ("no", "yes"), "effect": ("no", "yes")}, codes)).network

    kept = codes[codes[:, 0] != UNKNOWN]
    assert probability(network, "cause", "yes", {}) == pytest.approx(0.3, abs=0.03)
    assert kept[:, 0].mean() < 0.2
    assert probability(network, "cause", "yes", {"effect": "yes"}) == pytest.approx(0.27 / 0.34, abs=0.03)


def test_structure_holds_the_dependence_and_leaves_independent_variables_alone():
    random = np.random.default_rng(1)
    one, three = random.integers(0, 2, 4000), random.integers(0, 3, 4000)
    two = np.where(random.random(4000) < 0.85, one, 1 - one)
    states = {"one": ("a", "b"), "two": ("a", "b"), "three": ("a", "b", "c")}

    network = learn(Rows(states, np.column_stack([one, two, three]))).network

    arrows = {frozenset((parent, name)) for name, above in network.parents.items() for parent in above}
    assert arrows == {frozenset(("one", "two"))}


def test_rules_of_the_structure_are_kept():
    network = drawn_network(5)
    rows = Rows(network.states, sampled(joint(network), 3000, unknown=0))
    rules = Rules(most_parents=1, forbidden=frozenset({("x0", "x1"), ("x1", "x0")}), roots=frozenset({"x6"}), required=frozenset({("x2", "x5")}))

    found = learn(rows, rules=rules).network
    given = learn(rows, rules=Rules(parents=network.parents)).network

    assert max(map(len, found.parents.values())) == 1
    assert found.parents["x6"] == ()
    assert found.parents["x5"] == ("x2",)
    assert "x0" not in found.parents["x1"]
    assert {name: set(above) for name, above in given.parents.items()} == {name: set(above) for name, above in network.parents.items()}
    with pytest.raises(NetworkInvalid, match="circle"):
        learn(rows, rules=Rules(required=frozenset({("x0", "x1"), ("x1", "x0")})))


def test_same_seed_same_network():
    network = drawn_network(6)
    rows = Rows(network.states, sampled(joint(network), 1500, unknown=0.1))

    first, second = learn(rows, seed=3).network, learn(rows, seed=3).network

    assert first.to_config() == second.to_config()


def test_smoothing_believes_clear_rows_and_borrows_for_thin_ones():
    counts = np.array([[90.0, 10.0], [20.0, 80.0], [1.0, 0.0], [0.0, 0.0]])

    table = smoothed(counts)

    assert table.sum(axis=1) == pytest.approx(1)
    assert table[0, 0] == pytest.approx(0.9, abs=0.02)
    assert 0.5 < table[2, 0] < 1
    assert table[3] == pytest.approx(counts.sum(axis=0) / counts.sum(), abs=0.01)


@pytest.mark.parametrize("known", [0, 1, 3, 6])
def test_influences_add_up_exactly(known):
    network = drawn_network(2)
    row = sampled(joint(network), 1, unknown=0)[0]
    row[1:][np.arange(6) >= known] = UNKNOWN

    told = explain(network, "x0", 1, row)

    assert len(told.influences) == known
    total = sum(one.effect for one in told.influences)
    assert total == pytest.approx(float(log_odds(told.probability) - log_odds(told.base)), abs=1e-9)
    assert probability(network, "x0", "s1", {}) == pytest.approx(told.base)


def test_influences_of_many_values_add_up_too():
    states = {"buy": ("no", "yes"), **{f"f{number}": ("no", "yes") for number in range(11)}}
    random = np.random.default_rng(0)
    tables = {name: random.dirichlet([2, 2], size=(2,)) for name in states} | {"buy": np.array([0.8, 0.2])}
    network = Network(states, {name: () if name == "buy" else ("buy",) for name in states}, tables).checked()

    told = explain(network, "buy", 1, np.array([UNKNOWN, *[1] * 11]))

    assert sum(one.effect for one in told.influences) == pytest.approx(float(log_odds(told.probability) - log_odds(told.base)), abs=1e-9)
    # Independent given the answer: each value's share is its own likelihood ratio, whatever the order.
    for one in told.influences:
        table = network.tables[one.variable]
        assert one.effect == pytest.approx(np.log(table[1, 1] / table[0, 1]), abs=1e-9)
    assert "raises the odds" in " ".join(one.words(told.probability) for one in told.influences)


def test_what_cannot_be_is_said():
    network = Network(
        {"a": ("0", "1"), "b": ("0", "1")}, {"a": (), "b": ("a",)}, {"a": np.array([1.0, 0.0]), "b": np.array([[1.0, 0.0], [0.5, 0.5]])}
    ).checked()

    with pytest.raises(EvidenceImpossible):
        probability(network, "a", "0", {"b": "1"})
    with pytest.raises(EvidenceImpossible):
        explain(network, "a", 0, np.array([UNKNOWN, 1]))
    assert probability(network, "b", "0.0", {"a": "never heard of"}) == 1.0
    with pytest.raises(NetworkInvalid, match="no value 'x'"):
        probability(network, "b", "x", {})
    with pytest.raises(NetworkInvalid, match="no variable 'c'"):
        probability(network, "b", "1", {"c": "1"})
    found, chance = posterior(network, "a", np.array([[UNKNOWN, 1], [UNKNOWN, 0]]))
    assert chance.tolist() == [0.0, 1.0]
    assert np.isfinite(found).all()


def test_a_network_too_tangled_for_memory_is_refused():
    names = [f"v{number}" for number in range(40)]
    random = np.random.default_rng(0)
    parents = {name: tuple(names[max(0, place - 12) : place]) for place, name in enumerate(names)}
    states = dict.fromkeys(names, ("0", "1", "2", "3"))
    tables = {name: np.broadcast_to(random.dirichlet(np.ones(4)), (*(4,) * len(parents[name]), 4)) for name in names[:3]}
    network = Network(states, parents, tables | {name: np.broadcast_to(0.25, (*(4,) * len(parents[name]), 4)) for name in names[3:]})

    with pytest.raises(TooTangled):
        posterior(network, "v39", np.full((1, 40), UNKNOWN))


@pytest.mark.parametrize(
    ("columns", "message"),
    [({"a": [], "b": []}, "no rows"), ({"a": ["", "?"], "b": ["1", "2"]}, "no known value"), ({"a": [""], "b": [""]}, "no known value")],
)
def test_tables_with_nothing_in_them_say_so(columns, message):
    with pytest.raises(NetworkInvalid, match=message):
        learn(rows_of(columns))


def test_constant_and_copied_columns_do_no_harm():
    columns = {"buy": ["yes", "no"] * 40, "copy": ["yes", "no"] * 40, "same": ["x"] * 80, "noise": ["a", "a", "b", "b"] * 20}

    network = learn(rows_of(columns)).network

    assert probability(network, "buy", "yes", {"copy": "yes", "same": "x"}) > 0.95
    assert probability(network, "buy", "yes", {"same": "x"}) == pytest.approx(0.5, abs=0.02)


def test_rows_of_text_keep_numbers_in_order_and_blanks_unknown():
    rows = rows_of({"n": ["10", "9", "NA", "2"], "t": ["b", "a", "?", ""]})

    assert rows.states["n"] == ("2", "9", "10")
    assert rows.codes.tolist() == [[2, 1], [1, 0], [UNKNOWN, UNKNOWN], [0, UNKNOWN]]


def test_rows_with_endless_completions_are_left_out_and_counted():
    states = {f"c{number}": tuple("abcdefgh") for number in range(6)}
    random = np.random.default_rng(0)
    codes = random.integers(0, 8, (300, 6))
    codes[:10, 1:] = UNKNOWN

    learned = learn(Rows(states, codes))

    assert (learned.rows, learned.left_out) == (290, 10)
    assert unknown.MOST_COMPLETIONS < 8**5
