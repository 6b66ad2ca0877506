"""Further classifiers that join the head: each sees the same texts another way and gives scores of rows it has not seen.

A member has `fit(material, codes, classes, held_out) -> scores` (n, classes), NaN where a row was learned from and not
judged, `scores(material)`, and `to_tensors`, `to_config`, `from_tensors`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy import sparse

from crm.core.learning.evaluation import stratified_folds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from crm.core.text.heads import TextFeatures

    Floats = NDArray[np.float32]
    Codes = NDArray[np.int64]

FOLDS = 4


@dataclass(frozen=True, slots=True)
class Material:
    """texts: as given.  features: see TextFeatures.  middle: (n, d) states two thirds up the encoder, None without one.

    words_from: the first n-gram column that stands for words; those before it stand for characters.
    states: per text its token states (t, d), which the uppermost `layers` layers of upper.py go on from; empty where nothing
    needs them.
    """

    texts: Sequence[str]
    features: TextFeatures
    middle: Floats | None
    words_from: int
    states: Sequence[NDArray[np.float16]] = ()
    layers: int = 0

    def rows(self, index: slice) -> Material:
        middle = None if self.middle is None else self.middle[index]
        return replace(self, texts=self.texts[index], features=self.features.rows(index), middle=middle, states=self.states[index])

    @property
    def read(self) -> NDArray[np.bool_]:
        """Whether the encoder reads a text itself: its vector then counts for more than half of what it may."""
        known: NDArray[np.bool_] = self.features.weight > 0.5
        return known


class NgramMember:
    """Linear support vectors on n-grams: words alone where classes are many, everything where they are few.

    Of two classes the n-grams are also weighed by how they part them, the log-count ratio of Wang & Manning (2012,
    "NB-SVM"); the scores of both views are added.

    After `fit`: `coefficients_` float32 (views, k, c), `intercept_` (k,), `ratio_` (c,) or empty.
    """

    kind = "ngrams"
    needs_held_out = False

    def __init__(self, *, penalty: float = 0.3, words_only: bool = False, seed: int = 0) -> None:
        self.penalty = penalty
        self.words_only = words_only
        self.seed = seed

    def fit(self, material: Material, codes: Codes, classes: int, held_out: NDArray[np.bool_]) -> Floats:
        ngrams = self._seen(material)
        scores = np.full((len(codes), classes), np.nan, dtype=np.float32)
        fold = np.where(held_out, 0, 1) if held_out.any() else stratified_folds(codes, folds=FOLDS, seed=self.seed)
        for number in [0] if held_out.any() else range(FOLDS):
            judged = fold == number
            self._learn(ngrams[~judged], codes[~judged], classes)
            scores[judged] = self._scores(ngrams[judged])
        self._learn(ngrams, codes, classes)
        return scores

    def _learn(self, ngrams: sparse.csr_matrix, codes: Codes, classes: int) -> None:
        from sklearn.svm import LinearSVC

        taught = np.unique(codes)
        two = classes == 2 and len(taught) == 2
        self.ratio_ = _log_count_ratio(ngrams, codes) if two else np.zeros(0, dtype=np.float32)
        views = self._views(ngrams)
        self.coefficients_ = np.zeros((len(views), classes, ngrams.shape[1]), dtype=np.float32)
        # A class missing from this part is never predicted: its score lies below every support vector's.
        self.intercept_ = np.full(classes, 0.0 if two else -2.0, dtype=np.float32)
        if len(taught) < 2:
            # All texts of the other class were kept for judging: nothing can be told apart.
            self.intercept_[taught] = 0.0
            views = []
        for place, seen in enumerate(views):
            model = LinearSVC(C=self.penalty, random_state=self.seed, max_iter=2000).fit(seen, codes)
            slope, offset = model.coef_, model.intercept_
            if len(model.classes_) == 2:
                slope, offset = np.vstack([-slope[0], slope[0]]), np.array([-offset[0], offset[0]])
            self.coefficients_[place][model.classes_] = slope
            self.intercept_[model.classes_] = self.intercept_[model.classes_] + offset if two else offset
        self.coefficients_ = _by_ngram(self.coefficients_)

    def _seen(self, material: Material) -> sparse.csr_matrix:
        ngrams = material.features.ngrams
        return _unit(ngrams[:, material.words_from :]) if self.words_only else ngrams

    def _views(self, ngrams: sparse.csr_matrix) -> list[sparse.csr_matrix]:
        views = [ngrams]
        if len(self.ratio_):
            weighed = ngrams.copy()
            weighed.data = weighed.data * self.ratio_[weighed.indices]
            views.append(_unit(weighed))
        for view in views:
            # liblinear reads 32-bit indices only.
            view.indices, view.indptr = view.indices.astype(np.int32), view.indptr.astype(np.int32)
        return views

    def _scores(self, ngrams: sparse.csr_matrix) -> Floats:
        scores = np.tile(self.intercept_, (ngrams.shape[0], 1))
        for view, weights in zip(self._views(ngrams), self.coefficients_, strict=True):
            scores += view @ weights.T
        return scores

    def scores(self, material: Material) -> Floats:
        return self._scores(self._seen(material))

    def to_tensors(self) -> dict[str, NDArray[Any]]:
        return {"coefficients": self.coefficients_, "intercept": self.intercept_, "ratio": self.ratio_}

    def to_config(self) -> dict[str, Any]:
        return {"penalty": self.penalty, "words_only": self.words_only, "seed": self.seed}

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> Self:
        member = cls(penalty=float(config["penalty"]), words_only=bool(config["words_only"]), seed=int(config["seed"]))
        member.coefficients_, member.intercept_, member.ratio_ = (tensors[name] for name in ("coefficients", "intercept", "ratio"))
        member.coefficients_ = _by_ngram(member.coefficients_)
        return member


class ToneMember:
    """Logistic regression on the encoder's vector and its middle states, standardised: the tone of texts it reads.

    Texts the encoder cannot read score 0 everywhere.  After `fit`: `coefficients_` (k, 2d), `intercept_` (k,), `mean_`,
    `spread_` (2d,).
    """

    kind = "tone"
    needs_held_out = False

    def __init__(self, *, penalty: float = 0.002, seed: int = 0) -> None:
        self.penalty = penalty
        self.seed = seed

    def fit(self, material: Material, codes: Codes, classes: int, held_out: NDArray[np.bool_]) -> Floats:
        scores = np.full((len(codes), classes), np.nan, dtype=np.float32)
        read = material.read
        states = self._states(material)
        self.mean_, self.spread_ = states[read].mean(0), states[read].std(0) + 1e-3
        states = (states - self.mean_) / self.spread_
        if held_out.any():
            learned = self._learn(states[read & ~held_out], codes[read & ~held_out], classes)
            scores[held_out] = states[held_out] @ learned[0].T + learned[1]
        else:
            fold = stratified_folds(codes, folds=FOLDS, seed=self.seed)
            for number in range(FOLDS):
                kept = read & (fold != number)
                weights, intercept = self._learn(states[kept], codes[kept], classes)
                scores[fold == number] = states[fold == number] @ weights.T + intercept
        scores[~read & ~np.isnan(scores[:, 0])] = 0
        self.coefficients_, self.intercept_ = self._learn(states[read], codes[read], classes)
        return scores

    def _learn(self, states: Floats, codes: Codes, classes: int) -> tuple[Floats, Floats]:
        from sklearn.linear_model import LogisticRegression

        weights, intercept = np.zeros((classes, states.shape[1]), dtype=np.float32), np.zeros(classes, dtype=np.float32)
        if len(np.unique(codes)) < 2:
            return weights, intercept
        model = LogisticRegression(C=self.penalty, max_iter=150, tol=1e-3).fit(states, codes)
        if len(model.classes_) == 2:
            weights[model.classes_] = np.vstack([-model.coef_[0], model.coef_[0]]) / 2
            intercept[model.classes_] = [-model.intercept_[0] / 2, model.intercept_[0] / 2]
        else:
            intercept[:] = model.intercept_.min() - 2
            weights[model.classes_], intercept[model.classes_] = model.coef_, model.intercept_
        return weights, intercept

    def _states(self, material: Material) -> Floats:
        if material.features.vectors is None or material.middle is None:
            raise ValueError("the tone of texts is read from the encoder's states, and there are none")
        # A unit vector's parts are small beside the states'; the standardisation evens that out.
        return np.hstack([material.features.vectors, material.middle])

    def scores(self, material: Material) -> Floats:
        states = (self._states(material) - self.mean_) / self.spread_
        result = np.asarray(states @ self.coefficients_.T + self.intercept_, dtype=np.float32)
        result[~material.read] = 0
        return result

    def to_tensors(self) -> dict[str, NDArray[Any]]:
        return {"coefficients": self.coefficients_, "intercept": self.intercept_, "mean": self.mean_, "spread": self.spread_}

    def to_config(self) -> dict[str, Any]:
        return {"penalty": self.penalty, "seed": self.seed}

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> Self:
        member = cls(penalty=float(config["penalty"]), seed=int(config["seed"]))
        member.coefficients_, member.intercept_ = tensors["coefficients"], tensors["intercept"]
        member.mean_, member.spread_ = tensors["mean"], tensors["spread"]
        return member


def _log_count_ratio(ngrams: sparse.csr_matrix, codes: Codes) -> Floats:
    """Return per n-gram the log of how much commoner it is in class 1 than in class 0, one text added to each."""
    occurs = ngrams.copy()
    occurs.data = np.ones_like(occurs.data)
    for_it, against = (1 + np.asarray(occurs[codes == code].sum(0))[0] for code in (1, 0))
    ratio: Floats = np.log((for_it / for_it.sum()) / (against / against.sum())).astype(np.float32)
    return ratio


def _by_ngram(coefficients: Floats) -> Floats:
    """Return the same (views, k, c) with each n-gram's weights side by side in memory: a text's product copies the whole otherwise."""
    result: Floats = np.ascontiguousarray(coefficients.transpose(0, 2, 1)).transpose(0, 2, 1)
    return result


def _lengths(rows: sparse.csr_matrix) -> NDArray[np.float64]:
    result: NDArray[np.float64] = np.sqrt(np.asarray(rows.multiply(rows).sum(1), dtype=float)[:, 0])
    return result


def _unit(rows: sparse.csr_matrix) -> sparse.csr_matrix:
    lengths = _lengths(rows)
    result = rows.copy()
    result.data = (result.data / np.maximum(np.repeat(lengths, np.diff(rows.indptr)), 1e-9)).astype(np.float32)
    return result
