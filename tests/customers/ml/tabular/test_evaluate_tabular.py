"""`manage.py evaluate tabular` on files: what it writes, what it refuses, and that test labels choose nothing."""

import csv
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from customers.ml.tabular import choosing
from customers.ml.tabular.linear import LinearSettings
from customers.ml.tabular.scattered import ScatterSettings
from customers.ml.tabular.trees import TreeSettings

Row = dict[str, str]


@pytest.fixture(autouse=True)
def _small_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    small = partial(
        choosing.choose, linear=(LinearSettings(0.05),), trees=(TreeSettings(trees=20, leaves=4),), scattered=(ScatterSettings(trees=10),), seeds=1, repeats=1
    )
    monkeypatch.setattr(choosing, "choose", small)


def people(*, rows: int, seed: int) -> list[Row]:
    random = np.random.default_rng(seed)
    found = []
    for number in range(rows):
        tenure, plan, gender = random.integers(0, 60), random.choice(["month", "year"]), random.choice(["f", "m"])
        odds = 1.5 - 0.06 * tenure - 1.5 * (plan == "year") + 0.4 * (gender == "m")
        left = random.random() < 1 / (1 + np.exp(-odds))
        spent = "" if random.random() < 0.1 else f"{random.gamma(2, 40):.2f}"
        found.append(
            {
                "customerID": f"c{seed}-{number}",
                "gender": gender,
                "tenure": str(tenure),
                "plan": plan,
                "spent": spent,
                "closed": "shut" if left else "",
                "Left": "Yes" if left else "No",
            }
        )
    return found


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., tuple[str, str]]:
    def write(train: list[Row], test: list[Row], *, without: tuple[str, ...] = ()) -> tuple[str, str]:
        for name, rows in (("train", train), ("test", test)):
            with (tmp_path / f"{name}.csv").open("w", newline="") as stream:
                columns = [column for column in rows[0] if name == "train" or column not in without]
                writer = csv.DictWriter(stream, columns, extrasaction="ignore")
                writer.writeheader()
                writer.writerows(rows)
        return str(tmp_path / "train.csv"), str(tmp_path / "test.csv")

    return write


def evaluate(tmp_path: Path, train: str, test: str, *more: str) -> tuple[dict[str, Any], list[Row]]:
    call_command("evaluate", "tabular", "--train", train, "--test", test, "--out", str(tmp_path / "p.csv"), "--json", str(tmp_path / "r.json"), *more)
    with (tmp_path / "p.csv").open(newline="") as stream:
        return json.loads((tmp_path / "r.json").read_text()), list(csv.DictReader(stream))


def test_predictions_reasons_and_figures(tmp_path: Path, files: Callable[..., tuple[str, str]]) -> None:
    train, test = files(people(rows=500, seed=1), people(rows=200, seed=2))

    report, rows = evaluate(tmp_path, train, test, "--label", "Left", "--protected", "gender")

    assert [row["row"] for row in rows] == [str(number) for number in range(200)]
    assert list(rows[0])[:4] == ["row", "probability", "reasons", "base"]
    for row in rows:
        log_odds = float(row["base"]) + sum(float(value) for name, value in row.items() if name.startswith("contribution:"))
        said = float(row["probability"])
        assert log_odds == pytest.approx(np.log(said / (1 - said)), abs=1e-6)
    assert report["figures"]["auc"]["value"] > 0.75
    assert set(report["figures"]) >= {"auc", "pr_auc", "log_loss", "brier", "ece", "lift_10", "ece_by_chance", "auc_over_baseline"}
    assert report["parameters"]["positive"] == "Yes"
    assert {"base rate", "simple logistic"} <= set(report["candidates"])
    # A protected column is measured and stays out; the copy of the answer is named and stays out.
    assert not {"contribution:gender", "contribution:closed", "contribution:customerID"} & set(rows[0])
    assert any("'closed' alone predicts the label" in note for note in report["notes"])
    assert report["tables"]["fairness"]["gender"]["test"]["parity_difference"]["rows"] == 200
    mitigated = report["tables"]["fairness"]["gender"]["mitigation"]["test"]
    assert mitigated["parity_difference_after"] <= mitigated["parity_difference_before"] / 2 or mitigated["parity_difference_before"] < 0.02


def test_labels_of_the_test_file_choose_nothing(tmp_path: Path, files: Callable[..., tuple[str, str]]) -> None:
    learned, asked = people(rows=300, seed=1), people(rows=80, seed=2)
    train, test = files(learned, asked)
    _report, honest = evaluate(tmp_path, train, test, "--label", "Left")
    files(learned, [{**row, "Left": "No" if row["Left"] == "Yes" else "Yes"} for row in asked])
    _report, turned = evaluate(tmp_path, train, test, "--label", "Left")
    files(learned, asked, without=("Left",))
    report, without = evaluate(tmp_path, train, test, "--label", "Left")

    assert honest == turned == without
    assert report["figures"] == {}
    assert any("bears no label" in note for note in report["notes"])


