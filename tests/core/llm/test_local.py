"""The local backend on a tiny model with random weights: it loads, keeps to its budget, and nonsense is replaced."""

from pathlib import Path

import pytest

from crm.core.llm import client
from crm.core.llm.backends import Budget, GeneratorUnavailable, Prompt
from crm.core.llm.backends.local import LocalBackend
from crm.core.llm.schemas import Field, Schema

SCHEMA = Schema("note", (Field("title", "One line", 20),))


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 with two layers of width 16 and a tokenizer of single bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast, set_seed

    folder = tmp_path_factory.mktemp("tiny")
    letters = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=letters | {"<end>": len(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>").save_pretrained(folder)
    set_seed(0)
    config = GPT2Config(vocab_size=len(letters) + 1, n_positions=128, n_embd=16, n_layer=2, n_head=2, bos_token_id=len(letters), eos_token_id=len(letters))
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def test_it_answers_within_its_budget(model_folder: Path) -> None:
    answer = LocalBackend(str(model_folder)).answer(Prompt("Write.", "好" * 500), schema=SCHEMA, budget=Budget(seconds=20, tokens=12))

    assert answer.model == model_folder.name
    assert 0 < answer.tokens <= 12


def test_nonsense_is_replaced_by_the_composer(model_folder: Path) -> None:
    written = client.generate(
        prompt="campaigns/email_copy",
        facts={},
        schema=SCHEMA,
        compose=lambda: {"title": "Composed"},
        backend=LocalBackend(str(model_folder)),
        budget=Budget(seconds=20, tokens=8),
    )

    assert (written.text("title"), written.is_composed) == ("Composed", True)
    assert written.note


def test_a_missing_folder_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(GeneratorUnavailable):
        LocalBackend(str(tmp_path / "none")).answer(Prompt("s", "u"), schema=SCHEMA, budget=Budget(seconds=1, tokens=1))
