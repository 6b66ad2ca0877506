import numpy as np
import pytest
import torch

from crm.core.text import encoder, upper
from crm.core.text.classifier import TextClassifier
from crm.core.text.upper import UpperLayersMember
from tests.core.text.test_classifier import toy


@pytest.fixture(scope="module")
def fitted() -> TextClassifier:
    texts, labels, outside = toy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crm.core.text.classifier.FEWEST_TO_JOIN", 50)
        patch.setattr("crm.core.text.upper.FEWEST_ROWS", 50)
        patch.setattr("crm.core.text.upper.EPOCHS", ((1_000, 3),))
        # Two threads wait for one another where the tests share the cores.
        patch.setattr("crm.core.text.upper._threads", lambda: 1)
        return TextClassifier(finetune="auto").fit(texts, labels, outside)


@pytest.mark.parametrize("layers", [3, 6])
def test_untrained_they_go_on_where_the_encoder_left_off(layers):
    texts = ["where is my parcel", "I would like to know what became of the lamp that I ordered two weeks ago"]
    found = encoder.read(texts, states_at=upper.states_at(layers))
    shape = {"width": 384, "heads": 12, "inner": 1536, "epsilon": 1e-12, "layers": layers, "classes": 2}
    network = upper._network(shape)
    network.layers.load_state_dict(upper._copied(encoder.parts()[0], layers))

    again = upper._run(network, found.states, network.direction)

    # The states are kept in half precision.
    assert again == pytest.approx(found.vectors, abs=2e-3)


def test_they_join_and_judge_only_what_they_have_not_seen(fitted):
    texts, _, _ = toy()

    assert "upper layers" in fitted.candidates_
    assert 0 < len(fitted.kept_rows_) < len(texts) / 4
    assert fitted.predict(["has my parcel been sent", "请问我的包裹到了吗", "these shoes are broken"]).labels.tolist() == ["status", "status", "broken"]
    assert not fitted.predict(["tell me a funny joke"]).in_scope.any()


def test_saved_they_answer_the_same(fitted):
    again = TextClassifier.from_tensors(*fitted.to_tensors())
    probes = ["where is it", "退货", "", "quantum chromodynamics"]

    first, second = fitted.predict(probes), again.predict(probes)

    assert np.array_equal(first.probabilities, second.probabilities)
    assert np.array_equal(first.scope_score, second.scope_score)


def test_an_answer_does_not_depend_on_its_neighbours(fitted):
    together = fitted.predict(["where is it", "I want to send the lamp back because it never worked, and I want my money", "发票"])

    assert fitted.predict(["where is it"]).probabilities[0] == pytest.approx(together.probabilities[0], abs=1e-3)


def test_training_leaves_the_encoder_and_the_thread_count_as_they_were(fitted):
    before, threads = encoder.encode(["where is my parcel"]), torch.get_num_threads()
    member = UpperLayersMember(epochs=1)
    material = fitted._material(["a b", "c d", "e f", "g h"], fitted.ngrams_.transform(["a b", "c d", "e f", "g h"]), layers=6)
    member.fit(material, np.array([0, 1, 0, 1]), 2, np.array([False, False, False, True]))
    encoder.forget_vectors()

    assert encoder.encode(["where is my parcel"]) == pytest.approx(before, abs=1e-5)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(("name", "value"), [("AFFORDABLE_SECONDS", 1e-9), ("FEWEST_TO_JOIN", 10**6)])
def test_a_machine_that_is_too_slow_or_too_few_rows_leave_them_out(name, value, monkeypatch):
    monkeypatch.setattr("crm.core.text.classifier.FEWEST_TO_JOIN", 50)
    monkeypatch.setattr("crm.core.text.upper.FEWEST_ROWS", 50)
    monkeypatch.setattr(f"crm.core.text.{'roster' if name == 'AFFORDABLE_SECONDS' else 'classifier'}.{name}", value)

    model = TextClassifier(finetune="auto").fit(*toy())

    assert "upper layers" not in model.candidates_
    assert any("upper layers" in note for note in model.notes_) == (name == "AFFORDABLE_SECONDS")


def test_training_that_takes_too_long_is_given_up_and_said(monkeypatch):
    monkeypatch.setattr("crm.core.text.classifier.FEWEST_TO_JOIN", 50)
    monkeypatch.setattr("crm.core.text.upper.FEWEST_ROWS", 50)
    monkeypatch.setattr("crm.core.text.upper.seconds_needed", lambda _texts, _layers: 0.0)
    monkeypatch.setattr("crm.core.text.roster.MOST_SECONDS", 1e-9)

    model = TextClassifier(finetune="auto").fit(*toy())

    assert any("given up" in note for note in model.notes_)
    assert model.predict(["where is my parcel"]).labels.tolist() == ["status"]


def test_training_that_runs_out_of_time_keeps_what_it_learned_and_says_so(fitted, monkeypatch):
    seconds = iter(range(10_000))
    monkeypatch.setattr("crm.core.text.upper.time.monotonic", lambda: float(next(seconds)))
    texts = [f"where is parcel {number}" if number % 2 else f"refund my money {number}" for number in range(64)]
    codes = np.arange(64) % 2
    material = fitted._material(texts, fitted.ngrams_.transform(texts), layers=3)
    judged = np.arange(64) >= 48
    # Two batches a pass; the clock ticks with every look at it, once a batch.
    member = UpperLayersMember(epochs=8, seconds=9.0)

    scores = member.fit(material, codes, 2, judged)

    assert "of 8 passes" in member.fell_back_
    assert (scores[judged].argmax(1) == codes[judged]).mean() > 0.9
