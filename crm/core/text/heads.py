"""Two classifiers over the same text features, each giving honest out-of-sample scores of its own training rows.

`ExemplarHead`: least squares on a kernel (Suykens & Vandewalle 1999) that joins encoder similarity with shared n-grams.
Its leave-one-out scores are exact and free, and it is the more accurate one; cost grows with the cube of the rows.
`LinearHead`: one-against-rest linear support vectors (Fan et al. 2008) for more rows than that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy import sparse
from scipy.linalg import cho_solve, cholesky
from scipy.linalg.lapack import strtri

from crm.core.learning.evaluation import stratified_folds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Codes = NDArray[np.int64]

# Rows of a kernel computed at a time: 512 x 16,000 float32 are 32 MB.
BLOCK = 512
# Widths of the kernel, and rows up to which both are tried. On hwu64's validation part 4 gives 93.1%, 2 gives 92.7%.
WIDTHS, SWEEP_UP_TO = (2.0, 4.0), 5_000


@dataclass(frozen=True, slots=True)
class TextFeatures:
    """What is known of n texts.  vectors: (n, d) unit rows, or None without an encoder.  weight: (n,) the vector's part
    in 0..1, the n-grams having the rest.  ngrams: (n, c) rows of length 1.
    """

    vectors: Floats | None
    weight: Floats
    ngrams: sparse.csr_matrix

    def __len__(self) -> int:
        return int(self.ngrams.shape[0])

    def rows(self, index: Any) -> TextFeatures:
        return TextFeatures(vectors=None if self.vectors is None else self.vectors[index], weight=self.weight[index], ngrams=self.ngrams[index])


class ExemplarHead:
    """Kernel ridge on signed targets; a text's kernel with each training text is what "resembles" means.

    kernel(x, y) = sqrt(w_x w_y) exp(width (cos - 1)) + sqrt((1 - w_x)(1 - w_y)) <ngrams_x, ngrams_y>, so kernel(x, x) = 1.
    width: of the similarity; None = the better of WIDTHS by leave-one-out up to SWEEP_UP_TO rows, the last one beyond.
    ridge: chosen by leave-one-out on banking77, hint3 and the shipped intents; see docs/algorithms/intents.md.

    After `fit`: `exemplars_` (the training features), `coefficients_` float32 (n, k).
    """

    kind = "exemplar"

    def __init__(self, *, width: float | None = None, ridge: float = 0.1) -> None:
        self.width: float = WIDTHS[-1] if width is None else width
        self._sweep = width is None
        self.ridge = ridge

    def fit(self, features: TextFeatures, codes: Codes, classes: int) -> Floats:
        """Learn, and return the exact leave-one-out scores of the training rows, float32 (n, classes)."""
        self.exemplars_ = features
        targets = _targets(codes, classes)
        tried = WIDTHS if self._sweep and features.vectors is not None and len(features) <= SWEEP_UP_TO else (self.width,)
        best = -1.0
        for width in tried:
            former, self.width = self.width, width
            kernel = self.kernel(features)
            nearest = _nearest_others(kernel)
            coefficients, scores = _solve(kernel, targets, self.ridge)
            right = float((scores.argmax(1) == codes).mean())
            if right > best:
                best, self.coefficients_, out_of_sample, self.nearest_of_exemplars_ = right, coefficients, scores, nearest
            else:
                self.width = former
        self._prepare()
        return out_of_sample

    def kernel(self, features: TextFeatures) -> Floats:
        """Return the kernel of each text with each exemplar, float32 (m, n)."""
        known = self.exemplars_
        result = np.empty((len(features), len(known)), dtype=np.float32)
        transposed = getattr(self, "_transposed", None)
        if transposed is None:
            transposed = known.ngrams.T.tocsr()
        for begin in range(0, len(features), BLOCK):
            part = features.rows(slice(begin, begin + BLOCK))
            block = (part.ngrams @ transposed).toarray()
            block *= np.sqrt(1 - part.weight)[:, None] * np.sqrt(1 - known.weight)[None, :]
            if known.vectors is not None and part.vectors is not None:
                near = part.vectors @ known.vectors.T
                np.subtract(near, 1, out=near)
                np.exp(np.multiply(near, self.width, out=near), out=near)
                near *= np.sqrt(part.weight)[:, None] * np.sqrt(known.weight)[None, :]
                block += near
            result[begin : begin + BLOCK] = block
        return result

    def scores(self, features: TextFeatures) -> tuple[Floats, Floats, Codes]:
        """Return scores (m, k), the kernel with the nearest exemplar (m,) and which one that is (m,)."""
        kernel = self.kernel(features)
        nearest = kernel.argmax(1)
        return kernel @ self.coefficients_, kernel[np.arange(len(kernel)), nearest], nearest

    def fit_without(self, kept: Codes, codes: Codes, classes: int, held_out: Codes) -> tuple[Floats, Floats]:
        """Return scores and nearest kernel of the held-out exemplars under a model of the kept ones only.

        codes: (len(kept),) the kept rows' codes.  Used to see how texts of a class never taught would look.
        """
        kernel = self.kernel(self.exemplars_.rows(np.concatenate([kept, held_out])))[:, kept]
        coefficients, _ = _solve(kernel[: len(kept)].copy(), _targets(codes, classes), self.ridge)
        outside = kernel[len(kept) :]
        return outside @ coefficients, outside.max(1)

    def _prepare(self) -> None:
        # Multiplying by a stored transpose takes a third of the time of transposing per message.
        self._transposed = self.exemplars_.ngrams.T.tocsr()

    def to_tensors(self) -> dict[str, NDArray[Any]]:
        known = self.exemplars_
        tensors = {
            "coefficients": self.coefficients_,
            "weight": known.weight,
            "ngrams.data": known.ngrams.data,
            "ngrams.indices": known.ngrams.indices,
            "ngrams.indptr": known.ngrams.indptr,
        }
        if known.vectors is not None:
            tensors["vectors"] = known.vectors
        return tensors

    def to_config(self) -> dict[str, Any]:
        return {"kind": self.kind, "width": self.width, "ridge": self.ridge, "columns": int(self.exemplars_.ngrams.shape[1])}

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> Self:
        head = cls(width=float(config["width"]), ridge=float(config["ridge"]))
        shape = (len(tensors["ngrams.indptr"]) - 1, int(config["columns"]))
        ngrams = sparse.csr_matrix((tensors["ngrams.data"], tensors["ngrams.indices"], tensors["ngrams.indptr"]), shape=shape)
        head.exemplars_ = TextFeatures(vectors=tensors.get("vectors"), weight=tensors["weight"], ngrams=ngrams)
        head.coefficients_ = tensors["coefficients"]
        head._prepare()
        return head


class LinearHead:
    """One-against-rest linear support vectors over the joined features; five folds give the out-of-sample scores.

    After `fit`: `coefficients_` float32 (k, d + c), `intercept_` (k,).
    """

    kind = "linear"

    def __init__(self, *, penalty: float = 1.0, scale: float = 2.0, folds: int = 5, seed: int = 0) -> None:
        self.penalty = penalty
        self.scale = scale
        self.folds = folds
        self.seed = seed

    def fit(self, features: TextFeatures, codes: Codes, classes: int) -> Floats:
        """Learn, and return out-of-fold scores of the training rows, float32 (n, classes)."""
        joined = self._joined(features)
        fold = stratified_folds(codes, folds=self.folds, seed=self.seed)
        out_of_sample = np.zeros((len(codes), classes), dtype=np.float32)
        for number in range(self.folds):
            kept, held_out = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
            if len(held_out) and len(np.unique(codes[kept])) > 1:
                weights, intercept = self._learn(joined[kept], codes[kept], classes)
                out_of_sample[held_out] = joined[held_out] @ weights.T + intercept
        self.coefficients_, self.intercept_ = self._learn(joined, codes, classes)
        self.nearest_of_exemplars_ = np.zeros(len(codes), dtype=np.float32)
        return out_of_sample

    def _learn(self, joined: sparse.csr_matrix, codes: Codes, classes: int) -> tuple[Floats, Floats]:
        from sklearn.svm import LinearSVC

        model = LinearSVC(C=self.penalty, random_state=self.seed, max_iter=2000).fit(joined, codes)
        weights = np.zeros((classes, joined.shape[1]), dtype=np.float32)
        # A class missing from this fold is never predicted: its score lies below every support vector's.
        intercept = np.full(classes, -2.0, dtype=np.float32)
        if len(model.classes_) == 2:
            weights[model.classes_] = np.vstack([-model.coef_[0], model.coef_[0]])
            intercept[model.classes_] = [-model.intercept_[0], model.intercept_[0]]
        else:
            weights[model.classes_], intercept[model.classes_] = model.coef_, model.intercept_
        return weights, intercept

    def _joined(self, features: TextFeatures) -> sparse.csr_matrix:
        ngrams = sparse.diags(np.sqrt(1 - features.weight)) @ features.ngrams
        if features.vectors is None:
            return _small_index(ngrams.tocsr())
        vectors = self.scale * np.sqrt(features.weight)[:, None] * features.vectors
        return _small_index(sparse.hstack([sparse.csr_matrix(vectors), ngrams], format="csr"))

    def scores(self, features: TextFeatures) -> tuple[Floats, Floats, Codes]:
        """Return scores (m, k); a linear head keeps no exemplars, so nearness is 0 and its row -1."""
        scores = np.asarray(self._joined(features) @ self.coefficients_.T + self.intercept_, dtype=np.float32)
        return scores, np.zeros(len(features), dtype=np.float32), np.full(len(features), -1, dtype=np.int64)

    def to_tensors(self) -> dict[str, NDArray[Any]]:
        return {"coefficients": self.coefficients_, "intercept": self.intercept_}

    def to_config(self) -> dict[str, Any]:
        return {"kind": self.kind, "penalty": self.penalty, "scale": self.scale, "folds": self.folds, "seed": self.seed}

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> Self:
        head = cls(penalty=float(config["penalty"]), scale=float(config["scale"]), folds=int(config["folds"]), seed=int(config["seed"]))
        head.coefficients_, head.intercept_ = tensors["coefficients"], tensors["intercept"]
        return head


def _nearest_others(kernel: Floats) -> Floats:
    """Return each exemplar's kernel with the nearest other one."""
    if len(kernel) < 2:
        return np.zeros(len(kernel), dtype=np.float32)
    kernel[np.diag_indices(len(kernel))] = -1.0
    nearest: Floats = kernel.max(1)
    kernel[np.diag_indices(len(kernel))] = 1.0
    return nearest


