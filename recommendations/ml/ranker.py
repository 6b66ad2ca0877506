"""The ranker the shop serves: co-occurrence weights, tempered by what people refused. Pure; knows no database.

Rows are numbered by the caller; `product_ids` carries the database ids so that a stored model finds its products again.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommendations.ml.cooccurrence import BLOCK, CoOccurrence

Ints = NDArray[np.int64]

# Refusals that halve nothing yet: with fewer than this many opinions a product keeps most of its weight.
OPINIONS_PRIOR = 5.0
# A history longer than this is cut at its newest end; older taste hardly moves a faded score and costs time.
HISTORY_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Recipe:
    """What training chooses: see CoOccurrence. clicks: whether clicked recommendations count as signs of interest."""

    shrinkage: float = 15.0
    transition_weight: float = 0.3
    reach: int = 3
    fade: float = 0.9
    popularity: float = 1e-3
    clicks: bool = True


@dataclass(frozen=True, slots=True)
class RankedList:
    """One history's list, best first. products (k,): numbers.  scores (k,).  because (k,): the number of the history's
    product that speaks most for each, -1 where nothing but popularity does."""

    products: Ints
    scores: NDArray[np.float32]
    because: Ints


class ShopRanker:
    """Scores products for histories. After `fit` or `from_tensors`: product_ids_ (p,), model_, approval_ (p,) in 0..1."""

    def __init__(self, recipe: Recipe | None = None) -> None:
        self.recipe = recipe or Recipe()

    def fit(
        self, *, customer: Ints, product: Ints, day: NDArray[np.float64], product_ids: Ints, liked: Ints | None = None, refused: Ints | None = None
    ) -> Self:
        """Learn from one row per sign of interest, oldest first within a customer.

        product_ids: (p,) database ids of the product numbers.  liked, refused: (p,) clicks or purchases that followed a
        recommendation, and dismissals, per product.
        """
        recipe = self.recipe
        self.product_ids_ = product_ids
        self.model_ = CoOccurrence(
            shrinkage=recipe.shrinkage, transition_weight=recipe.transition_weight, reach=recipe.reach, fade=recipe.fade, popularity=recipe.popularity
        ).fit(customer, product, day, items=len(product_ids))
        good = np.zeros(len(product_ids)) if liked is None else liked
        bad = np.zeros(len(product_ids)) if refused is None else refused
        self.approval_ = ((good + OPINIONS_PRIOR) / (good + bad + OPINIONS_PRIOR)).astype(np.float32)
        return self

    def scores(self, histories: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return the score of every product for each history (oldest first), float32 (n, p)."""
        return self.model_.scores([list(history)[-HISTORY_LENGTH:] for history in histories]) * self.approval_

    def lists(self, histories: Sequence[Sequence[int]], *, banned: Sequence[Sequence[int]], sellable: NDArray[np.bool_], k: int) -> list[RankedList]:
        """Return the best k products per history, without the banned ones of each and without what cannot be sold.

        banned: product numbers per history.  sellable: (p,).  Equal scores come in order of product number.
        """
        found: list[RankedList] = []
        take = min(k, int(sellable.sum()))
        for begin in range(0, len(histories), BLOCK):
            part = [list(history)[-HISTORY_LENGTH:] for history in histories[begin : begin + BLOCK]]
            scores = self.scores(part)
            scores[:, ~sellable] = -np.inf
            for row, never in enumerate(banned[begin : begin + BLOCK]):
                scores[row, list(never)] = -np.inf
            best = np.argpartition(-scores, take - 1, axis=1)[:, :take] if take else np.zeros((len(part), 0), dtype=np.int64)
            for row, history in enumerate(part):
                chosen = best[row][np.lexsort((best[row], -scores[row, best[row]]))]
                chosen = chosen[np.isfinite(scores[row, chosen])]
                found.append(RankedList(products=chosen.astype(np.int64), scores=scores[row, chosen], because=self._because(history, chosen)))
        return found

    def _because(self, history: Sequence[int], chosen: NDArray[Any]) -> Ints:
        """Return for each chosen product the product of the history that adds most to its score, -1 for none."""
        if not len(history) or not len(chosen):
            return np.full(len(chosen), -1, dtype=np.int64)
        own = np.asarray(history, dtype=np.int64)
        faded = self.recipe.fade ** np.arange(len(own) - 1, -1, -1)
        parts = self.model_.weights_[own][:, chosen].toarray() * faded[:, None]
        # A product bought before does not explain itself.
        parts[own[:, None] == chosen[None, :]] = 0
        strongest = parts.argmax(0)
        return np.where(parts.max(0) > 0, own[strongest], -1)

    def related(self, *, k: int, sellable: NDArray[np.bool_]) -> list[tuple[Ints, NDArray[np.float32]]]:
        """Return for each product up to k others that go with it and their weights, best first."""
        weights = (self.model_.weights_ @ sparse.diags((self.approval_ * sellable).astype(np.float32))).tocsr()
        weights.eliminate_zeros()
        found = []
        for product in range(len(self.product_ids_)):
            part = slice(weights.indptr[product], weights.indptr[product + 1])
            others, strength = weights.indices[part], weights.data[part]
            order = np.lexsort((others, -strength))
            order = order[others[order] != product][:k]
            found.append((others[order].astype(np.int64), strength[order]))
        return found

    def to_tensors(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return (tensors, config) for the model store."""
        tensors, config = self.model_.to_tensors()
        return {**tensors, "product_ids": self.product_ids_, "approval": self.approval_}, {"recipe": asdict(self.recipe), "cooccurrence": config}

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> Self:
        """Return the stored ranker; raises KeyError, TypeError or ValueError for one saved by other code."""
        ranker = cls(Recipe(**config["recipe"]))
        ranker.model_ = CoOccurrence.from_tensors(tensors, config["cooccurrence"])
        ranker.product_ids_, ranker.approval_ = tensors["product_ids"], tensors["approval"]
        if not len(ranker.product_ids_) == len(ranker.approval_) == ranker.model_.items_:
            raise ValueError("the stored arrays do not belong together")
        return ranker


def together(customer: Ints, product: Ints, *, products: int) -> sparse.csr_matrix:
    """Return by how many customers each pair of products was bought, (p, p), the diagonal being each product's buyers."""
    bought = sparse.csr_matrix((np.ones(len(customer), dtype=np.int32), (customer, product)), shape=(int(customer.max(initial=-1)) + 1, products))
    bought.data[:] = 1
    return (bought.T @ bought).tocsr()
