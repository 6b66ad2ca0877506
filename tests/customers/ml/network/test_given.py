"""One network written in every way we read, and files that are none."""

import json

import numpy as np
import pytest

from customers.ml.network import given
from customers.ml.network.inference import probability
from customers.ml.network.model import NetworkInvalid

RAIN = [0.8, 0.2]
SPRINKLER = [[0.6, 0.4], [0.99, 0.01]]  # by rain
WET = [[[1.0, 0.0], [0.2, 0.8]], [[0.1, 0.9], [0.01, 0.99]]]  # by sprinkler, rain
NO_YES, OFF_ON = ["no", "yes"], ["off", "on"]


def nodes(sprinkler, wet, **more):
    return [
        {"name": "rain", "states": NO_YES, "parents": [], "table": RAIN},
        {"name": "sprinkler", "states": OFF_ON, "parents": ["rain"], "table": sprinkler},
        {"name": "wet", "states": NO_YES, "parents": ["sprinkler", "rain"], "table": wet, **more},
    ]


CELLS = [
    {"sprinkler": sprinkler, "rain": rain, "wet": wet, "p": WET[OFF_ON.index(sprinkler)][NO_YES.index(rain)][NO_YES.index(wet)]}
    for sprinkler in OFF_ON
    for rain in NO_YES
    for wet in NO_YES
]
BY_PARENTS = [
    {"given": {"sprinkler": s, "rain": r}, "p": dict(zip(NO_YES, WET[i][j], strict=True))} for i, s in enumerate(OFF_ON) for j, r in enumerate(NO_YES)
]
FORMS = {
    "nested": {"nodes": nodes(SPRINKLER, WET)},
    "flat": {"nodes": nodes(np.ravel(SPRINKLER).tolist(), np.ravel(WET).tolist())},
    "rows by combination": {"nodes": nodes(SPRINKLER, [row for block in WET for row in block])},
    "columns by combination": {"nodes": nodes(np.transpose(SPRINKLER).tolist(), np.reshape(WET, (4, 2)).T.tolist())},
    "a list of nodes": nodes(SPRINKLER, WET),
    "cells": {"variables": nodes(SPRINKLER, CELLS)},
    "cells, the last of each left out": {"nodes": nodes(SPRINKLER, [row for row in CELLS if row["wet"] == "yes"])},
    "rows by parents": {"nodes": nodes(SPRINKLER, BY_PARENTS)},
    "joined keys": {
        "nodes": nodes(
            {"no": SPRINKLER[0], "yes": {"off": 0.99, "on": 0.01}}, {f"{s},{r}": WET[i][j] for i, s in enumerate(OFF_ON) for j, r in enumerate(NO_YES)}
        )
    },
    "nested keys": {"nodes": nodes(SPRINKLER, {s: {r: WET[i][j] for j, r in enumerate(NO_YES)} for i, s in enumerate(OFF_ON)})},
    "by name": {"network": {each["name"]: {key: value for key, value in each.items() if key != "name"} for each in nodes(SPRINKLER, WET)}},
    "three objects": {
        "states": {"rain": NO_YES, "sprinkler": OFF_ON, "wet": NO_YES},
        "parents": {"sprinkler": ["rain"], "wet": ["sprinkler", "rain"]},
        "tables": {"rain": RAIN, "sprinkler": SPRINKLER, "wet": WET},
    },
    "variables and edges": {
        "variables": {"rain": NO_YES, "sprinkler": OFF_ON, "wet": NO_YES},
        "edges": [["rain", "sprinkler"], ["sprinkler", "wet"], {"from": "rain", "to": "wet"}],
        "cpts": {"rain": {"no": 0.8, "yes": 0.2}, "sprinkler": SPRINKLER, "wet": WET},
    },
    "cpds of their own": {
        "variables": ["rain", "sprinkler", "wet"],
        "cpds": [
            {"variable": "rain", "states": NO_YES, "values": RAIN},
            {"variable": "sprinkler", "states": OFF_ON, "evidence": ["rain"], "values": np.transpose(SPRINKLER).tolist()},
            {"variable": "wet", "states": NO_YES, "evidence": ["sprinkler", "rain"], "values": np.reshape(WET, (4, 2)).T.tolist()},
        ],
    },
    "other words": {
        "nodes": [{"id": each["name"], "outcomes": each["states"], "given": each["parents"], "cpt": each["table"]} for each in nodes(SPRINKLER, WET)]
    },
}


