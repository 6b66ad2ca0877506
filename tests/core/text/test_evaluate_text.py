"""`manage.py evaluate text`: the files it takes, the files it writes, and that test labels choose nothing."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from crm.core.text import figures
from tests.core.text.test_classifier import toy


def write(path: Path, rows: list[tuple[str, ...]], header: tuple[str, ...] = ("text", "label")) -> str:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)
    return str(path)


def evaluated(tmp_path: Path, *arguments: str, name: str = "text") -> tuple[dict[str, Any], list[dict[str, str]]]:
    call_command("evaluate", name, *arguments, "--out", str(tmp_path / "out.csv"), "--json", str(tmp_path / "report.json"))
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as stream:
        return json.loads((tmp_path / "report.json").read_text()), list(csv.DictReader(stream))


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the encoder: what is under test is files and figures."""
    monkeypatch.setattr("crm.core.text.encoder.available", lambda: False)


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    texts, labels, outside = toy()
    rows = [*zip(texts, labels, strict=True), *((text, "none") for text in outside)]
    return write(tmp_path / "a.csv", rows[::2] + rows[-12:]), write(tmp_path / "b.csv", rows[1::2])


def test_prediction_file_has_a_line_per_text_and_probabilities_that_add_up(plain: None, files: tuple[str, str], tmp_path: Path) -> None:
    report, rows = evaluated(tmp_path, "--train", files[0], "--test", files[1], "--oos-label", "none", name="intents")

    assert list(rows[0]) == ["row", "label", "confidence", "in_scope", "broken", "invoice", "return", "status", "none"]
    assert [int(row["row"]) for row in rows] == list(range(report["rows"]["test"]))
    assert all(abs(sum(float(row[name]) for name in list(row)[4:]) - 1) < 1e-4 for row in rows)
    assert all((row["label"] == "none") == (row["in_scope"] == "0") for row in rows)
    assert {"accuracy", "macro_f1", "mcc", "in_scope_accuracy", "oos_recall", "oos_precision", "auroc", "ece", "coverage_at_95", "ms_per_text"} <= set(
        report["figures"]
    )
    assert report["figures"]["accuracy"]["value"] > 0.8
    assert report["task"] == "intents"
    assert "baseline: the commonest label" in report["candidates"]


def test_labels_of_the_test_file_choose_nothing(plain: None, files: tuple[str, str], tmp_path: Path) -> None:
    with Path(files[1]).open(encoding="utf-8", newline="") as stream:
        texts = [row["text"] for row in csv.DictReader(stream)]
    wrong, bare = write(tmp_path / "wrong.csv", [(text, "status") for text in texts]), write(tmp_path / "bare.csv", [(text,) for text in texts], ("text",))
    common = ("--train", files[0], "--oos-label", "none")

    _, right = evaluated(tmp_path, *common, "--test", files[1])
    _, misled = evaluated(tmp_path, *common, "--test", wrong)
    report, blind = evaluated(tmp_path, *common, "--test", bare)

    assert right == misled == blind
    assert "accuracy" not in report["figures"]
    assert any("no labels" in note for note in report["notes"])


def test_without_an_out_of_scope_label_every_text_is_named(plain: None, tmp_path: Path) -> None:
    texts, labels, _ = toy()
    rows = list(zip(texts, labels, strict=True))

    report, found = evaluated(tmp_path, "--train", write(tmp_path / "a.csv", rows), "--test", write(tmp_path / "b.csv", [*rows[:20], ("quantum physics", "x")]))

    assert {row["label"] for row in found} <= set(labels)
    assert any("never taught" in note for note in report["notes"])


def test_strange_texts_are_judged_like_any_other(plain: None, files: tuple[str, str], tmp_path: Path) -> None:
    strange = [("",), ("   ",), ("😀😀😀",), ("order " * 17_000,), ("订单" * 50_000,), ("\ud7ff\u200b\x07",), ("order 在哪里 ?? 😀",)]

    _, rows = evaluated(tmp_path, "--train", files[0], "--test", write(tmp_path / "b.csv", strange, ("text",)))

    assert len(rows) == len(strange)
    assert all(0 <= float(row["confidence"]) <= 1 for row in rows)


