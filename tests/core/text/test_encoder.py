import shutil
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from crm.core.text import encoder
from crm.core.text.encoder import EncoderCorrupt, EncoderMissing
from crm.core.text.passes import GLOSS_KNOWLEDGE


@pytest.fixture
def _fresh():
    encoder.forget()
    yield
    encoder.forget()


def test_vectors_are_unit_and_know_meaning():
    vectors = encoder.encode(["where is my parcel", "has my package been shipped", "I love gardening"])

    assert vectors.shape == (3, 384)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2


def test_vector_does_not_depend_on_its_neighbours():
    texts = ["short", "a much longer text about returning two pairs of shoes that do not fit " * 3, "退货", "mid length text"]
    encoder.forget()
    together = encoder.encode(texts)
    encoder.forget()

    alone = np.vstack([encoder.encode([text]) for text in texts])

    assert np.abs(together - alone).max() < 1e-5


def test_repeats_and_order_are_kept():
    vectors = encoder.encode(["b", "a", "b", ""])

    assert np.array_equal(vectors[0], vectors[2])
    assert not np.array_equal(vectors[0], vectors[1])
    assert encoder.encode([]).shape == (0, 384)


def test_chinese_is_read_through_its_gloss_and_counts_for_less():
    vectors, known = encoder.encode_with_knowledge(["where is my parcel", "我的包裹到哪了", "我想开一张发票", "魑魅魍魉"])

    assert known[0] == 1
    assert 0.6 < known[1] <= GLOSS_KNOWLEDGE
    assert known[3] == 0
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3


def test_encoder_that_reads_chinese_gets_no_gloss():
    loaded = encoder._loaded()
    loaded.glosses = False
    try:
        _, known = encoder.encode_with_knowledge(["我的包裹到底在哪个城市里面呢"])
        # The packaged vocabulary knows few of these characters: without a gloss the text says little.
        assert known[0] < 0.7
    finally:
        loaded.glosses = True
        loaded._cache.clear()


@pytest.mark.usefixtures("_fresh")
def test_many_threads_load_one_encoder_and_agree():
    texts = [f"message number {number} about a parcel" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda text: encoder.encode([text])[0], texts))

    assert np.abs(np.vstack(results) - encoder.encode(texts)).max() < 1e-5


@pytest.mark.usefixtures("_fresh")
def test_absent_folder_is_missing(settings, tmp_path):
    settings.CRM_ENCODER = str(tmp_path / "nowhere")

    with pytest.raises(EncoderMissing):
        encoder.encode(["x"])
    assert not encoder.available()
    assert encoder.fingerprint() == ""


@pytest.mark.usefixtures("_fresh")
def test_unknown_hub_id_is_missing_without_asking_the_network(settings):
    settings.CRM_ENCODER, settings.CRM_ENCODER_SHA256 = "nobody/no-such-encoder", ""

    with pytest.raises(EncoderMissing, match="CRM_ENCODER"):
        encoder.encode(["x"])


@pytest.mark.usefixtures("_fresh")
def test_changed_weights_are_refused(settings, tmp_path):
    copy = tmp_path / "model"
    copy.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        shutil.copy(encoder.packaged_folder() / name, copy / name)
    weights = bytearray((encoder.packaged_folder() / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    settings.CRM_ENCODER = str(copy)

    with pytest.raises(EncoderCorrupt):
        encoder.encode(["x"])

    # Without a pin another model is another encoder: it serves, under its own fingerprint.
    settings.CRM_ENCODER_SHA256 = ""
    assert not encoder.encoder_info().fingerprint.startswith("53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db")
    assert not encoder.encoder_info().packaged


@pytest.mark.usefixtures("_fresh")
def test_damaged_file_is_corrupt(settings, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(encoder.packaged_folder(), copy, ignore=lambda _, names: [name for name in names if name == "model.safetensors"])
    (copy / "model.safetensors").write_bytes(b"not a tensor file")
    settings.CRM_ENCODER, settings.CRM_ENCODER_SHA256 = str(copy), ""

    with pytest.raises(EncoderCorrupt):
        encoder.encode(["x"])


def test_cache_is_bounded(settings):
    encoder.forget()
    settings.CRM_ENCODER_CACHE = 3
    try:
        for number in range(10):
            encoder.encode([f"text {number}"])
        assert len(encoder._loaded()._cache) == 3
    finally:
        encoder.forget()


def test_one_message_costs_little_more_than_a_bare_forward_pass():
    import torch

    encoder.encode(["warm up"])
    bare_model, tokenizer = encoder._loaded()._model, encoder._loaded()._tokenizer
    ours, bare = [], []
    for number in range(25):
        text = f"hello, I would like to know where my order number {number} is, it should have come two days ago"
        start = time.perf_counter()
        encoder.encode([text])
        ours.append(time.perf_counter() - start)
        tokens = tokenizer([text], return_tensors="pt")
        start = time.perf_counter()
        with torch.inference_mode():
            bare_model(**tokens)
        bare.append(time.perf_counter() - start)

    assert statistics.median(ours) <= 1.5 * statistics.median(bare)


def test_nothing_heavy_is_imported_with_the_door(child_environment):
    import subprocess
    import sys

    code = "import crm.core.text.encoder, sys; print('torch' in sys.modules, 'transformers' in sys.modules)"
    root = Path(__file__).resolve().parents[3]
    printed = subprocess.run([sys.executable, "-c", code], env=child_environment, cwd=root, capture_output=True, text=True, check=True).stdout

    assert printed.split() == ["False", "False"]
