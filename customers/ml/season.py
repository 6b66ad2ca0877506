"""The shop's year: by how much each month brings more or fewer orders, as a clock that runs faster in busy months.

If everybody's rate is multiplied by the same m(t), a history measured in the time M(t) = integral of m is one of the
plain model: an inhomogeneous Poisson process under its operational time (Cox & Isham 1980, Point Processes, 4.2).  So a
season needs no other model, only another clock for recency, age and horizon.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from customers.ml.ordermodel import OrderModel

    Floats = NDArray[np.float64]

MONTHS = 12
# A year that is seen once cannot be told from a trend or a campaign; with two, what repeats is the season.
LEAST_YEARS = 2
YEAR_DAYS = 365.25
# A season in which no month differs from the mean by as much as this is left out: it would only add noise.
LEAST_SWING = 0.05


@dataclass(frozen=True, slots=True)
class Season:
    """index: (12,) pace of January to December, mean 1. years: how many it was learned from."""

    index: tuple[float, ...]
    years: int

    def between(self, start: ArrayLike, end: ArrayLike) -> Floats:
        """Return the days from start to end by the season's clock; both are days since 1970-01-01."""
        starts, ends = np.broadcast_arrays(np.asarray(start, dtype=float), np.asarray(end, dtype=float))
        if not starts.size:
            return np.zeros(starts.shape)
        edges, clock = self._clock(float(starts.min()), float(ends.max()))
        elapsed: Floats = np.interp(ends, edges, clock) - np.interp(starts, edges, clock)
        return elapsed

    def _clock(self, earliest: float, latest: float) -> tuple[Floats, Floats]:
        months = np.arange(month_of(earliest), month_of(latest) + 2)
        edges = first_days(months)
        pace = np.array(self.index)[months[:-1] % MONTHS]
        return edges, np.concatenate([[0.0], np.cumsum(np.diff(edges) * pace)])

    def to_config(self) -> dict[str, Any]:
        return {"index": list(self.index), "years": self.years}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        index = tuple(float(pace) for pace in config["index"])
        if len(index) != MONTHS or min(index) <= 0:
            raise ValueError("a season has twelve positive months")
        return cls(index, int(config["years"]))


def month_of(day: float) -> int:
    """Return the months since January 1970 of a day since 1970-01-01."""
    return int(np.datetime64(int(np.floor(day)), "D").astype("datetime64[M]").astype(int))


def first_days(months: NDArray[np.int64]) -> Floats:
    """Return the first day, since 1970-01-01, of each month since January 1970."""
    days: Floats = months.astype("datetime64[M]").astype("datetime64[D]").astype(float)
    return days


def learn_season(first_day: NDArray[np.int64], repeat_day: NDArray[np.int64], model: OrderModel, *, as_of_day: float) -> tuple[Season | None, str]:
    """Return the season and, where there is none, the reason.

    first_day: (n,) each customer's first order.  repeat_day: (m,) every later order day.  Days since 1970-01-01.
    model: fitted without a season; its expected repeat orders per month, from the first orders alone, carry growth and
    dropout, so that a growing shop's December is not taken for a season.

    Each whole year is compared with itself; what the years agree on is kept, in proportion to their agreement
    (an empirical-Bayes weight on the logarithms).
    """
    if not len(repeat_day):
        return None, "Season not learned: there are no repeat orders."
    start = float(first_day.min())
    years = int((as_of_day + 1 - start) // YEAR_DAYS)
    if years < LEAST_YEARS:
        return None, f"Season not learned: the orders span {as_of_day - start:.0f} days, {LEAST_YEARS} whole years are needed."
    last_month = month_of(as_of_day + 1)  # the first month that is not whole
    months = np.arange(last_month - MONTHS * years, last_month)
    if first_days(months[:1])[0] < start - 31:
        months = months[MONTHS:]
        years -= 1
        if years < LEAST_YEARS:
            return None, f"Season not learned: the orders span fewer than {LEAST_YEARS} whole calendar years."
    edges = first_days(np.append(months, last_month))
    seen = np.histogram(repeat_day, edges)[0].astype(float)
    expected = np.diff(_expected_until(edges, first_day, model))
    by_year_seen, by_year = seen.reshape(years, MONTHS), expected.reshape(years, MONTHS)
    # Half an order on either side keeps a silent month finite.
    share_seen = (by_year_seen + 0.5) / (by_year_seen + 0.5).sum(1, keepdims=True)
    share = (by_year + 0.5) / (by_year + 0.5).sum(1, keepdims=True)
    logs = np.log(share_seen / share)
    swing = logs.mean(0)
    noise = float(logs.var(0, ddof=1).mean()) / years
    signal = max(float(swing.var()) - noise, 0.0)
    index = np.exp(swing * signal / (signal + noise + 1e-12))
    calendar = np.empty(MONTHS)
    calendar[months[:MONTHS] % MONTHS] = index
    calendar /= calendar.mean()
    if np.abs(calendar - 1).max() < LEAST_SWING:
        return None, f"Season not used: over {years} years no month repeats a difference of {LEAST_SWING:.0%} or more."
    return Season(tuple(float(pace) for pace in calendar), years), ""


def _expected_until(edges: Floats, first_day: NDArray[np.int64], model: OrderModel) -> Floats:
    """Return the repeat orders expected in total up to each edge, from the days of the first orders alone."""
    days, customers = np.unique(first_day, return_counts=True)
    # The curve since the first order is smooth: sixty points of it, dense at the start, and straight lines between.
    ages = np.concatenate([[0.0], np.geomspace(0.5, max(float(edges[-1] - days[0]), 1.0), 60)])
    curve = model.expected_from_start(ages)
    return np.array([float(customers @ np.interp(np.maximum(edge - days, 0.0), ages, curve)) for edge in edges])
