import numpy as np
import pytest

from crm.core.learning.evaluation import accuracy, auroc, calibration_error
from crm.core.text import encoder
from crm.core.text.classifier import EncoderChanged, TextClassifier, TooFewExamples
from crm.core.text.scope import EXPECTED_OUT_OF_SCOPE, FEWEST_EXPECTED, MOST_EXPECTED, expected_share
from tests import public_data


def toy() -> tuple[list[str], list[str], list[str]]:
    """Four intents in two languages from a few openings and objects, and chatter that fits none."""
    objects = ["parcel", "order", "lamp", "shoes", "tea pot", "blue coat"]
    things = ["包裹", "订单", "台灯", "鞋子", "茶壶", "外套"]
    patterns = {
        "status": (["where is my {}", "has the {} been sent yet", "track my {} please"], ["我的{}到哪里了", "{}发货了吗"]),
        "return": (["I want to send the {} back", "how do I return the {}", "take back this {}"], ["我想退{}", "{}怎么退货"]),
        "invoice": (["I need an invoice for the {}", "send me the receipt of my {}", "tax bill for the {}"], ["{}可以开发票吗", "请给{}开发票"]),
        "broken": (["the {} arrived broken", "my {} is damaged", "the {} came in pieces"], ["收到的{}是坏的", "{}破损了"]),
    }
    texts, labels = [], []
    for label, (english, chinese) in patterns.items():
        for pattern, words in [*((p, objects) for p in english), *((p, things) for p in chinese)]:
            texts += [pattern.format(word) for word in words]
            labels += [label] * len(words)
    outside = ["what is the capital of France", "tell me a joke", "who won the match", "今天天气怎么样", "你会唱歌吗", "are you hiring"]
    outside += ["sing a song", "what is two plus two", "推荐一部电影", "how old are you", "is it raining", "明天会下雨吗"]
    return texts, labels, outside


@pytest.fixture(scope="module")
def fitted() -> TextClassifier:
    texts, labels, outside = toy()
    return TextClassifier(seed=0).fit(texts, labels, outside)


def test_new_wordings_are_understood_in_both_languages(fitted):
    found = fitted.predict(["has my parcel been shipped?", "请问我的包裹到了吗", "could I have a receipt please", "能开发票吗", "these shoes are broken"])

    assert found.labels.tolist() == ["status", "status", "invoice", "invoice", "broken"]
    assert found.in_scope.all()
    assert found.probabilities.sum(1) == pytest.approx(1)
    assert (found.confidence == found.probabilities.max(1)).all()


def test_chatter_is_refused(fitted):
    found = fitted.predict(["what is the capital of Spain", "tell me a funny joke"])

    assert not found.in_scope.any()


def test_out_of_sample_judgement_equals_refitting_without_the_row():
    texts, labels, outside = toy()
    whole = TextClassifier(seed=0, use_encoder=False).fit(texts, labels, outside)
    everything = [*texts, *outside]
    features = whole._material(everything, whole.ngrams_.transform(everything)).features
    codes = np.append(np.searchsorted(whole.classes_, labels), np.full(len(outside), 4))
    for row in (0, 50, len(texts) + 3):
        kept = np.delete(np.arange(len(codes)), row)
        head = type(whole.head_)()
        head.fit(features.rows(kept), codes[kept], 5)
        scores = type(whole.head_)().fit(features, codes, 5)[row]

        assert head.scores(features.rows([row]))[0][0] == pytest.approx(scores, abs=2e-3)


def test_same_texts_and_seed_give_the_same_model(fitted):
    texts, labels, outside = toy()
    again = TextClassifier(seed=0).fit(texts, labels, outside)

    # To the last bits only on an idle machine: the encoder's kernels add up in another order when threads are short.
    for (name, first), second in zip(fitted.to_tensors()[0].items(), again.to_tensors()[0].values(), strict=True):
        assert np.allclose(first, second, rtol=1e-3, atol=1e-4), name
    probes = ["where is it", "退货", "quantum chromodynamics"]
    assert fitted.predict(probes).labels.tolist() == again.predict(probes).labels.tolist()
    assert fitted.predict(probes).probabilities == pytest.approx(again.predict(probes).probabilities, abs=1e-3)