def _targets(codes: Codes, classes: int) -> Floats:
    """Return 1 in the column of each row's class and -1 / (classes - 1) elsewhere, so that rows sum to 0."""
    targets = np.full((len(codes), classes), -1.0 / max(classes - 1, 1), dtype=np.float32)
    targets[np.arange(len(codes)), codes] = 1.0
    return targets


def _solve(kernel: Floats, targets: Floats, ridge: float) -> tuple[Floats, Floats]:
    """Return the coefficients and the exact leave-one-out scores; overwrites `kernel`.

    Leave-one-out of a ridge solution is target - coefficient / diag(inverse) (Cawley & Talbot 2004).
    """
    kernel[np.diag_indices(len(kernel))] += ridge
    lower = cholesky(kernel, lower=True, overwrite_a=True, check_finite=False)
    coefficients = cho_solve((lower, True), targets, check_finite=False)
    inverse, _ = strtri(lower, lower=1, overwrite_c=1)
    # einsum would touch the unused upper triangle, which LAPACK leaves as it was.
    diagonal = np.array([inverse[column:, column] @ inverse[column:, column] for column in range(len(inverse))], dtype=np.float32)
    return coefficients.astype(np.float32), (targets - coefficients / diagonal[:, None]).astype(np.float32)


def _small_index(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    # liblinear reads 32-bit indices only; hstack widens them when it cannot prove they fit.
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    return matrix
