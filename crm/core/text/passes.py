"""Forward passes of the text encoder: batches of like length, a cache by text, glosses where it cannot read.

One object per process, made by weights.py and reached through encoder.py; safe for several threads.
"""

from __future__ import annotations

import hashlib
import threading
import unicodedata
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from crm.core.text.gloss import GLOSSARY, gloss, has_han

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    States = list[NDArray[np.float16]]

# Characters given to the tokenizer: more than any encoder here reads tokens of any language.
MOST_CHARACTERS = 8_000
# Characters any encoder that reads Chinese has tokens for; one that lacks more than half of them gets glosses instead.
CHINESE_PROBE = "请问我的包裹什么时候发货能退款吗质量很好"
# A gloss of full coverage counts as a text this share of whose characters are known: word order and grammar are lost.
# Leave-one-out on the shipped Chinese intents is flat between 0.65 and 0.8.
GLOSS_KNOWLEDGE = 0.75
# Tokens of a text whose states are handed out.
LONGEST_STATES = 96


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


class Encoder:
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
            self.info = replace(info, fingerprint=f"{info.fingerprint}+{hashlib.sha256(GLOSSARY.read_bytes()).hexdigest()[:16]}")
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
        vectors, known, _, _ = self.encode_all(texts)
        return vectors, known

    def encode_all(self, texts: Sequence[str], *, states_at: int | None = None) -> tuple[Vectors, NDArray[np.float32], Vectors, States]:
        """Return vectors, known shares, mean middle states, and each text's token states after layer `states_at`, 0 = the embeddings.

        States are (tokens, dimension), at most LONGEST_STATES tokens; none where no layer is named. They are not
        remembered: a text whose states are wanted is always read anew.
        """
        # More columns than the dimension: the share of known characters and the middle states travel with the vector.
        vectors = np.empty((len(texts), 2 * self.info.dimension + 1), dtype=np.float32)
        states: States = [np.zeros((0, self.info.dimension), dtype=np.float16)] * (0 if states_at is None else len(texts))
        cleaned = [unicodedata.normalize("NFKC", text[:MOST_CHARACTERS].encode("utf-8", "replace").decode()).strip() for text in texts]
        keys = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in cleaned]
        waiting: dict[bytes, list[int]] = {}
        with self._cache_lock:
            for row, key in enumerate(keys):
                known = self._cache.get(key) if states_at is None else None
                if known is None:
                    waiting.setdefault(key, []).append(row)
                else:
                    self._cache.move_to_end(key)
                    vectors[row] = known
        # Similar lengths share a batch: padding is work. Longest first, so that memory peaks at once and not late.
        order = sorted(waiting, key=lambda key: len(cleaned[waiting[key][0]]), reverse=True)
        for begin in range(0, len(order), self._batch):
            part = order[begin : begin + self._batch]
            fresh, seen = self._forward([cleaned[waiting[key][0]] for key in part], states_at)
            for place, key in enumerate(part):
                vectors[waiting[key]] = fresh[place]
                for row in waiting[key] if seen else ():
                    states[row] = seen[place]
            with self._cache_lock:
                self._cache.update(zip(part, fresh, strict=True))
                while len(self._cache) > self._remember:
                    self._cache.popitem(last=False)
        dimension = self.info.dimension
        return vectors[:, :dimension], vectors[:, dimension], vectors[:, dimension + 1 :], states

    def _forward(self, texts: list[str], states_at: int | None) -> tuple[Vectors, States]:
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
            lower = [] if states_at is None else [each[: int(length)].half().numpy() for each, length in zip(layers[states_at], mask.sum(1), strict=True)]
        for row, (_, covered) in glossed.items():
            known[row] *= GLOSS_KNOWLEDGE * covered
        return np.column_stack([vectors, known, middle.numpy()]).astype(np.float32), [each[:LONGEST_STATES].copy() for each in lower]
