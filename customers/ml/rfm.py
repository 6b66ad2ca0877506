"""Recency, frequency and monetary scores from 1 to 5, and the eleven named groups marketers know.

Scores are shares of the shop's own customers, not fixed amounts, so they mean the same in every shop; customers with
equal values always get equal scores.  Pure and vectorised; the group codes are translated where they are shown.

Source: Hughes (1994), Strategic Database Marketing (quintiles); group names follow common commercial practice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

GROUPS = (
    "champions",
    "loyal",
    "potential_loyal",
    "new",
    "promising",
    "need_attention",
    "about_to_sleep",
    "at_risk",
    "cannot_lose",
    "hibernating",
    "lost",
)

# Rows: recency score 1 to 5.  Columns: frequency-and-money score 1 to 5.  Every customer falls into exactly one cell.
_GRID = np.array(
    [
        ["lost", "lost", "at_risk", "cannot_lose", "cannot_lose"],
        ["hibernating", "hibernating", "at_risk", "at_risk", "at_risk"],
        ["about_to_sleep", "about_to_sleep", "need_attention", "loyal", "loyal"],
        ["promising", "potential_loyal", "potential_loyal", "loyal", "champions"],
        ["new", "potential_loyal", "potential_loyal", "champions", "champions"],
    ]
)


@dataclass(frozen=True, slots=True)
class RfmScores:
    """Scores 1 (lowest fifth) to 5 and the group code, one per customer."""

    recency: NDArray[np.int64]
    frequency: NDArray[np.int64]
    monetary: NDArray[np.int64]
    group: NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class RfmScale:
    """The cut points of a shop: the values at which a score rises, so that one customer can be scored alone later.

    Each tuple holds four ascending values; a value scores 1 plus the number of cut points it reaches.  Recency cut
    points are negative days of silence (larger is better on all three scales).
    """

    recency: tuple[float, ...]
    frequency: tuple[float, ...]
    monetary: tuple[float, ...]

    def score(self, *, silence_days: ArrayLike, orders: ArrayLike, amount: ArrayLike) -> RfmScores:
        """Return scores and groups of any customers on this shop's scale.

        silence_days: (n,) days since the last order.  orders: (n,) count.  amount: (n,) total spend, one currency.
        """
        recency = _placed(-np.asarray(silence_days, dtype=float), self.recency)
        frequency = _placed(orders, self.frequency)
        monetary = _placed(amount, self.monetary)
        return RfmScores(recency=recency, frequency=frequency, monetary=monetary, group=name_groups(recency, frequency, monetary))


def learn_scale(*, silence_days: ArrayLike, orders: ArrayLike, amount: ArrayLike) -> RfmScale:
    """Return the shop's cut points, learned from all its buyers.

    A score is decided by the share of buyers with a strictly smaller value, so ties never split: where seven in ten
    bought once, all of those have frequency 1 and a second order reaches score 4.  A column in which all values are
    equal scores 3 for everyone, because it says nothing.
    """
    return RfmScale(
        recency=_cut_points(-np.asarray(silence_days, dtype=float)),
        frequency=_cut_points(orders),
        monetary=_cut_points(amount),
    )


def name_groups(recency: ArrayLike, frequency: ArrayLike, monetary: ArrayLike) -> NDArray[np.str_]:
    """Return the group code of each score triple; frequency and money are averaged, halves rounded up."""
    r, f, m = (np.asarray(column, dtype=np.int64) for column in (recency, frequency, monetary))
    groups: NDArray[np.str_] = _GRID[r - 1, (f + m + 1) // 2 - 1]
    return groups


def _cut_points(values: ArrayLike) -> tuple[float, ...]:
    column = np.sort(np.asarray(values, dtype=float))
    if not len(column):
        return (np.inf,) * 4
    if column[0] == column[-1]:
        # Two cut points at the value, two beyond reach: the value itself scores 3.
        return (float(column[0]), float(column[0]), np.inf, np.inf)
    distinct, first = np.unique(column, return_index=True)
    below = first / len(column)  # share of customers strictly below each distinct value
    points = []
    for fifth in (0.2, 0.4, 0.6, 0.8):
        # 1e-9 so that exactly one fifth below counts as reached in spite of rounding.
        position = int(np.searchsorted(below, fifth - 1e-9))
        points.append(float(distinct[position]) if position < len(distinct) else np.inf)
    return tuple(points)


def _placed(values: ArrayLike, points: tuple[float, ...]) -> NDArray[np.int64]:
    return 1 + np.searchsorted(np.asarray(points), np.asarray(values, dtype=float), side="right").astype(np.int64)
