import csv
from pathlib import Path

import numpy as np
import pytest

import support
from crm.core.text.classifier import TextClassifier
from support.ml.evaluation import decisions_out_of_sample, judge
from support.ml.intent import Decision, IntentModel, decide, least_confidence
from tests import public_data
from tests.core.text.test_classifier import toy


@pytest.fixture(scope="module")
def fitted() -> IntentModel:
    return IntentModel().fit(*toy())


def test_clear_question_is_answered_and_chatter_handed_over(fitted):
    clear, chatter = fitted.understand(["where is my parcel now", "tell me a joke about cats"])

    assert (clear.label, clear.decision) == ("status", Decision.ANSWER)
    assert chatter.decision == Decision.HAND_OVER
    assert len(clear.choices) == 3
    assert clear.choices[0] == (clear.label, pytest.approx(clear.confidence))


def test_policy_as_a_table():
    decisions = decide(
        confidence=np.array([0.9, 0.5, 0.5, 0.99]),
        together=np.array([0.95, 0.9, 0.6, 1.0]),
        in_scope=np.array([True, True, True, False]),
        answer_from=0.8,
        clarify_from=0.7,
    )

    assert decisions.tolist() == ["answer", "clarify", "hand_over", "hand_over"]


@pytest.mark.parametrize(
    ("confidence", "right", "target", "expected"),
    [
        ([0.9, 0.8, 0.7, 0.6], [1, 1, 0, 1], 0.75, 0.6),
        ([0.9, 0.8, 0.7, 0.6], [1, 1, 0, 0], 0.75, 0.8),
        ([0.9, 0.8, 0.8, 0.6], [1, 1, 0, 0], 0.9, 0.9),
        ([0.9, 0.8], [0, 0], 0.5, 1.0),
        ([], [], 0.5, 0.0),
    ],
)
def test_threshold_is_the_lowest_that_keeps_the_promise(confidence, right, target, expected):
    assert least_confidence(np.array(confidence), np.array(right, dtype=bool), target=target) == expected


def test_saved_model_understands_the_same(fitted):
    probes = ["发票", "broken lamp", "who are you"]

    again = IntentModel.from_tensors(*fitted.to_tensors())

    assert again.understand(probes) == fitted.understand(probes)


def test_judgement_has_figures_slices_and_a_baseline(fitted):
    texts, labels, outside = toy()
    baseline = TextClassifier(use_encoder=False).fit(texts, labels, outside)
    slices = ["zh" if ord(max(text)) > 0x2FFF else "en" for text in texts]

    judgement = judge(fitted, baseline, slices=slices)

    assert judgement.metrics["accuracy"] > 0.9
    assert {"scope_auroc", "out_of_scope_refused", "answers_right", "calibration_error"} <= set(judgement.metrics)
    assert [row[0] for row in judgement.report.tables[0].rows] == ["en", "zh"]
    assert sum(row[4] for row in judgement.report.tables[0].rows) == len(texts)
    assert judgement.metrics["answered"] == pytest.approx((decisions_out_of_sample(fitted) == "answer").mean())


def shipped(language: str) -> tuple[list[str], list[str], list[str]]:
    folder = Path(support.__file__).parent / "examples"
    with (folder / f"intents.{language}.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    with (folder / f"out_of_scope.{language}.csv").open(encoding="utf-8", newline="") as stream:
        outside = [row["text"] for row in csv.DictReader(stream)]
    return [row["text"] for row in rows], [row["label"] for row in rows], outside


@pytest.mark.slow
def test_shipped_examples_teach_both_languages_within_ninety_seconds(capsys):
    import time

    (english, english_labels, english_outside), (chinese, chinese_labels, chinese_outside) = shipped("en"), shipped("zh-hans")
    texts, labels, outside = english + chinese, english_labels + chinese_labels, english_outside + chinese_outside
    slices = ["en"] * len(english) + ["zh-hans"] * len(chinese)
    start = time.process_time()
    model = IntentModel().fit(texts, labels, outside)
    seconds = time.process_time() - start
    judgement = judge(model, TextClassifier(use_encoder=False).fit(texts, labels, outside), slices=slices)

    public_data.show(capsys, f"shipped intents, leave-one-out, {seconds:.0f} s: {judgement.metrics}\n{judgement.report.tables[0].rows}")
    assert seconds < 90
    assert judgement.metrics["accuracy"] > 0.75
    assert judgement.metrics["accuracy"] > judgement.baseline["accuracy"] + 0.05
    assert judgement.metrics["calibration_error"] < 0.04
    assert judgement.metrics["scope_auroc"] > 0.92