def test_protected_columns_are_used_when_asked(tmp_path: Path, files: Callable[..., tuple[str, str]]) -> None:
    train, test = files(people(rows=300, seed=1), people(rows=50, seed=2))

    _report, rows = evaluate(tmp_path, train, test, "--label", "Left", "--protected", "gender", "--use-protected", "--keep", "closed")

    assert {"contribution:gender", "contribution:closed"} <= set(rows[0])


def turned(rows: list[Row], **changes: Callable[[int], str]) -> list[Row]:
    return [{**row, **{name: value(number) for name, value in changes.items()}} for number, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("changes", "options", "said"),
    [
        ({"Left": lambda _n: "No"}, ("--label", "Left"), "Every row of .* has the label 'No'"),
        ({"Left": lambda _n: ""}, ("--label", "Left"), "label column 'Left' of .* is empty"),
        ({"Left": lambda n: "abc"[n % 3]}, ("--label", "Left"), "has 3 values .* name the one to predict with --positive"),
        ({}, ("--label", "Left", "--positive", "maybe"), "No row of .* has the label 'maybe'"),
        ({}, ("--label", "Gone"), "no column 'Gone'"),
        ({}, ("--label", "Left", "--protected", "nose"), "no column 'nose'"),
        ({"Left": lambda n: "Yes" if n < 3 else "No"}, ("--label", "Left"), "3 of 60 rows bear the positive label"),
        ({}, ("--label", "Left", "--protected", "Left"), "is the label itself"),
    ],
)
def test_what_cannot_be_learned_is_said_in_one_sentence(
    tmp_path: Path, files: Callable[..., tuple[str, str]], changes: dict[str, Callable[[int], str]], options: tuple[str, ...], said: str
) -> None:
    train, test = files(turned(people(rows=60, seed=1), **changes), people(rows=20, seed=2))

    with pytest.raises(CommandError, match=said):
        evaluate(tmp_path, train, test, *options)


def test_a_test_file_that_lacks_a_column_is_refused(tmp_path: Path, files: Callable[..., tuple[str, str]]) -> None:
    train, test = files(people(rows=200, seed=1), people(rows=20, seed=2), without=("tenure",))

    with pytest.raises(CommandError, match="lacks 'tenure'"):
        evaluate(tmp_path, train, test, "--label", "Left")


def test_a_label_is_the_same_however_it_is_spelled(tmp_path: Path, files: Callable[..., tuple[str, str]]) -> None:
    learned, asked = people(rows=200, seed=1), people(rows=80, seed=2)
    as_numbers = turned(learned, Left=lambda n: "1.0" if learned[n]["Left"] == "Yes" else "0.0")
    train, test = files(as_numbers, turned(asked, Left=lambda n: "1" if asked[n]["Left"] == "Yes" else "0"))
    report, _rows = evaluate(tmp_path, train, test, "--label", "Left", "--positive", "1")
    files(learned, turned(asked, Left=lambda n: asked[n]["Left"].upper()))
    shouted, _rows = evaluate(tmp_path, train, test, "--label", "Left")

    assert report["figures"] == shouted["figures"]
    assert report["figures"]["auc"]["value"] > 0.7
    assert report["parameters"]["positive"] == "1.0"


def test_labels_never_learned_are_named_and_not_measured(tmp_path: Path, files: Callable[..., tuple[str, str]]) -> None:
    learned, asked = people(rows=200, seed=1), people(rows=60, seed=2)
    train, test = files(learned, turned(asked, Left=lambda n: "perhaps" if n < 20 else "Yes"))

    report, rows = evaluate(tmp_path, train, test, "--label", "Left")

    assert len(rows) == 60
    assert report["figures"]["brier"]["rows"] == 40
    assert report["figures"]["auc"]["value"] is None
    assert any("20 rows" in note and "'perhaps'" in note for note in report["notes"])
    assert any("bear one label" in note for note in report["notes"])


def test_numbers_near_the_end_of_floating_point_are_held(tmp_path: Path, files: Callable[..., tuple[str, str]]) -> None:
    learned = turned(people(rows=200, seed=1), spent=lambda n: ("1e308", "-1e308", "12")[n % 3])
    train, test = files(learned, turned(people(rows=20, seed=2), spent=lambda _n: "1e308"))

    _report, rows = evaluate(tmp_path, train, test, "--label", "Left")

    assert all(0 < float(row["probability"]) < 1 for row in rows)


def test_one_of_three_labels_can_be_named(tmp_path: Path, files: Callable[..., tuple[str, str]]) -> None:
    rows = turned(people(rows=200, seed=1), Left=lambda n: "abc"[n % 3])
    train, test = files(rows, rows[:30])

    report, _rows = evaluate(tmp_path, train, test, "--label", "Left", "--positive", "b", "--drop", "closed")

    assert report["parameters"]["positive"] == "b"
    assert "'any other'" in report["notes"][0]
