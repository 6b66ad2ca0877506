"""The one door to the text encoder: texts in, unit vectors out.

By default the packaged all-MiniLM-L6-v2 (Reimers & Gurevych 2019) serves, offline and with its file's hash checked
once.  CRM_ENCODER names another model; nothing else changes.  Models trained on one encoder's vectors store
`encoder_info().fingerprint` and refuse another's.

torch and transformers are imported on first use, so that `manage.py check` stays quick.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from crm.core.text import weights
from crm.core.text.gloss import has_han
from crm.core.text.passes import Encoder, EncoderInfo
from crm.core.text.weights import PACKAGE_NAME, EncoderCorrupt, EncoderMissing, packaged_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from crm.core.text.passes import States, Vectors

__all__ = ["PACKAGE_NAME", "EncoderCorrupt", "EncoderInfo", "EncoderMissing", "packaged_folder"]


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


@dataclass(frozen=True, slots=True)
class Reading:
    """What one pass of the encoder says of n texts.

    vectors: as `encode`.  known: as `encode_with_knowledge`.  middle: (n, dimension), mean token states two thirds up:
    what a text is about stands in its vector, its tone is better read before the last layers turn the states into one
    (sentiment of "cr" by five folds: 80.7% from the vectors, 84.6% from these).  states: per text its token states
    (tokens, dimension) after the layer asked for, float16, none for a text left out; empty if no layer was asked for.
    """

    vectors: Vectors
    known: NDArray[np.float32]
    middle: Vectors
    states: States


def read(texts: Sequence[str], *, skip_glossed: bool = False, states_at: int | None = None) -> Reading:
    """Return all that one pass says of the texts; raises EncoderMissing or EncoderCorrupt.

    skip_glossed: leave out texts it would read through a gloss only; their rows and what it knows of them are 0.
    states_at: the layer after which token states are wanted, counted from 1; 0 = the embeddings.
    """
    loaded = _loaded()
    if not (skip_glossed and loaded.glosses):
        vectors, known, middle, states = loaded.encode_all(texts, states_at=states_at)
        return Reading(vectors=vectors, known=known, middle=middle, states=states)
    chosen = [row for row, text in enumerate(texts) if not has_han(text)]
    empty = Reading(
        vectors=np.zeros((len(texts), loaded.info.dimension), dtype=np.float32),
        known=np.zeros(len(texts), dtype=np.float32),
        middle=np.zeros((len(texts), loaded.info.dimension), dtype=np.float32),
        states=[np.zeros((0, loaded.info.dimension), dtype=np.float16)] * (0 if states_at is None else len(texts)),
    )
    if chosen:
        empty.vectors[chosen], empty.known[chosen], empty.middle[chosen], states = loaded.encode_all([texts[row] for row in chosen], states_at=states_at)
        for row, each in zip(chosen, states, strict=False):
            empty.states[row] = each
    return empty


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
_encoder: Encoder | None = None


def _loaded() -> Encoder:
    global _encoder
    if _encoder is None:
        with _lock:
            if _encoder is None:
                _encoder = weights.load()
    return _encoder
