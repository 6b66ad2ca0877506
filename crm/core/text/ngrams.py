"""Character and word n-grams as sparse features, for any language and without a stored vocabulary.

N-grams are hashed (Weinberger et al. 2009), weighted by 1 + log(count) and a learned inverse document frequency, and
each text's row has length 1.  Chinese needs no word segmenter: every Han character is a word of its own and the
character n-grams cover the rest.  Only columns seen in training are kept, so a model stays a few megabytes.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray
    from sklearn.feature_extraction.text import HashingVectorizer

# 2^18 columns per block: at 60,000 distinct n-grams one in nine shares its column, measured harmless (< 0.1 points).
BITS = 18
# Tens of thousands of reviews hold millions of n-grams; they get 2^21 columns.
MANY_TEXTS, MORE_BITS = 5_000, 21
_LINK = re.compile(r"https?://\S+|www\.\S+")
# Bounded: unbounded, a long text without blanks takes time by the square of its length.
_ADDRESS = re.compile(r"[^\s@]{1,80}@[^\s@]{1,200}\.[^\s@]{1,40}")
# Characters of a text that are read, the first and the last part where it is longer.
FIRST_READ, LAST_READ = 8_000, 2_000
_LONG_NUMBER = re.compile(r"\d{3,}")
_REPEATED = re.compile(r"(.)\1{3,}")
# A Han character, or a run of letters and digits of any other script; an apostrophe stays inside its word.
WORD = r"[\u3400-\u9fff\uf900-\ufaff]|[^\W\u3400-\u9fff\uf900-\ufaff]+(?:['’][^\W\d_]+)?"


def clean(text: str) -> str:
    """Return the text as the n-grams see it: one width, lower case, links, addresses and long numbers masked.

    An order number says nothing about the intent beyond being one; left in, its digits would be learned by heart.
    """
    if len(text) > FIRST_READ + LAST_READ:
        text = f"{text[:FIRST_READ]} {text[-LAST_READ:]}"
    # Half a surrogate pair, as a careless client may send, cannot be hashed as UTF-8.
    text = unicodedata.normalize("NFKC", text.encode("utf-8", "replace").decode()).lower()
    text = _LINK.sub(" ⟨link⟩ ", text)
    text = _ADDRESS.sub(" ⟨address⟩ ", text)
    text = _LONG_NUMBER.sub("000", text)
    return _REPEATED.sub(r"\1\1\1", text)


class NgramFeatures:
    """Learns which n-grams a set of texts uses and how rare each is.

    characters, words: shortest and longest n-gram of each kind.  fewest: texts an n-gram must occur in to be kept.
    bits: 2^bits hash columns per kind.
    After `fit`: `columns_` (kept hash columns, ascending int64) and `idf_` (their weights, float32).
    """

    def __init__(self, *, characters: tuple[int, int] = (1, 4), words: tuple[int, int] = (1, 2), fewest: int = 1, bits: int = BITS) -> None:
        # Here, not above: every process of the stack imports this module for `clean`, and scikit-learn takes a second.
        from sklearn.feature_extraction.text import HashingVectorizer

        self.characters = characters
        self.words = words
        self.fewest = fewest
        self.bits = bits
        self._blank = int(_columns_of([" "], bits)[0])
        common = {"n_features": 1 << bits, "alternate_sign": False, "norm": None, "dtype": np.float32, "lowercase": False}
        self._blocks = (
            HashingVectorizer(analyzer="char_wb", ngram_range=characters, **common),
            HashingVectorizer(analyzer="word", ngram_range=words, token_pattern=WORD, **common),
        )

    def fit(self, texts: Sequence[str]) -> Self:
        self.fit_transform(texts)
        return self

    def fit_transform(self, texts: Sequence[str]) -> sparse.csr_matrix:
        counts = self._hashed(texts)
        occurs = np.bincount(counts.indices, minlength=counts.shape[1])
        self.columns_ = np.flatnonzero(occurs >= max(self.fewest, 1)).astype(np.int64)
        self.idf_ = (np.log((1 + counts.shape[0]) / (1 + occurs[self.columns_])) + 1).astype(np.float32)
        self._remember()
        return self._weighted(counts)

    def transform(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """Return one row of length 1 per text, float32 (n, len(columns_)); a text with nothing known is all zero."""
        return self._weighted(self._hashed(texts))

    def coverage(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the share of each text's n-grams that occurred in training, (n,) in 0..1."""
        return self._covered(self._hashed(texts))

    def transform_with_coverage(self, texts: Sequence[str]) -> tuple[sparse.csr_matrix, NDArray[np.float32]]:
        """Return `transform` and `coverage` of the same texts from one pass of hashing."""
        counts = self._hashed(texts)
        return self._weighted(counts), self._covered(counts)

    @property
    def words_from(self) -> int:
        """Return the first column of `transform` that stands for words; those before it stand for characters."""
        return int(np.searchsorted(self.columns_, 1 << self.bits))

    def pieces(self, text: str) -> list[tuple[str, int]]:
        """Return the words and word pairs of the text with their column in `transform`, unknown ones left out."""
        return self._placed(self._blocks[1], text, offset=1 << self.bits)

    def character_pieces(self, text: str) -> list[tuple[str, int]]:
        """Return the character n-grams of the text with their column in `transform`, unknown ones left out."""
        return self._placed(self._blocks[0], text, offset=0)

    def _placed(self, block: HashingVectorizer, text: str, *, offset: int) -> list[tuple[str, int]]:
        grams = list(dict.fromkeys(block.build_analyzer()(clean(text))))
        if not grams:
            return []
        found = self._place[_columns_of(grams, self.bits) + offset]
        return [(gram, int(column)) for gram, column in zip(grams, found, strict=True) if column >= 0]

    def _hashed(self, texts: Iterable[str]) -> sparse.csr_matrix:
        cleaned = [clean(text) for text in texts]
        if not cleaned:
            return sparse.csr_matrix((0, 2 << self.bits), dtype=np.float32)
        hashed = sparse.hstack([block.transform(cleaned) for block in self._blocks], format="csr")
        # The lone blank at word edges is an n-gram of one character too, and says nothing.
        hashed.data[hashed.indices == self._blank] = 0
        hashed.eliminate_zeros()
        # Callers may pass texts without a single n-gram; hstack then widens the index type, and liblinear wants int32.
        hashed.indices, hashed.indptr = hashed.indices.astype(np.int32), hashed.indptr.astype(np.int32)
        return hashed

    def _weighted(self, counts: sparse.csr_matrix) -> sparse.csr_matrix:
        place = self._place[counts.indices]
        known = place >= 0
        rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))[known]
        values = (1 + np.log(counts.data[known])) * self.idf_[place[known]]
        length = np.sqrt(np.bincount(rows, weights=values.astype(np.float64) ** 2, minlength=counts.shape[0]))
        values = (values / np.maximum(length[rows], 1e-12)).astype(np.float32)
        starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=counts.shape[0]))]).astype(np.int32)
        return sparse.csr_matrix((values, place[known].astype(np.int32), starts), shape=(counts.shape[0], len(self.columns_)))

    def _covered(self, counts: sparse.csr_matrix) -> NDArray[np.float32]:
        rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
        known = np.bincount(rows, weights=self._place[counts.indices] >= 0, minlength=counts.shape[0])
        share: NDArray[np.float32] = (known / np.maximum(np.diff(counts.indptr), 1)).astype(np.float32)
        return share

    def _remember(self) -> None:
        self._place = np.full(2 << self.bits, -1, dtype=np.int32)
        self._place[self.columns_] = np.arange(len(self.columns_), dtype=np.int32)

    def to_tensors(self) -> dict[str, NDArray[Any]]:
        return {"columns": self.columns_, "idf": self.idf_}

    def to_config(self) -> dict[str, Any]:
        return {"characters": list(self.characters), "words": list(self.words), "fewest": self.fewest, "bits": self.bits}

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> Self:
        (shortest, longest), (fewest_words, most_words) = config["characters"], config["words"]
        features = cls(characters=(shortest, longest), words=(fewest_words, most_words), fewest=int(config["fewest"]), bits=int(config["bits"]))
        features.columns_ = np.asarray(tensors["columns"], dtype=np.int64)
        features.idf_ = np.asarray(tensors["idf"], dtype=np.float32)
        features._remember()
        return features


def _columns_of(grams: Sequence[str], bits: int) -> NDArray[np.int32]:
    """Return the hash column of each n-gram: a vectorizer whose analyzer returns its input unchanged hashes just that."""
    from sklearn.feature_extraction.text import HashingVectorizer

    plain = HashingVectorizer(n_features=1 << bits, alternate_sign=False, norm=None, analyzer=_itself)
    columns: NDArray[np.int32] = plain.transform([[gram] for gram in grams]).indices
    return columns


def _itself(value: list[str]) -> list[str]:
    return value
