"""`manage.py evaluate network`: given tables exactly, learned ones nearly, unknown values gracefully."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

TABLES = {
    "nodes": [
        {"name": "rain", "states": ["no", "yes"], "table": [0.8, 0.2]},
        {"name": "sprinkler", "states": ["off", "on"], "parents": ["rain"], "table": [[0.6, 0.4], [0.99, 0.01]]},
        {"name": "wet", "states": ["no", "yes"], "parents": ["sprinkler", "rain"], "table": [[[1, 0], [0.2, 0.8]], [[0.1, 0.9], [0.01, 0.99]]]},
    ]
}


@pytest.fixture
def tables(tmp_path: Path) -> str:
    (tmp_path / "t.json").write_text(json.dumps(TABLES))
    return str(tmp_path / "t.json")


@pytest.fixture
def data(tmp_path: Path) -> str:
    random = np.random.default_rng(0)
    lines = ["browsed,discount,age,buy,id"]
    for number in range(2500):
        browsed, discount = random.random() < 0.3, random.random() < 0.3
        buy = random.random() < 1 / (1 + np.exp(2.5 - 1.8 * browsed - 1.0 * discount))
        cells = ["yes" if one else "no" for one in (browsed, discount)] + [str(random.choice(["young", "old"])), "yes" if buy else "no", str(number)]
        lines.append(",".join("" if random.random() < 0.07 and place < 3 else cell for place, cell in enumerate(cells)))
    path = tmp_path / "f.csv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def report_of(tmp_path: Path, *options: str) -> dict:
    call_command("evaluate", "network", *options, "--json", str(tmp_path / "r.json"))
    return json.loads((tmp_path / "r.json").read_text())


def rows_of(path: Path) -> list[dict]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


def test_given_tables_are_answered_exactly(tmp_path: Path, tables: str) -> None:
    report = report_of(tmp_path, "--tables", tables, "--query", "rain=yes", "--evidence", "wet=yes", "--out", str(tmp_path / "p.csv"))

    assert report["figures"]["probability"] == pytest.approx(0.16038 / 0.44838, abs=1e-12)
    assert float(rows_of(tmp_path / "p.csv")[0]["probability"]) == pytest.approx(0.16038 / 0.44838, abs=1e-9)
    one = report["tables"]["influence"][0]
    assert (one["variable"], one["value"]) == ("wet", "yes")
    assert one["probability_without"] == pytest.approx(0.2)
    assert "raises the odds" in one["words"]


@pytest.mark.parametrize("evidence", ["wet=yes,sprinkler=?", "wet=yes,sprinkler=", "wet=YES,sprinkler=half", 'wet=yes,"sprinkler=half, or so"'])
def test_unknown_values_count_as_not_known(tmp_path: Path, tables: str, evidence: str) -> None:
    report = report_of(tmp_path, "--tables", tables, "--query", "rain=yes", "--evidence", evidence)

    assert report["figures"]["probability"] == pytest.approx(0.16038 / 0.44838, abs=1e-12)
    assert any("taken as unknown" in note for note in report["notes"]) == ("half" in evidence)


def test_rows_of_evidence_in_their_order_and_the_query_never_looked_at(tmp_path: Path, tables: str) -> None:
    (tmp_path / "e.csv").write_text("rain,wet,sprinkler,else\nyes,yes,,1\nno,yes,?,2\n,,on,3\nyes,no,on,4\n")

    report = report_of(tmp_path, "--tables", tables, "--query", "rain=yes", "--evidence-file", str(tmp_path / "e.csv"), "--out", str(tmp_path / "p.csv"))

    found = [float(row["probability"]) for row in rows_of(tmp_path / "p.csv")]
    assert [row["row"] for row in rows_of(tmp_path / "p.csv")] == ["0", "1", "2", "3"]
    expected = [0.16038 / 0.44838, 0.16038 / 0.44838, 0.002 / 0.322, 0.2 * 0.01 * 0.01 / (0.2 * 0.01 * 0.01 + 0.8 * 0.4 * 0.1)]
    assert found == pytest.approx(expected, abs=1e-9)
    assert any("else" in note for note in report["notes"])


def test_learned_network_comes_near_the_truth_and_beats_the_base_rate(tmp_path: Path, data: str) -> None:
    report = report_of(tmp_path, "--data", data, "--query", "buy=yes", "--evidence", "browsed=yes,discount=yes", "--save-tables", str(tmp_path / "t.json"))

    assert report["figures"]["probability"] == pytest.approx(1 / (1 + np.exp(-0.3)), abs=0.06)
    effects = [one["log_odds"] for one in report["tables"]["influence"]]
    odds = np.log(report["figures"]["probability"] / (1 - report["figures"]["probability"]))
    base = np.log(report["figures"]["base_rate"] / (1 - report["figures"]["base_rate"]))
    assert sum(effects) == pytest.approx(odds - base, abs=1e-9)
    candidates = report["candidates"]
    assert candidates["network"]["log_loss"] < candidates["base rate"]["log_loss"]
    assert any(note.startswith("id has") for note in report["notes"])
    again = report_of(tmp_path, "--tables", str(tmp_path / "t.json"), "--query", "buy=yes", "--evidence", "browsed=yes,discount=yes")
    assert again["figures"]["probability"] == pytest.approx(report["figures"]["probability"], abs=1e-12)


def test_the_structure_may_be_given(tmp_path: Path, data: str) -> None:
    report = report_of(tmp_path, "--data", data, "--query", "buy=yes", "--arrow", "browsed>buy", "--arrow", "discount>buy")

    assert report["parameters"]["parents"] == {"browsed": [], "discount": [], "age": [], "buy": ["browsed", "discount"]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--query", "buy"], "COLUMN=VALUE"),
        (["--query", "buy=perhaps"], "no value 'perhaps'"),
        (["--query", "sold=yes"], "no column 'sold'"),
        (["--query", "buy=yes", "--evidence", "height=2"], "no variable 'height'"),
        (["--query", "buy=yes", "--evidence", "id=2"], "bands"),
        (["--query", "buy=yes", "--arrow", "buy>nothing"], "not of the form"),
        (["--query", "buy=yes", "--parents", "0"], "between 1 and 8"),
        (["--query", "buy=yes", "--evidence", "age=old", "--evidence", "age=young"], "two values"),
    ],
)
def test_wrong_questions_get_one_sentence(tmp_path: Path, data: str, options: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        report_of(tmp_path, "--data", data, *options)


def test_evidence_that_cannot_be_is_said(tmp_path: Path) -> None:
    nodes = [{"name": "a", "states": ["0", "1"], "table": [1, 0]}, {"name": "b", "states": ["0", "1"], "parents": ["a"], "table": [[1, 0], [0.5, 0.5]]}]
    (tmp_path / "never.json").write_text(json.dumps({"nodes": nodes}))

    with pytest.raises(CommandError, match="cannot occur together"):
        report_of(tmp_path, "--tables", str(tmp_path / "never.json"), "--query", "a=0", "--evidence", "b=1")
