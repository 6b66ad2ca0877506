"""Fine-tuning on a tiny transformer drawn at random: it learns, goes on where it stopped, and is no pickle."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from crm.core.text import checkpoint
from crm.core.text.classifier import TextClassifier
from crm.core.text.finetune import FinetuneCancelled, FinetuneUnfit, Recipe, finetune
from crm.core.text.finetuned import FinetunedMember, measured

GOOD = ["lovely cup", "great lamp", "excellent tea", "happy with it", "works well"]
BAD = ["broken cup", "awful lamp", "terrible tea", "waste of money", "does not work"]
TEXTS, LABELS = (GOOD + BAD) * 4, (["good"] * 5 + ["bad"] * 5) * 4
RECIPE = Recipe(epochs=10, batch=8, rate=5e-3, longest=16, every=10)


@pytest.fixture(autouse=True)
def one_thread(settings: Any) -> None:
    """Threads that wait for one another are slower than none in a model this small."""
    settings.CRM_FINETUNE_THREADS = 1


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A transformer of one layer with the words of the examples as its vocabulary."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("tiny")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted({word for text in TEXTS for word in text.split()})]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, max_position_embeddings=32)
    BertModel(config).save_pretrained(folder)
    return str(folder)


def weights(folder: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(folder / "model.safetensors")


def test_it_learns_and_others_can_read_the_folder(tiny: str, tmp_path: Path) -> None:
    seen: list[int] = []

    found = finetune(texts=TEXTS, labels=LABELS, out=tmp_path, base=tiny, recipe=RECIPE, progress=lambda step, steps, loss: seen.append(step))

    assert (found.labels, found.steps, found.fell_back) == (("bad", "good"), 50, "")
    assert seen == list(range(1, 51))
    assert measured(tmp_path, TEXTS, LABELS)["accuracy"] > 0.9
    assert not list(tmp_path.rglob("*.bin")) + list(tmp_path.rglob("*.pt"))
    assert not (tmp_path / "checkpoint").exists()


def test_a_cancelled_run_goes_on_to_the_weights_of_an_unbroken_one(tiny: str, tmp_path: Path) -> None:
    steps: list[int] = []
    finetune(texts=TEXTS, labels=LABELS, out=tmp_path / "whole", base=tiny, recipe=RECIPE)
    with pytest.raises(FinetuneCancelled):
        finetune(
            texts=TEXTS,
            labels=LABELS,
            out=tmp_path / "broken",
            base=tiny,
            recipe=RECIPE,
            cancelled=lambda: len(steps) >= 17,
            progress=lambda step, _steps, _loss: steps.append(step),
        )

    assert sorted(path.name for path in (tmp_path / "broken" / "checkpoint").iterdir()) == ["model.safetensors", "optimizer.safetensors", "state.json"]
    finetune(texts=TEXTS, labels=LABELS, out=tmp_path / "broken", base=tiny, recipe=RECIPE, progress=lambda step, _steps, _loss: steps.append(step))

    assert steps == list(range(1, 51))
    whole, broken = weights(tmp_path / "whole"), weights(tmp_path / "broken")
    assert all(np.allclose(whole[name], broken[name], atol=1e-6) for name in whole)


def test_a_checkpoint_of_other_rows_or_a_damaged_one_is_passed_over(tiny: str, tmp_path: Path) -> None:
    with pytest.raises(FinetuneCancelled):
        finetune(texts=TEXTS, labels=LABELS, out=tmp_path, base=tiny, recipe=RECIPE, cancelled=lambda: True)
    first: list[int] = []
    (tmp_path / "checkpoint" / checkpoint.OPTIMIZER).write_bytes(b"damaged")

    finetune(texts=TEXTS[:16], labels=LABELS[:16], out=tmp_path, base=tiny, recipe=RECIPE, progress=lambda step, _steps, _loss: first.append(step))

    assert first[0] == 1


def test_a_base_that_is_not_there_gives_way_to_the_packaged_one(tmp_path: Path) -> None:
    found = finetune(texts=TEXTS[:10], labels=LABELS[:10], out=tmp_path, base="/nowhere/model", recipe=Recipe(epochs=1, batch=10, longest=8))

    assert "/nowhere/model" in found.fell_back
    assert found.base == "all-MiniLM-L6-v2"


def test_one_class_is_no_task(tiny: str, tmp_path: Path) -> None:
    with pytest.raises(FinetuneUnfit):
        finetune(texts=GOOD, labels=["good"] * 5, out=tmp_path, base=tiny)


def test_member_judges_only_what_it_has_not_seen_and_survives_saving(tiny: str) -> None:
    texts = [f"{text} {number}" for number in range(20) for text in GOOD + BAD]
    labels = (["good"] * 5 + ["bad"] * 5) * 20
    model = TextClassifier(finetune=True, base=tiny).fit(texts, labels)
    member = next(each for each in model.members_ if isinstance(each, FinetunedMember))

    again = TextClassifier.from_tensors(*model.to_tensors())

    assert 0 < len(model.kept_rows_) < len(texts) / 5
    assert "finetuned" in model.candidates_
    assert member.fell_back_ == ""
    probes = ["lovely tea", "broken lamp"]
    assert model.predict(probes).labels.tolist() == ["good", "bad"]
    # Half precision on disk.
    assert again.predict(probes).probabilities == pytest.approx(model.predict(probes).probabilities, abs=5e-3)


def test_the_command_trains_measures_and_refuses_what_is_no_file(tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("text,label\n" + "\n".join(f"{text},{label}" for text, label in zip(TEXTS, LABELS, strict=True)))

    call_command("finetune", "--train", str(rows), "--test", str(rows), "--out", str(tmp_path / "out"), "--base", tiny, "--epochs", "2", "--longest", "16")

    assert "2 classes" in capsys.readouterr().out
    with pytest.raises(CommandError, match=r"missing\.csv"):
        call_command("finetune", "--train", str(tmp_path / "missing.csv"), "--out", str(tmp_path / "out"))
