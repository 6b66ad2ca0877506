"""Whether somebody who writes this orders again: learned from what reviewers did after they wrote, not from anyone's labels.

Words and pairs of words (of Han, pairs of characters), weighed by rarity, and the stars; a logistic curve on them.  What
it finds is weak by nature: most of what decides the next order is not in a review.  Pure: no Django, no query.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from crm.core.errors import CrmError
from customers.ml.aspects import MOST_CHARACTERS, clauses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float64]

# Rows, and rows of the rarer outcome, that a logistic curve on words needs before it says more than noise.
FEWEST_ROWS, FEWEST_OF_A_KIND = 150, 20
# A term in fewer texts is remembered rather than learned; more terms than this cost memory and tell nothing.
FEWEST_TEXTS, MOST_TERMS = 5, 20_000
PENALTIES = (0.03, 0.1, 0.3, 1.0)
FOLDS = 5
_TERMS = re.compile(r"[a-z0-9]+(?:['’][a-z]+)?|[⺀-鿿]", re.IGNORECASE)


class TooFewIntentions(CrmError):
    """Too few reviewers are known long enough to tell who orders again."""

    code = "too_few_intentions"
    status = 422


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause as written. effect: what its words add to the log-odds of another order."""

    text: str
    effect: float


class PurchaseIntention:
    """Learns which words come before another order.

    seed: decides the folds only.  After `fit`: `terms_` (term -> column), `rarity_` and `weight_` (k,), `stars_` (weights
    of the stars on -1..1 and of stars not given; zeros where the stars did not help), `offset_`, `base_` (share of rows
    with another order), `days_` (the horizon of `again`, for those who show it), `candidates_` (log-loss of each setting on rows held out by person).
    """

    format = 1

    def __init__(self, *, days: int = 90, seed: int = 0) -> None:
        self.days_, self.seed = days, seed

    def fit(self, texts: Sequence[str], stars: Floats, again: NDArray[np.int64], people: NDArray[np.int64]) -> Self:
        """Learn from reviews. stars: (n,) 1..5 or NaN.  again: (n,) 0/1.  people: (n,) ids; a person is in one fold only.

        Raises TooFewIntentions below 150 rows or 20 of the rarer outcome.
        """
        from sklearn.linear_model import LogisticRegression

        again = np.asarray(again, dtype=np.int64)
        rarer = int(min(again.sum(), len(again) - again.sum()))
        if len(again) < FEWEST_ROWS or rarer < FEWEST_OF_A_KIND:
            raise TooFewIntentions(
                f"Of {len(again)} reviews whose writer is known long enough, {rarer} have the rarer outcome; {FEWEST_ROWS} and {FEWEST_OF_A_KIND} are needed.",
                reviews=len(again), rarer=rarer,
            )  # fmt: skip
        self.terms_, self.rarity_ = _vocabulary(texts)
        words, given = self._words(texts), _stars(stars)
        fold = _folds(people, self.seed)
        self.candidates_ = {
            (penalty, with_stars): _unseen_loss(_joined(words, given, with_stars), again, fold, penalty)
            for penalty in PENALTIES
            for with_stars in (False, True)
        }
        penalty, with_stars = min(self.candidates_, key=lambda setting: (self.candidates_[setting], setting))
        curve = LogisticRegression(C=penalty, max_iter=1000).fit(_joined(words, given, with_stars), again)
        weights = curve.coef_[0]
        self.weight_ = weights[: len(self.terms_)]
        self.stars_ = weights[len(self.terms_) :] if with_stars else np.zeros(2)
        self.offset_, self.base_, self.trained_on_ = float(curve.intercept_[0]), float(again.mean()), len(again)
        return self

    def predict(self, texts: Sequence[str], stars: Floats) -> Floats:
        """Return (n,) the probability of another order within the horizon."""
        score = self._words(texts) @ self.weight_ + _stars(stars) @ self.stars_ + self.offset_
        found: Floats = 1 / (1 + np.exp(-np.asarray(score, dtype=float)))
        return found

    def explain(self, text: str) -> list[Clause]:
        """Return the text's clauses whose words move the score, the strongest first."""
        parts = clauses(text[:MOST_CHARACTERS])
        rows = [_terms(part) for part in parts]
        known = {self.terms_[term] for row in rows for term in row if term in self.terms_}
        size = float(np.sqrt(sum(self.rarity_[column] ** 2 for column in known))) or 1.0
        effects = [sum(self.rarity_[column] * self.weight_[column] for column in {self.terms_[term] for term in row if term in self.terms_}) for row in rows]
        found = [Clause(part, float(effect) / size) for part, effect in zip(parts, effects, strict=True) if effect]
        return sorted(found, key=lambda clause: -abs(clause.effect))

    def strongest(self, most: int) -> list[tuple[str, float]]:
        """Return the terms that move the score most, (term, log-odds in a text of this term alone).

        Of terms that always come together, and so weigh the same, the longest stands for all.
        """
        found: dict[tuple[float, float], str] = {}
        for term, place in self.terms_.items():
            alike = (round(float(self.weight_[place]), 9), round(float(self.rarity_[place]), 9))
            found[alike] = max(found.get(alike, ""), term, key=len)
        order = sorted(found, key=lambda alike: (-abs(alike[0]), found[alike]))
        return [(found[alike], alike[0]) for alike in order[:most] if alike[0]]

    def to_tensors(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        tensors = {"rarity": self.rarity_, "weight": self.weight_, "stars": self.stars_}
        return tensors, {
            "format": self.format, "seed": self.seed, "days": self.days_, "terms": list(self.terms_), "offset": self.offset_, "base": self.base_, "trained_on": self.trained_on_,
        }  # fmt: skip

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> Self:
        if config.get("format") != cls.format:
            raise ValueError(f"intention model format {config.get('format')} is not {cls.format}")
        model = cls(days=int(config["days"]), seed=config["seed"])
        model.terms_ = {term: place for place, term in enumerate(config["terms"])}
        model.rarity_, model.weight_, model.stars_ = (np.asarray(tensors[name], dtype=float) for name in ("rarity", "weight", "stars"))
        model.offset_, model.base_, model.trained_on_ = float(config["offset"]), float(config["base"]), int(config["trained_on"])
        return model

    def _words(self, texts: Sequence[str]) -> csr_matrix:
        """Return (n, k) texts as unit rows of term rarities."""
        from scipy.sparse import csr_matrix

        ends, columns, values = [0], [], []
        for text in texts:
            row = sorted({self.terms_[term] for part in clauses(text[:MOST_CHARACTERS]) for term in _terms(part) if term in self.terms_})
            size = float(np.sqrt((self.rarity_[row] ** 2).sum())) or 1.0
            columns.extend(row)
            values.extend((self.rarity_[row] / size).tolist())
            ends.append(len(columns))
        return csr_matrix((np.array(values, dtype=float), np.array(columns, dtype=np.int32), np.array(ends)), shape=(len(texts), len(self.terms_)))


def _terms(clause: str) -> list[str]:
    """Return the words of a clause and its pairs of neighbours; of Han the pairs only, single characters say too little."""
    found = [term.lower() for term in _TERMS.findall(clause)]
    han = [ord(term[0]) > 0x2E80 for term in found]
    pairs = [left + ("" if a and b else " ") + right for left, right, a, b in zip(found, found[1:], han, han[1:], strict=False)]
    return [term for term, is_han in zip(found, han, strict=True) if not is_han] + pairs


def _vocabulary(texts: Sequence[str]) -> tuple[dict[str, int], Floats]:
    counts: dict[str, int] = {}
    for text in texts:
        for term in {term for part in clauses(text[:MOST_CHARACTERS]) for term in _terms(part)}:
            counts[term] = counts.get(term, 0) + 1
    kept = sorted((term for term, count in counts.items() if count >= FEWEST_TEXTS), key=lambda term: (-counts[term], term))[:MOST_TERMS]
    rarity = np.array([np.log((1 + len(texts)) / (1 + counts[term])) + 1 for term in kept], dtype=float)
    return {term: place for place, term in enumerate(kept)}, rarity


def _stars(stars: Floats) -> Floats:
    """Return (n, 2): the stars on -1..1, 0 where not given, and whether they were not given."""
    given = np.asarray(stars, dtype=float)
    missing = ~np.isfinite(given)
    return np.column_stack([np.where(missing, 0.0, (given - 3) / 2), missing.astype(float)])


def _joined(words: csr_matrix, stars: Floats, with_stars: bool) -> csr_matrix:
    from scipy.sparse import csr_matrix, hstack

    return hstack([words, csr_matrix(stars)], format="csr") if with_stars else words


def _folds(people: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return (n,) fold numbers; all rows of a person share one."""
    _ids, place = np.unique(people, return_inverse=True)
    drawn = np.random.default_rng(seed).integers(0, FOLDS, int(place.max()) + 1)
    found: NDArray[np.int64] = drawn[place]
    return found


def _unseen_loss(matrix: csr_matrix, again: NDArray[np.int64], fold: NDArray[np.int64], penalty: float) -> float:
    """Return the log-loss over rows each judged by a curve that has not seen their person."""
    from sklearn.linear_model import LogisticRegression

    said = np.full(len(again), again.mean())
    for number in range(FOLDS):
        inside = fold == number
        if inside.any() and len(np.unique(again[~inside])) == 2:
            said[inside] = LogisticRegression(C=penalty, max_iter=1000).fit(matrix[~inside], again[~inside]).predict_proba(matrix[inside])[:, 1]
    said = np.clip(said, 1e-9, 1 - 1e-9)
    return float(-np.mean(again * np.log(said) + (1 - again) * np.log1p(-said)))
