"""Order counts per customer and period, in the form the model learns from: equal stories once, with their weight.

A story starts in the period in which the customer is first known; what lies before is unknown, not zero.  In a shop's
panel that period is the one of the first order (`entry`): the first order itself tells nothing of the rate, since
without it there would be no story, so it is taken out, and on average half of that period was left for further orders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crm.core.errors import CrmError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

# Larger counts in one period are read as this many: a wholesaler's 3,000 orders must not take a state for themselves.
MOST_ORDERS = 200
# Part of the period of the first order that is left for further ones, on average.
ENTRY_EXPOSURE = 0.5


class PanelUnusable(CrmError):
    """The counts cannot be a panel; the message says what is wrong."""

    code = "panel_unusable"
    status = 422


@dataclass(frozen=True, slots=True)
class Panel:
    """Stories of equal periods, deduplicated.

    cell: (s, t) int64, the kind of each story's cell, by age; 0 is "not observed" (or after the story's end).
    count, exposure: (v,) what each kind of cell holds: orders, and the part of a period in which they could come.
    level: (s, t) int8, which transition matrix led into each cell (0 where contacts are not known or absent).
    length: (s,) periods of each story, at least 1.  weight: (s,) how many customers have it.
    story: (n,) the story of each customer.  start: (n,) the period, of the panel's own, in which each story starts.
    periods: number of periods of the panel.  levels: number of transition matrices.
    """

    cell: Integers
    count: Floats
    exposure: Floats
    level: NDArray[np.int8]
    length: Integers
    weight: Floats
    story: Integers
    start: Integers
    periods: int
    levels: int = 1

    def __len__(self) -> int:
        return len(self.story)

    @property
    def observations(self) -> float:
        """Customer periods with a known count."""
        return float(self.weight @ (self.cell > 0).sum(axis=1))

    @property
    def orders_per_period(self) -> float:
        per_kind = self._customers_per_kind()
        return float(per_kind @ self.count) / max(float(per_kind @ self.exposure), 1e-9)

    def _customers_per_kind(self) -> Floats:
        weights = np.repeat(self.weight, self.cell.shape[1])
        found: Floats = np.bincount(self.cell.ravel(), weights=weights, minlength=len(self.count)).astype(float)
        found[0] = 0.0
        return found


def panel_of_counts(counts: ArrayLike, *, start: ArrayLike | None = None, contact: ArrayLike | None = None, entry: bool = False) -> Panel:
    """Return the panel of a table of counts.

    counts: (n, p) orders; NaN or negative where not observed.  start: (n,) the period in which each story starts,
    default 0.  contact: (n, p) int level of the transition into each period, default none.
    entry: each story starts with the customer's first order, see this module's docstring.
    Raises PanelUnusable for an empty table or infinite counts.
    """
    table = np.array(counts, dtype=float, ndmin=2)
    if not table.size:
        raise PanelUnusable("The panel is empty: it needs at least one customer and one period.")
    if np.isinf(table).any():
        raise PanelUnusable("The panel has an infinite count.")
    people, periods = table.shape
    begin = np.zeros(people, dtype=np.int64) if start is None else np.clip(np.asarray(start, dtype=np.int64), 0, periods - 1)
    missing = ~(table >= 0)
    orders = np.minimum(np.where(missing, 0, np.floor(table)), MOST_ORDERS).astype(np.int16)
    kind = np.where(missing, 0, 1 + 2 * orders).astype(np.int16)
    if entry:
        _take_out_first(kind, np.arange(people), begin)
    level = None if contact is None else np.asarray(contact, dtype=np.int8).reshape(table.shape)
    return _deduplicated(kind, level, begin)


def panel_of_orders(
    customer: ArrayLike,
    day: ArrayLike,
    *,
    customers: ArrayLike,
    as_of_day: int,
    period_days: int,
    most_periods: int,
    contact_customer: ArrayLike = (),
    contact_day: ArrayLike = (),
    contact_level: ArrayLike = (),
) -> Panel:
    """Return the panel of a shop's orders, periods counted back from the as-of day.

    customer, day: (m,) one row per order; orders of one day count once, later ones are not seen.
    customers: (n,) ascending ids, each with at least one order.  most_periods: older periods are left out; the story
    of a customer from before starts at the panel's first period.
    contact_*: (c,) who was contacted on which day at which level (1 and up); the highest level of a period counts.
    """
    wanted = np.asarray(customers, dtype=np.int64)
    place, period = _placed(wanted, customer, day, as_of_day, period_days)
    if not len(place):
        raise PanelUnusable("There are no orders yet.")
    oldest = int(period.max()) + 1
    periods = min(oldest, most_periods)
    first = np.full(len(wanted), -1, dtype=np.int64)
    np.maximum.at(first, place, period)  # periods count backwards: the first order has the highest number
    if (first < 0).any():
        raise PanelUnusable("A customer of the panel has no order.", customers=int((first < 0).sum()))
    begin = np.maximum(periods - 1 - first, 0)
    kept = period < periods
    orders = np.bincount(place[kept] * periods + (periods - 1 - period[kept]), minlength=len(wanted) * periods)
    kind = (1 + 2 * np.minimum(orders, MOST_ORDERS)).astype(np.int16).reshape(len(wanted), periods)
    _take_out_first(kind, np.flatnonzero(first < periods), begin)
    told, when = _placed(wanted, contact_customer, contact_day, as_of_day, period_days, levels=contact_level)
    level = None
    if len(told):
        # The message of one period acts on the way into the next: its own orders may have come before it.
        into = periods - when // 128
        fits = (into >= 1) & (into < periods)
        level = np.zeros((len(wanted), periods), dtype=np.int8)
        np.maximum.at(level, (told[fits], into[fits]), (when[fits] % 128).astype(np.int8))
    return _deduplicated(kind, level, begin)


def _take_out_first(kind: NDArray[np.int16], rows: Integers, begin: Integers) -> None:
    """Take the first order out of its cell and mark the cell as a part of a period; kind: 1 + 2 x orders, 0 unknown."""
    found = kind[rows, begin[rows]]
    kind[rows, begin[rows]] = np.where(found > 0, np.maximum(found - 2, 1) + 1, 0)


def _placed(
    wanted: Integers, customer: ArrayLike, day: ArrayLike, as_of_day: int, period_days: int, levels: ArrayLike | None = None
) -> tuple[Integers, Integers]:
    """Return place among `wanted` and period before the as-of day (0 is the last) of each row, each day once.

    With levels the second column is period x 128 + level.
    """
    who, when = np.asarray(customer, dtype=np.int64), np.floor(np.asarray(day, dtype=float)).astype(np.int64)
    place = np.minimum(np.searchsorted(wanted, who), max(len(wanted) - 1, 0))
    known = (when <= as_of_day) & (wanted[place] == who) if len(wanted) else np.zeros(len(who), dtype=bool)
    columns = [place[known], when[known]]
    if levels is not None:
        columns.append(np.asarray(levels, dtype=np.int64)[known])
    pairs = np.unique(np.column_stack(columns), axis=0)
    period = (as_of_day - pairs[:, 1]) // period_days
    return pairs[:, 0], period if levels is None else period * 128 + pairs[:, 2]


def _deduplicated(kind: NDArray[np.int16], level: NDArray[np.int8] | None, start: Integers) -> Panel:
    """Store equal stories once, aligned by age; some thousands remain of any number of customers who order rarely.

    kind, level: (n, p) by period.  One row costs about 250 bytes at its peak with 36 periods.
    """
    people, periods = kind.shape
    columns = start[:, None] + np.arange(periods)[None, :]
    after = columns >= periods
    np.minimum(columns, periods - 1, out=columns)
    cell = np.take_along_axis(kind, columns, axis=1)
    cell[after] = 0
    aged = np.zeros((people, 0), dtype=np.int8)
    if level is not None and level.any():
        aged = np.take_along_axis(level, columns, axis=1)
        aged[after] = 0
    length = periods - start
    first, story, counts = _distinct(np.concatenate([cell, length[:, None].astype(np.int16), aged.astype(np.int16)], axis=1))
    used, kinds = np.unique(np.append(cell[first].ravel(), 0), return_inverse=True)
    stated = np.maximum(used.astype(np.int64) - 1, 0)
    return Panel(
        cell=kinds[:-1].reshape(len(first), periods).astype(np.int64),
        count=(stated // 2).astype(float),
        exposure=np.where(used == 0, 0.0, np.where(stated % 2 == 1, ENTRY_EXPOSURE, 1.0)),
        level=aged[first] if aged.size else np.zeros((len(first), periods), dtype=np.int8),
        length=length[first].astype(np.int64),
        weight=counts.astype(float),
        story=story.reshape(-1).astype(np.int64),
        start=start.astype(np.int64),
        periods=periods,
        levels=int(aged.max(initial=0)) + 1,
    )


def _distinct(rows: NDArray[np.int16]) -> tuple[Integers, Integers, Integers]:
    """Return the first row of each kind, the kind of each row, and their counts.

    Rows are told apart by a 64-bit hash, twenty times faster than comparing whole rows; a collision is noticed.
    """
    drawn = np.asarray(np.random.default_rng(0).integers(1, 2**63, rows.shape[1], dtype=np.uint64))
    factors = [int(number) | 1 for number in drawn.tolist()]
    keys = np.zeros(len(rows), dtype=np.uint64)
    for column, factor in enumerate(factors):
        keys += (rows[:, column].astype(np.uint64) + np.uint64(1)) * np.uint64(factor)
        keys ^= keys >> np.uint64(29)
    _, first, kind, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    kind = kind.reshape(-1)
    if not np.array_equal(rows, rows[first][kind]):
        _, first, kind, counts = np.unique(rows, axis=0, return_index=True, return_inverse=True, return_counts=True)
    return first, kind.reshape(-1), counts