def test_saved_model_predicts_the_same(fitted):
    probes = ["where is it", "退货", "", "quantum chromodynamics"]
    again = TextClassifier.from_tensors(*fitted.to_tensors())

    first, second = fitted.predict(probes), again.predict(probes)

    assert np.array_equal(first.probabilities, second.probabilities)
    assert np.array_equal(first.scope_score, second.scope_score)
    assert np.array_equal(first.in_scope, second.in_scope)
    assert np.array_equal(first.nearest, second.nearest)


def test_other_format_is_refused(fitted):
    tensors, config = fitted.to_tensors()

    with pytest.raises(ValueError, match="format"):
        TextClassifier.from_tensors(tensors, config | {"format": 99})


def test_gate_of_other_signals_is_refused(fitted):
    tensors, config = fitted.to_tensors()

    with pytest.raises(ValueError, match="signals"):
        TextClassifier.from_tensors(tensors, config | {"gate_sees_all": not config["gate_sees_all"]})


def test_model_of_another_encoder_is_refused(fitted):
    tensors, config = fitted.to_tensors()

    with pytest.raises(EncoderChanged):
        TextClassifier.from_tensors(tensors, config | {"encoder": "0" * 64}).predict(["where is my parcel"])


def test_without_an_encoder_n_grams_alone_serve_and_it_says_so(settings):
    encoder.forget()
    settings.CRM_ENCODER = "/nowhere/at/all"
    try:
        texts, labels, outside = toy()
        model = TextClassifier().fit(texts, labels, outside)

        assert not model.uses_encoder_
        assert model.predict(["track my order please", "订单怎么退货"]).labels.tolist() == ["status", "return"]
    finally:
        encoder.forget()


def test_reasons_add_up_and_are_the_same_twice(fitted):
    first, second = fitted.explain("where is my damaged parcel"), fitted.explain("where is my damaged parcel")

    assert first == second
    assert first.base + sum(word.weight for word in first.words) == pytest.approx(first.score, abs=1e-6)
    assert {word.word for word in first.words} == {"where", "is", "my", "damaged", "parcel"}
    assert all("where is my damaged parcel"[word.start : word.end] == word.word for word in first.words)


def test_removing_the_strongest_reason_lowers_the_confidence_most(fitted):
    texts, _, _ = toy()
    lowered = 0
    for text in texts[::6]:
        explanation = fitted.explain(text)
        strongest = explanation.words[0]
        rest = text[: strongest.start] + " " + text[strongest.end :]
        before = fitted.predict([text])
        after = fitted.predict([rest]).probabilities[0, before.classes.index(explanation.label)]
        lowered += after <= before.confidence[0] + 1e-9

    assert lowered / len(texts[::6]) >= 0.95


def test_large_sets_take_the_linear_head_and_keep_its_promises():
    texts, labels, outside = toy()
    model = TextClassifier(use_encoder=False, exemplar_limit=50).fit(texts, labels, outside)

    again = TextClassifier.from_tensors(*model.to_tensors())
    probes = ["where is my parcel", "发票", "tell me a joke"]

    assert model.head_.kind == "linear"
    assert accuracy(model.out_of_sample_.codes, model.out_of_sample_.predicted) > 0.9
    assert np.array_equal(model.predict(probes).probabilities, again.predict(probes).probabilities)
    assert model.predict(["return my parcel"]).nearest.tolist() == [-1]


def test_gate_without_examples_comes_from_classes_left_out():
    texts, labels, outside = toy()
    model = TextClassifier().fit(texts, labels)

    judged = model.predict([*texts[::5], *outside])

    fits = np.append(np.ones(len(texts[::5])), np.zeros(len(outside)))
    assert auroc(fits, judged.scope_score) > 0.95


def test_two_classes_have_no_gate():
    model = TextClassifier(use_encoder=False).fit(["good", "very good", "bad", "very bad"] * 3, ["p", "p", "n", "n"] * 3)

    assert model.gate_ is None
    assert model.predict(["anything"]).in_scope.all()


@pytest.mark.parametrize(("few", "glosses"), [(3, True), (8, False)])
def test_many_texts_do_without_glosses_only_where_classes_are_few(few, glosses, monkeypatch):
    monkeypatch.setattr("crm.core.text.classifier.MANY_TEXTS", 50)
    monkeypatch.setattr("crm.core.text.classifier.FEW_CLASSES", few)
    model = TextClassifier().fit(*toy())

    chinese = model._material(["我的包裹到哪里了"], model.ngrams_.transform(["我的包裹到哪里了"]))

    assert bool(chinese.features.weight[0] > 0) == glosses
    assert model.predict(["我的包裹到哪里了"]).labels.tolist() == ["status"]


