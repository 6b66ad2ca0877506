"""Ridge logistic regression on hinge splines, category levels, gaps and a few products; its reasons are exact.

Every term belongs to one feature, or to two and then half to each, and is centred on the training rows.  So a row's
log-odds are the intercept plus its terms, and a feature's contribution is the sum of its terms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from customers.ml.tabular.columns import Matrix

    Floats = NDArray[np.float64]

# Rows scored together: 2,048 rows of 350 terms are 6 MB.
CHUNK = 2_048
# Numbers are clipped to this share of the training rows at either end, so that no outlier steers a line.
CLIPPED = 0.005
# Beyond this skewness a number enters by its signed logarithm.
SKEWED = 3.0
# Products join if their score test on the residuals exceeds this many standard errors; at most so many of them.
PRODUCT_SCORE = 4.0
MOST_PRODUCTS = 12


@dataclass(frozen=True, slots=True)
class LinearSettings:
    """strength: scikit-learn's C, the inverse of the ridge.  knots: hinges per number, 0 for straight lines."""

    strength: float = 0.1
    knots: int = 4
    products: bool = False

    @property
    def name(self) -> str:
        return f"logistic C={self.strength:g}, {self.knots} knots{', products' if self.products else ''}"


@dataclass(frozen=True, slots=True)
class _Basis:
    """How features become terms, all arrays one entry per term.

    feature: its feature.  kind: 0 straight, 1 hinge above `at`, 2 level equal to `at`, 3 missing.
    mean, scale: of the training rows.  low, high, skewed, centre, spread: per feature, how a number is brought to scale.
    """

    feature: NDArray[np.int64]
    kind: NDArray[np.int64]
    at: Floats
    mean: Floats
    scale: Floats
    low: Floats
    high: Floats
    skewed: NDArray[np.bool_]
    centre: Floats
    spread: Floats

    def terms(self, values: Floats) -> Floats:
        """Return (rows, terms), centred and of unit variance on the training rows."""
        scaled = self._scaled(values)
        gap = np.isnan(values)
        out = np.empty((len(values), len(self.feature)), order="F")
        for term, (feature, kind, at) in enumerate(zip(self.feature, self.kind, self.at, strict=True)):
            if kind == 0:
                out[:, term] = scaled[:, feature]
            elif kind == 1:
                out[:, term] = np.maximum(scaled[:, feature] - at, 0)
            elif kind == 2:
                out[:, term] = values[:, feature] == at
            else:
                out[:, term] = gap[:, feature]
        out -= self.mean
        out /= self.scale
        return out

    def _scaled(self, values: Floats) -> Floats:
        clipped = np.clip(values, self.low, self.high)
        clipped = np.where(self.skewed, np.sign(clipped) * np.log1p(np.abs(clipped)), clipped)
        # A missing number sits at the centre; its own term says that it was missing.
        return np.nan_to_num((clipped - self.centre) / self.spread, nan=0.0)


class SplineLogistic:
    """coefficients_: per term.  products_: (k, 2) term pairs.  intercept_: mean log-odds of the training rows."""

    def __init__(self, settings: LinearSettings | None = None) -> None:
        self.settings = settings or LinearSettings()

    def fit(self, matrix: Matrix, label: NDArray[Any], *, seed: int = 0) -> SplineLogistic:
        """Learn from (rows) labels 0/1, both of which must occur. seed: unused, the fit is exact."""
        del seed
        self.features_ = len(matrix.names)
        self._basis = _learn_basis(matrix, self.settings.knots)
        terms = self._basis.terms(matrix.values)
        self.products_ = np.zeros((0, 2), dtype=np.int64)
        self.product_mean_ = self.product_scale_ = np.zeros(0)
        self._solve(terms, label)
        if self.settings.products:
            self.products_ = _strongest_products(terms, self._basis, label - self._probability(terms))
            raw = terms[:, self.products_[:, 0]] * terms[:, self.products_[:, 1]]
            self.product_mean_, self.product_scale_ = raw.mean(0), np.maximum(raw.std(0), 1e-9)
            if len(self.products_):
                self._solve(self._with_products(terms), label)
        return self

    def log_odds(self, matrix: Matrix) -> Floats:
        out = np.empty(len(matrix))
        for begin in range(0, len(matrix), CHUNK):
            terms = self._basis.terms(matrix.values[begin : begin + CHUNK])
            out[begin : begin + CHUNK] = self._with_products(terms) @ self.coefficients_
        return self.intercept_ + out

    def explain(self, matrix: Matrix) -> tuple[Floats, float]:
        """Return contributions (rows, features) and the base; their sum is the log-odds, to rounding."""
        parts = self._with_products(self._basis.terms(matrix.values)) * self.coefficients_
        singles = len(self._basis.feature)
        owners = np.zeros((parts.shape[1], self.features_))
        owners[np.arange(singles), self._basis.feature] = 1.0
        for place, (one, other) in enumerate(self.products_):
            owners[singles + place, self._basis.feature[one]] += 0.5
            owners[singles + place, self._basis.feature[other]] += 0.5
        return parts @ owners, float(self.intercept_)

    def to_tensors(self, prefix: str) -> dict[str, NDArray[Any]]:
        basis = {name: np.asarray(getattr(self._basis, name)) for name in _Basis.__dataclass_fields__}
        own = {
            "coefficients": self.coefficients_,
            "intercept": np.array([self.intercept_]),
            "products": self.products_,
            "product_mean": self.product_mean_,
            "product_scale": self.product_scale_,
        }
        return {f"{prefix}{name}": np.ascontiguousarray(values) for name, values in {**basis, **own}.items()}

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], prefix: str) -> SplineLogistic:
        made = cls()
        made._basis = _Basis(**{name: tensors[f"{prefix}{name}"] for name in _Basis.__dataclass_fields__})
        made.features_ = len(made._basis.low)
        made.coefficients_, made.intercept_ = tensors[f"{prefix}coefficients"], float(tensors[f"{prefix}intercept"][0])
        made.products_ = tensors[f"{prefix}products"]
        made.product_mean_, made.product_scale_ = tensors[f"{prefix}product_mean"], tensors[f"{prefix}product_scale"]
        return made

    def _solve(self, terms: Floats, label: NDArray[Any]) -> None:
        from sklearn.linear_model import LogisticRegression

        solved = LogisticRegression(C=self.settings.strength, max_iter=300, tol=1e-5).fit(terms, label)
        self.coefficients_, self.intercept_ = solved.coef_[0].copy(), float(solved.intercept_[0])

    def _probability(self, terms: Floats) -> Floats:
        return np.asarray(1 / (1 + np.exp(-np.clip(self.intercept_ + terms @ self.coefficients_, -500, 500))))

    def _with_products(self, terms: Floats) -> Floats:
        if not len(self.products_):
            return terms
        raw = terms[:, self.products_[:, 0]] * terms[:, self.products_[:, 1]]
        return np.hstack([terms, (raw - self.product_mean_) / self.product_scale_])


