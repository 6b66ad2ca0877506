"""Which products go together, from who bought what and in what order.

Two views of the same histories are blended: a *cosine* of the products' buyers (Sarwar et al. 2001, shrunk towards 0
where few people bought both) and *transitions* (what was bought soon after what, Garcin et al. 2013; FPMC's counting
part).  Small data first: shrinkage keeps a pair seen once from outranking one seen twenty times.

Pure numpy and SciPy; indices are the caller's own numbering, 0..n-1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

    Ints = NDArray[np.int64]

# Users scored at a time: 512 x 12,101 items float32 are 25 MB.
BLOCK = 512


class CoOccurrence:
    """Item-to-item weights learned from histories, and the products they suggest.

    shrinkage: pairs of buyers added to the denominator of the cosine.
    transition_weight: share of the transitions in the blend, 0..1.
    reach: steps in a history a transition may span; a pair d steps apart counts 1 / d.
    fade: weight of an older item of the history when recommending, per step back (1 = all alike).
    neighbours: items kept per item; None keeps all.
    popularity: share of overall popularity added, so that an unknown history still gets an answer.

    After `fit`: `weights_` sparse float32 (items, items), row = from, column = to; `popularity_` (items,) summing to 1.
    """

    def __init__(
        self,
        *,
        shrinkage: float = 15.0,
        transition_weight: float = 0.7,
        reach: int = 3,
        fade: float = 0.65,
        neighbours: int | None = 200,
        popularity: float = 1e-3,
    ) -> None:
        self.shrinkage = shrinkage
        self.transition_weight = transition_weight
        self.reach = reach
        self.fade = fade
        self.neighbours = neighbours
        self.popularity = popularity

    def fit(self, user_index: ArrayLike, item_index: ArrayLike, times: ArrayLike, *, items: int | None = None) -> Self:
        """Learn from one row per purchase (or other sign of interest).

        user_index, item_index: (m,) int.  times: (m,) any ordered numbers; rows of one user and moment keep their order.
        items: number of items, if some may have no row.
        """
        users, what, when = np.asarray(user_index, dtype=np.int64), np.asarray(item_index, dtype=np.int64), np.asarray(times)
        self.items_ = int(items if items is not None else (what.max() + 1 if len(what) else 0))
        order = np.lexsort((when, users))
        users, what, when = users[order], what[order], when[order]
        together = self._cosine(users, what)
        followed = self._transitions(users, what, when)
        blended = (1 - self.transition_weight) * together + self.transition_weight * followed
        self.weights_ = _strongest(blended.tocsr().astype(np.float32), self.neighbours)
        counts = np.bincount(what, minlength=self.items_).astype(float)
        # Half a sale for everything: a new product ranks last, not nowhere.
        self.popularity_ = ((counts + 0.5) / max((counts + 0.5).sum(), 1)).astype(np.float32)
        return self

    def _cosine(self, users: Ints, what: Ints) -> sparse.csr_matrix:
        bought = sparse.csr_matrix((np.ones(len(what), dtype=np.float32), (users, what)), shape=(int(users.max(initial=-1)) + 1, self.items_))
        bought.data[:] = 1.0  # twice bought is once liked; how often is the transitions' business
        # A person with 200 products says less about each pair than one with two.
        breadth = np.asarray(bought.sum(1)).ravel()
        weighted = sparse.diags(1 / np.sqrt(np.maximum(breadth, 1))) @ bought
        pairs = (weighted.T @ weighted).tocsr()
        size = np.sqrt(np.asarray(weighted.multiply(weighted).sum(0)).ravel())
        pairs.setdiag(0)
        pairs.eliminate_zeros()
        rows = np.repeat(np.arange(self.items_), np.diff(pairs.indptr))
        mean_weight = float((1 / np.maximum(breadth, 1)).mean()) if len(breadth) else 1.0
        pairs.data /= size[rows] * size[pairs.indices] + self.shrinkage * mean_weight
        return pairs

    def _transitions(self, users: Ints, what: Ints, when: NDArray[Any]) -> sparse.csr_matrix:
        count = sparse.csr_matrix((self.items_, self.items_), dtype=np.float32)
        for step in range(1, self.reach + 1):
            same = (users[step:] == users[:-step]) & (what[step:] != what[:-step])
            earlier, later = what[:-step][same], what[step:][same]
            part = sparse.csr_matrix((np.full(len(earlier), 1.0 / step, dtype=np.float32), (earlier, later)), shape=count.shape)
            count = count + part
            # Two products of one order stand side by side without a first: count such a pair both ways.
            moment = when[step:] == when[:-step]
            both = same & moment
            if both.any():
                back = sparse.csr_matrix((np.full(int(both.sum()), 0.5 / step, dtype=np.float32), (what[step:][both], what[:-step][both])), shape=count.shape)
                count = count + back
        count = count.tocsr()
        out = np.asarray(count.sum(1)).ravel()
        rows = np.repeat(np.arange(self.items_), np.diff(count.indptr))
        count.data /= (out + self.shrinkage)[rows]
        return count

    def similar(self, item: int, *, k: int = 10, exclude: Iterable[int] = ()) -> list[tuple[int, float]]:
        """Return up to k items that go with this one and their weight, best first; empty for an item nobody bought with another."""
        row = self.weights_[item]
        banned = {item, *exclude}
        order = np.lexsort((row.indices, -row.data))
        return [(int(row.indices[i]), float(row.data[i])) for i in order if int(row.indices[i]) not in banned][:k]

    def recommend(self, history: Sequence[int], *, exclude: Iterable[int] = (), k: int = 10) -> list[tuple[int, float]]:
        """Return up to k items for a history (oldest first) and their score, best first.

        exclude: items never to show; the caller decides whether bought ones are among them.
        """
        (items, scores), *_ = self.recommend_many([history], exclude=[list(exclude)], k=k)
        return list(zip(items.tolist(), scores.tolist(), strict=True))

    def because(self, history: Sequence[int], item: int, *, most: int = 2) -> list[tuple[int, float]]:
        """Return the items of the history that speak most for `item`, with their share of its score, best first."""
        weights = self._history_weights([history])
        parts = weights.multiply(self.weights_[:, [item]].T).tocsr()
        total = float(parts.sum())
        order = np.lexsort((parts.indices, -parts.data))[:most]
        return [(int(parts.indices[i]), float(parts.data[i] / total)) for i in order] if total > 0 else []

    def recommend_many(
        self, histories: Sequence[Sequence[int]], *, exclude: Sequence[Iterable[int]] | None = None, k: int = 10
    ) -> list[tuple[Ints, NDArray[np.float32]]]:
        """Return (items, scores) for each history, best first, in the order given; see `recommend`."""
        results: list[tuple[Ints, NDArray[np.float32]]] = []
        for begin in range(0, len(histories), BLOCK):
            scores = self.scores(histories[begin : begin + BLOCK])
            if exclude is not None:
                for row, banned in enumerate(exclude[begin : begin + BLOCK]):
                    scores[row, [item for item in banned if 0 <= item < self.items_]] = -np.inf
            take = min(k, self.items_)
            best = np.argpartition(-scores, take - 1, axis=1)[:, :take] if take else np.zeros((len(scores), 0), dtype=np.int64)
            for row, chosen in enumerate(best):
                # Equal scores in order of item number, so that the same data always show the same list.
                ordered = chosen[np.lexsort((chosen, -scores[row, chosen]))]
                ordered = ordered[np.isfinite(scores[row, ordered])]
                results.append((ordered, scores[row, ordered]))
        return results

    def scores(self, histories: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return the score of every item for each history, float32 (n, items); nothing is excluded."""
        scores: NDArray[np.float32] = (self._history_weights(histories) @ self.weights_).toarray()
        scores += self.popularity * self.popularity_ / max(float(self.popularity_.max(initial=0)), 1e-12)
        return scores

    def _history_weights(self, histories: Sequence[Sequence[int]]) -> sparse.csr_matrix:
        """Return the weight of each history's items, (n, items): 1 for the newest, `fade` per step back."""
        rows = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
        columns = np.fromiter((item for history in histories for item in history), dtype=np.int64, count=len(rows))
        back = np.fromiter((step for history in histories for step in range(len(history) - 1, -1, -1)), dtype=float, count=len(rows))
        known = (columns >= 0) & (columns < self.items_)
        weights = (self.fade ** back[known]).astype(np.float32)
        return sparse.csr_matrix((weights, (rows[known], columns[known])), shape=(len(histories), self.items_))

    def to_tensors(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return (tensors, config) for the model store."""
        tensors = {
            "weights.data": self.weights_.data,
            "weights.indices": self.weights_.indices,
            "weights.indptr": self.weights_.indptr,
            "popularity": self.popularity_,
        }
        names = ("shrinkage", "transition_weight", "reach", "fade", "neighbours", "popularity")
        return tensors, {"items": self.items_, **{name: getattr(self, name) for name in names}}

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> Self:
        settings = dict(config)
        items = int(settings.pop("items"))
        model = cls(**settings)
        model.items_ = items
        model.weights_ = sparse.csr_matrix((tensors["weights.data"], tensors["weights.indices"], tensors["weights.indptr"]), shape=(items, items))
        model.popularity_ = tensors["popularity"]
        return model


def _strongest(weights: sparse.csr_matrix, most: int | None) -> sparse.csr_matrix:
    """Return the matrix with only the `most` largest entries of each row."""
    weights.eliminate_zeros()
    if most is None or (np.diff(weights.indptr) <= most).all():
        return weights
    rows = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    order = np.lexsort((-weights.data, rows))
    place = np.arange(len(order)) - weights.indptr[rows]
    kept = np.sort(order[place < most])
    return sparse.csr_matrix((weights.data[kept], (rows[kept], weights.indices[kept])), shape=weights.shape)
