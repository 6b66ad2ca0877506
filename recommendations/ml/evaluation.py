"""How well a ranker finds what each customer bought next: leave the last purchase out, rank every product.

No sampled negatives (Krichene & Rendle 2020 show that they reorder models); bought products are taken out of the
ranking unless repeat purchases are what is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crm.core.learning.evaluation import Figure, bootstrap, hit_rate, ndcg

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Scores every item for a block of histories: (n, items).
Scorer = Callable[[Sequence[Sequence[int]]], "NDArray[np.floating]"]
BLOCK = 512


@dataclass(frozen=True, slots=True)
class RankingFigures:
    """hit_rate, ndcg: of the top `top`.  coverage: share of items that appear in anyone's top.  ranks: (n,), 0 best."""

    top: int
    hit_rate: Figure
    ndcg: Figure
    coverage: float
    ranks: NDArray[np.float64]


def measure(
    scorer: Scorer, histories: Sequence[Sequence[int]], wanted: Sequence[int], *, top: int = 10, exclude_history: bool = True, seed: int = 0
) -> RankingFigures:
    """Return how high the wanted item ranks among all items for each history.

    Equal scores are counted as half above and half below: neither a lucky nor an unlucky order of item numbers.
    """
    ranks, shown = np.empty(len(wanted)), set()
    for begin in range(0, len(wanted), BLOCK):
        part = histories[begin : begin + BLOCK]
        scores = np.array(scorer(part), dtype=np.float64)
        target = np.asarray(wanted[begin : begin + BLOCK])
        rows = np.arange(len(part))
        if exclude_history:
            for row, history in enumerate(part):
                own = scores[row, target[row]]
                scores[row, list(history)] = -np.inf
                if target[row] in set(history):
                    scores[row, target[row]] = own
        own = scores[rows, target][:, None]
        ranks[begin : begin + BLOCK] = (scores > own).sum(1) + ((scores == own).sum(1) - 1) / 2
        shown.update(np.unique(np.argpartition(-scores, min(top, scores.shape[1]) - 1, axis=1)[:, :top]).tolist())
        items = scores.shape[1]
    return RankingFigures(
        top=top,
        hit_rate=bootstrap(lambda part: hit_rate(part, top=top), ranks, seed=seed),
        ndcg=bootstrap(lambda part: ndcg(part, top=top), ranks, seed=seed),
        coverage=len(shown) / items if len(wanted) else 0.0,
        ranks=ranks,
    )