def _learn_basis(matrix: Matrix, knots: int) -> _Basis:
    values, count = matrix.values, len(matrix.names)
    low, high, centre, spread = np.full(count, -np.inf), np.full(count, np.inf), np.zeros(count), np.ones(count)
    skewed = np.zeros(count, dtype=bool)
    feature: list[int] = []
    kind: list[int] = []
    at: list[float] = []

    def add(which: int, form: int, value: float = 0.0) -> None:
        feature.append(which)
        kind.append(form)
        at.append(value)

    for place, levels in enumerate(matrix.levels):
        known = values[~np.isnan(values[:, place]), place]
        if len(known) < len(values):
            add(place, 3)
        if levels:
            for level in range(len(levels)):
                add(place, 2, float(level))
            continue
        if not len(known):
            continue
        low[place], high[place] = np.quantile(known, [CLIPPED, 1 - CLIPPED]) if len(np.unique(known)) > 10 else (known.min(), known.max())
        known = np.clip(known, low[place], high[place])
        deviation = known.std()
        skewed[place] = deviation > 0 and abs(((known - known.mean()) ** 3).mean()) > SKEWED * deviation**3
        if skewed[place]:
            known = np.sign(known) * np.log1p(np.abs(known))
        centre[place], spread[place] = known.mean(), max(known.std(), 1e-9)
        scaled = (known - centre[place]) / spread[place]
        add(place, 0)
        if knots:
            inside = np.unique(np.quantile(scaled, np.arange(1, knots + 1) / (knots + 1)))
            for knot in inside[(inside > scaled.min()) & (inside < scaled.max())]:
                add(place, 1, float(knot))
    basis = _Basis(
        np.array(feature, dtype=np.int64), np.array(kind, dtype=np.int64), np.array(at), np.zeros(len(at)), np.ones(len(at)),
        low, high, skewed, centre, spread,
    )  # fmt: skip
    raw = basis.terms(values)
    basis.mean[:], basis.scale[:] = raw.mean(0), np.maximum(raw.std(0), 1e-6)
    return basis


def _strongest_products(terms: Floats, basis: _Basis, residual: Floats) -> NDArray[np.int64]:
    """Return the pairs of straight and level terms of different features that the residuals ask for most, by score test."""
    base = np.flatnonzero((basis.kind == 0) | (basis.kind == 2))
    # A level of a handful of rows gives wild products.
    base = base[np.abs(terms[:, base]).max(0) < 10] if len(base) else base
    chosen = terms[:, base]
    moved = residual - residual.mean()
    top = chosen.T @ (chosen * moved[:, None])
    under = np.sqrt((chosen**2).T @ (chosen**2 * (moved**2)[:, None])) + 1e-9
    score = np.abs(top / under)
    score[basis.feature[base][:, None] >= basis.feature[base][None, :]] = 0
    order = np.argsort(-score, axis=None)[:MOST_PRODUCTS]
    picked = [np.unravel_index(place, score.shape) for place in order if score.flat[place] > PRODUCT_SCORE]
    return np.array([[base[i], base[j]] for i, j in picked], dtype=np.int64).reshape(-1, 2)
