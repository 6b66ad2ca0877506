"""`manage.py evaluate lifecycle` on panels whose truth is known, and on files that are none."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from tests.customers.ml.hmm.test_hmm import simulated


def write(path: Path, rows: list[tuple]) -> str:
    path.write_text("customer_id,period,count\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
    return str(path)


def evaluated(tmp_path: Path, rows: list[tuple], *options: str) -> tuple[dict, list[dict]]:
    panel = write(tmp_path / "panel.csv", rows)
    call_command("evaluate", "lifecycle", "--panel", panel, "--out", str(tmp_path / "p.csv"), "--json", str(tmp_path / "r.json"), *options)
    with (tmp_path / "p.csv").open() as stream:
        return json.loads((tmp_path / "r.json").read_text()), list(csv.DictReader(stream))


def test_states_rates_transitions_and_bic_of_a_simulated_panel(tmp_path: Path) -> None:
    states, counts = simulated(500, 14)
    rows = [(f"c{customer:04}", period, int(counts[customer, period])) for customer in range(500) for period in range(14)]
    order = np.random.default_rng(0).permutation(len(rows))

    report, predicted = evaluated(tmp_path, [rows[place] for place in order], "--forecast", str(tmp_path / "f.csv"), "--horizon", "2")

    names = report["parameters"]["states"]
    assert names == ["asleep", "occasional", "frequent"]
    assert list(predicted[0]) == ["customer_id", "period", "state", *names]
    assert [(row["customer_id"], int(row["period"])) for row in predicted] == [rows[place][:2] for place in order]
    right = [names[states[int(row["customer_id"][1:]), int(row["period"])]] == row["state"] for row in predicted]
    assert np.mean(right) > 0.74
    assert all(abs(sum(float(row[name]) for name in names) - 1) < 1e-6 for row in predicted)
    assert list(report["parameters"]["rates"].values()) == pytest.approx([0.1, 0.8, 2.5], rel=0.25)
    assert np.array(report["parameters"]["transition_matrix"]).sum(axis=1) == pytest.approx(1)
    bic = {int(number): value for number, value in report["parameters"]["bic_per_states"].items()}
    assert min(bic, key=lambda number: bic[number]) == 3
    with (tmp_path / "f.csv").open() as stream:
        forecast = {row["customer_id"]: float(row["buys_again"]) for row in csv.DictReader(stream)}
    busy, quiet = (np.array([forecast[f"c{customer:04}"] for customer in np.flatnonzero(states[:, -1] == state)]).mean() for state in (2, 0))
    assert busy > quiet + 0.3


def test_a_panel_of_buyers_starts_with_the_first_order(tmp_path: Path) -> None:
    """Everybody has an order although many are asleep: the zeros before the first one are not part of their story."""
    random = np.random.default_rng(0)
    rows = []
    for customer in range(400):
        first, leaves = int(random.integers(0, 4)), int(random.geometric(0.3))
        counts = [0] * first + [1 + int(random.poisson(0.5))] + [int(random.poisson(0.8)) if age < leaves else 0 for age in range(1, 12 - first)]
        rows += [(customer, period, count) for period, count in enumerate(counts)]

    report, _predicted = evaluated(tmp_path, rows)
    as_rows, _ = evaluated(tmp_path, rows, "--begin", "first-row")

    assert any("start with each customer's first order" in note for note in report["notes"])
    assert any("first row (asked for)" in note for note in as_rows["notes"])


def test_contacts_get_a_matrix_of_their_own(tmp_path: Path) -> None:
    _, counts = simulated(150, 8)
    path = tmp_path / "panel.csv"
    path.write_text("customer_id,period,count,mail\n" + "".join(f"{c},{p},{counts[c, p]},{(c + p) % 2}\n" for c in range(150) for p in range(8)))

    call_command("evaluate", "lifecycle", "--panel", str(path), "--contact", "mail", "--states", "2", "--json", str(tmp_path / "r.json"))

    assert "transitions_contact_1" in json.loads((tmp_path / "r.json").read_text())["parameters"]


@pytest.mark.parametrize(
    "rows",
    [
        [("a", 1, 3)],
        [("a", period, 0) for period in range(6)],
        [(customer, period, 2) for customer in range(5) for period in range(4)],
        [("a", 1, 1), ("a", 2, 90_000), ("b", 1, 0), ("b", 9, 0)],
        [("a", "2026-01", 1), ("b", "2026-03", "")],
        [("a", 1, 1), ("b", 3, 2)],
    ],
    ids=["one cell", "nobody orders", "constant", "huge and gaps", "months and blanks", "zeros left out"],
)
def test_degenerate_panels_are_served_with_a_note(tmp_path: Path, rows: list[tuple]) -> None:
    report, predicted = evaluated(tmp_path, rows)

    assert len(predicted) == len(rows)
    assert report["notes"]
    assert "nan" not in (tmp_path / "p.csv").read_text().lower()
    assert "NaN" not in (tmp_path / "r.json").read_text()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", 1, "x")], "is no number"),
        ([("a", 1, -2)], "no whole number"),
        ([("a", 1, 1.5)], "no whole number"),
        ([("a", 1, 1), ("a", 1, 2)], "two rows for the same"),
        ([("a", 1, "")], "no count that is a number"),
        ([], "no rows"),
        ([("", 1, 1)], "needs a customer_id and a period"),
        ([("a", "nan", 1)], "needs a customer_id and a period"),
        ([("a", "1", 1), ("a", "1.0", 1)], "the same period as '1' and as '1.0'"),
    ],
)
def test_wrong_files_give_one_sentence(tmp_path: Path, rows: list[tuple], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        evaluated(tmp_path, rows)


@pytest.mark.parametrize("horizon", ["inf", "nan", "0", "-1", "1e9"])
def test_a_horizon_without_end_is_refused(tmp_path: Path, horizon: str) -> None:
    with pytest.raises(CommandError, match="--horizon must be a positive number of periods"):
        evaluated(tmp_path, [("a", 1, 1)], "--forecast", str(tmp_path / "f.csv"), "--horizon", horizon)


def test_periods_too_far_apart_to_fill_are_said_to_follow_one_another(tmp_path: Path) -> None:
    report, _predicted = evaluated(tmp_path, [("a", 1, 1), ("a", 2, 0), ("b", 5000, 2)])

    assert any("run from 1 to 5000 and 4,997 of them are in no row" in note for note in report["notes"])


def test_many_states_that_are_asked_for_have_names_of_their_own(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = [(customer, period, int(random.poisson(1 + customer % 7))) for customer in range(30) for period in range(6)]

    report, _predicted = evaluated(tmp_path, rows, "--states", "20")

    assert len(set(report["parameters"]["states"])) == 20