@pytest.mark.parametrize("form", FORMS, ids=list(FORMS))
def test_every_form_gives_the_same_answers(form):
    network = given.network(json.loads(json.dumps(FORMS[form])))

    assert probability(network, "rain", "yes", {"wet": "yes"}) == pytest.approx(0.16038 / 0.44838, abs=1e-12)
    assert probability(network, "wet", "yes", {"sprinkler": "on", "rain": ""}) == pytest.approx((0.8 * 0.4 * 0.9 + 0.2 * 0.01 * 0.99) / 0.322, abs=1e-12)


def test_states_may_be_left_out_and_may_be_booleans_or_numbers():
    network = given.network(
        {"nodes": [{"name": "a", "table": [0.3, 0.7]}, {"name": "b", "parents": ["a"], "states": [False, True], "table": [[0.5, 0.5], [0.1, 0.9]]}]}
    )

    assert network.states == {"a": ("0", "1"), "b": ("false", "true")}
    assert probability(network, "b", "True", {"a": "1"}) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({}, "no variables"),
        ([1, 2], "no name"),
        ({"nodes": [{"name": "a", "states": ["x", "y"]}]}, "a has no table"),
        ({"nodes": [{"name": "a", "states": ["x", "y"], "table": [0.5, 0.6]}]}, "sums to 1.1"),
        ({"nodes": [{"name": "a", "states": ["x", "y"], "table": [0.5]}]}, "1 figures; 2 are needed"),
        ({"nodes": [{"name": "a", "states": ["x", "y"], "table": [-0.5, 1.5]}]}, "no probability"),
        ({"nodes": [{"name": "a", "states": ["x", "y"], "table": [[0.5, 0.5], [1]]}]}, "ragged"),
        ({"nodes": [{"name": "a", "states": ["x"], "table": [1], "parents": ["b"]}]}, "which is no variable"),
        ({"nodes": [{"name": n, "states": ["x"], "table": [1], "parents": [m]} for n, m in (("a", "b"), ("b", "a"))]}, "circle"),
        ({"nodes": [{"name": "a", "states": ["x", "y"], "table": {"x": 0.2, "z": 0.8}}]}, "which a does not have"),
        ({"nodes": [{"name": "a", "states": ["x", "x"], "table": [0.5, 0.5]}]}, "a state twice"),
        ({"nodes": [{"name": "a", "states": ["x"], "table": [1]}] * 2}, "'a' is given twice"),
        ({"nodes": [{"name": "a", "states": ["x"], "table": [1]}, {"name": "b", "states": ["x"], "parents": ["a", "a"], "table": [1]}]}, "a parent twice"),
        ({"nodes": [{"name": "a", "states": ["x"], "table": [1], "parents": 3}]}, "no list of variables"),
        ({"nodes": [{"name": "a", "cardinality": "two", "table": [1]}]}, "no whole number"),
        ({"nodes": [{"name": "a", "states": ["x"], "table": [1]}], "edges": [["a"]]}, "does not name two variables"),
        ({"nodes": [{"name": "a", "states": ["x"], "table": [1]}], "edges": 5}, "does not name two variables"),
        ({"nodes": [{"name": "a", "states": ["x"], "table": [1]}], "parents": ["a"]}, "no object by variable"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(written, message):
    with pytest.raises(NetworkInvalid, match=message):
        given.network(written)


def test_files_that_are_none_name_the_file(tmp_path):
    broken = tmp_path / "t.json"
    broken.write_text("{")

    with pytest.raises(NetworkInvalid, match=r"t\.json is no JSON"):
        given.read(str(broken))
    with pytest.raises(NetworkInvalid, match="cannot be read"):
        given.read(str(tmp_path / "absent.json"))