def test_two_classes_of_reviews(plain: None, tmp_path: Path) -> None:
    good, bad = ["很好 喜欢", "great, love it", "质量好", "excellent"], ["太差了", "broken, awful", "很失望", "terrible"]
    rows = [(f"{text} {number}", str(int(text in good))) for number in range(30) for text in good + bad]

    report, found = evaluated(tmp_path, "--train", write(tmp_path / "a.csv", rows), "--test", write(tmp_path / "b.csv", rows[:40]))

    assert report["figures"]["accuracy"]["value"] > 0.95
    assert all(row["in_scope"] == "1" for row in found)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text\nonly texts\n", "2 are needed"),
        ("text,label\nhello,\n", "no labels"),
        ("text,label\na,x\nb,\n", "Row 2"),
        ("text,label\na,x\nb,x\n", "at least two"),
    ],
)
def test_a_training_file_that_teaches_nothing_is_named_in_one_sentence(plain: None, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(content)

    with pytest.raises(CommandError, match=message):
        call_command("evaluate", "text", "--train", str(tmp_path / "a.csv"), "--test", str(tmp_path / "a.csv"))


def test_a_quote_that_is_never_closed_is_named_and_no_row_is_swallowed(plain: None, files: tuple[str, str], tmp_path: Path) -> None:
    good = Path(files[0]).read_text(encoding="utf-8")
    for broken in (good + 'a new lamp,"status\n' + "my lamp is here,status\n", good + '"a new lamp,status\n"my lamp is here,status\n'):
        (tmp_path / "c.csv").write_text(broken, encoding="utf-8")
        for train, test in ((tmp_path / "c.csv", files[1]), (files[0], tmp_path / "c.csv")):
            with pytest.raises(CommandError, match=r"c\.csv, line \d+: a quote is opened and not closed"):
                call_command("evaluate", "intents", "--train", str(train), "--test", str(test))


def test_test_rows_without_a_label_are_predicted_and_not_counted_as_mistakes(plain: None, files: tuple[str, str], tmp_path: Path) -> None:
    with Path(files[1]).open(encoding="utf-8", newline="") as stream:
        rows = [(row["text"], row["label"]) for row in csv.DictReader(stream)]
    common = ("--train", files[0], "--oos-label", "none", "--test")

    whole, _ = evaluated(tmp_path, *common, write(tmp_path / "whole.csv", rows))
    partly, found = evaluated(tmp_path, *common, write(tmp_path / "partly.csv", [*rows, *((text, "") for text, _ in rows[:20])]))

    assert len(found) == len(rows) + 20
    assert {name: partly["figures"][name] for name in ("accuracy", "macro_f1", "mcc", "answered")} == {
        name: whole["figures"][name] for name in ("accuracy", "macro_f1", "mcc", "answered")
    }
    assert "20 row(s) of the test file bear no label; the figures are of the others." in partly["notes"]


def test_an_out_of_scope_text_given_thirty_times_is_one(plain: None, files: tuple[str, str], tmp_path: Path) -> None:
    texts, labels, _ = toy()
    train = write(tmp_path / "a.csv", [*zip(texts, labels, strict=True), *[("tell me a joke", "none")] * 30])

    report, _ = evaluated(tmp_path, "--train", train, "--test", files[1], "--oos-label", "none")

    assert report["rows"]["train_out_of_scope"] == 1
    assert "No out-of-scope gate could be learned; no text is refused." in report["notes"]


def test_a_class_of_one_text_among_two_is_learned_without_an_error(plain: None, tmp_path: Path) -> None:
    rows = [(f"great, love it {number} {other}", "1") for number in range(14) for other in range(14)] + [("broken, awful", "0")]

    _, found = evaluated(tmp_path, "--train", write(tmp_path / "a.csv", rows), "--test", write(tmp_path / "b.csv", rows[-3:]))

    assert found[0]["label"] == "1"


@pytest.mark.django_db
def test_a_model_nobody_promoted_is_named(tmp_path: Path) -> None:
    test = write(tmp_path / "b.csv", [("hello",)], ("text",))

    with pytest.raises(CommandError, match="intents"):
        call_command("evaluate", "text", "--model", "intents", "--test", test)
    with pytest.raises(CommandError, match="either"):
        call_command("evaluate", "text", "--test", test)


def test_figures_by_hand() -> None:
    truth, said = ["a", "a", "b", "none", "none"], ["a", "b", "none", "none", "a"]
    found, tables = figures.of_predictions(
        truth, said, confidence=np.array([0.9, 0.6, 0.7, 0.8, 0.5]), scope=np.array([0.9, 0.6, 0.3, 0.2, 0.6]), outside="none"
    )

    assert found["accuracy"]["value"] == pytest.approx(0.4)
    assert (found["in_scope_accuracy"], found["oos_recall"], found["oos_precision"]) == (pytest.approx(1 / 3), 0.5, 0.5)
    assert found["auroc"] == pytest.approx(4.5 / 6)
    assert found["coverage_at_95"] == pytest.approx(0.2)
    assert tables["coverage"][-1] == {"coverage": 1.0, "accuracy": pytest.approx(0.4)}
    assert next(row for row in tables["per_class"] if row["label"] == "a") == {"label": "a", "precision": 0.5, "recall": 0.5, "rows": 2}


def test_a_threshold_is_never_set_inside_a_run_of_equal_confidence() -> None:
    right, sure = np.array([True, True, False, True]), np.array([0.9, 0.5, 0.5, 0.1])

    assert figures.coverage_at(right, sure, 0.95) == 0.25