def test_repeats_count_once():
    texts, labels, _ = toy()
    once = TextClassifier(use_encoder=False).fit(texts, labels)
    twice = TextClassifier(use_encoder=False).fit(texts + [text.upper() for text in texts], labels * 2)

    assert len(twice.out_of_sample_.codes) == len(once.out_of_sample_.codes)
    assert twice.kept_rows_ == list(range(len(texts)))


@pytest.mark.parametrize(("texts", "labels"), [([], []), (["a", "b"], ["x", "x"])])
def test_nothing_to_learn_is_said(texts, labels):
    with pytest.raises(TooFewExamples):
        TextClassifier(use_encoder=False).fit(texts, labels)


def test_no_texts_give_no_predictions(fitted):
    assert len(fitted.predict([])) == 0


@pytest.mark.data
@pytest.mark.slow
def test_figures_on_banking77_ten_examples(capsys):
    found = public_data.rows("banking77", "fewshot_train_10.csv")
    valid = public_data.rows("banking77", "fewshot_valid.csv")
    label = next(name for name in found[0] if name != "text")
    model = TextClassifier().fit([row["text"] for row in found], [row[label] for row in found])

    judged = model.predict([row["text"] for row in valid])

    right = judged.labels == np.array([row[label] for row in valid])
    public_data.show(
        capsys, f"banking77, 10 examples a class: accuracy {right.mean():.4f}, calibration error {calibration_error(right, judged.confidence):.4f}"
    )
    assert right.mean() > 0.82


@pytest.mark.parametrize(
    ("inside", "outside", "share"), [(900, 100, 0.1), (15_000, 100, FEWEST_EXPECTED), (100, 300, MOST_EXPECTED), (500, 0, EXPECTED_OUT_OF_SCOPE)]
)
def test_examples_tell_how_much_will_be_out_of_scope_as_far_as_that_is_believable(inside, outside, share):
    assert expected_share(inside, outside) == share


@pytest.mark.data
@pytest.mark.slow
@public_data.minutes_long
def test_figures_on_clinc150(capsys):
    """Forty examples a class of the hundred, so that the figure takes a minute; tuned on none of the validation rows."""
    generator = np.random.default_rng(0)
    found = public_data.rows("clinc150", "train.csv")
    names = np.array([row["intent"] for row in found])
    chosen = np.concatenate([generator.permutation(np.flatnonzero(names == name))[:40] for name in np.unique(names)])
    outside = [row["text"] for row in public_data.rows("clinc150", "oos_train.csv")]
    valid, strange = public_data.rows("clinc150", "val.csv"), public_data.rows("clinc150", "oos_val.csv")
    model = TextClassifier().fit([found[row]["text"] for row in chosen], names[chosen].tolist(), outside)

    known = model.predict([row["text"] for row in valid])
    unknown = model.predict([row["text"] for row in strange])

    right = (known.labels == np.array([row["intent"] for row in valid])) & known.in_scope
    area = auroc(np.append(np.ones(len(valid)), np.zeros(len(strange))), np.append(known.scope_score, unknown.scope_score))
    public_data.show(
        capsys, f"clinc150, 40 a class: in-scope accuracy {right.mean():.4f}, out-of-scope recall {1 - unknown.in_scope.mean():.4f}, AUROC {area:.4f}"
    )
    assert model.expected_out_of_scope == FEWEST_EXPECTED
    assert right.mean() > 0.90
    assert area > 0.97


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("shop", ["curekart", "sofmattress"])
def test_figures_on_real_shop_chats(shop, capsys):
    found = public_data.rows("hint3", f"{shop}_train.csv")
    strange = [row["text"] for row in public_data.rows("clinc150", "oos_val.csv")]
    model = TextClassifier().fit([row["sentence"] for row in found], [row["label"] for row in found])

    seen = model.out_of_sample_
    unknown = model.predict(strange)

    area = auroc(np.append(np.ones(len(seen.codes)), np.zeros(len(strange))), np.append(seen.scope_score, unknown.scope_score))
    public_data.show(capsys, f"hint3 {shop}, leave-one-out: accuracy {accuracy(seen.codes, seen.predicted):.4f}, AUROC against CLINC's out of scope {area:.4f}")
    assert accuracy(seen.codes, seen.predicted) > 0.88
