"""The stated baseline: what sells, lately, to everybody alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

# Days after which a sale counts half. A quarter keeps a season's goods in view and drops them with the next.
HALF_LIFE_DAYS = 90.0


class Popularity:
    """Distinct buyers of each item, a sale's weight halving every `half_life_days`; None counts all alike.

    After `fit`: `scores_` (items,), in weighted buyers.
    """

    def __init__(self, *, half_life_days: float | None = HALF_LIFE_DAYS) -> None:
        self.half_life_days = half_life_days

    def fit(self, user_index: ArrayLike, item_index: ArrayLike, days: ArrayLike, *, items: int | None = None, as_of_day: float | None = None) -> Self:
        """user_index, item_index: (m,) int.  days: (m,) day numbers.  as_of_day: default the last row's day."""
        users, what, when = np.asarray(user_index, dtype=np.int64), np.asarray(item_index, dtype=np.int64), np.asarray(days, dtype=float)
        count = int(items if items is not None else (what.max() + 1 if len(what) else 0))
        self.scores_ = np.zeros(count)
        if len(what):
            # A buyer counts once per item, with the newest purchase: one wholesaler must not make a bestseller.
            order = np.lexsort((-when, what, users))
            users, what, when = users[order], what[order], when[order]
            first = np.ones(len(what), dtype=bool)
            first[1:] = (users[1:] != users[:-1]) | (what[1:] != what[:-1])
            age = (when.max() if as_of_day is None else as_of_day) - when[first]
            weight = np.ones(len(age)) if self.half_life_days is None else 0.5 ** (age / self.half_life_days)
            np.add.at(self.scores_, what[first], weight)
        return self

    def recommend(self, *, exclude: Iterable[int] = (), k: int = 10) -> list[tuple[int, float]]:
        """Return the k best sellers not excluded and their weighted buyers, best first; never an item nobody bought."""
        banned = set(exclude)
        order = np.lexsort((np.arange(len(self.scores_)), -self.scores_))
        chosen = (int(item) for item in order if self.scores_[item] > 0 and int(item) not in banned)
        return [(item, float(self.scores_[item])) for item, _ in zip(chosen, range(k), strict=False)]

    def to_tensors(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        return {"scores": self.scores_}, {"half_life_days": self.half_life_days}

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> Self:
        model = cls(half_life_days=config["half_life_days"])
        model.scores_ = tensors["scores"]
        return model
