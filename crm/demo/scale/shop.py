"""Who the generated shop's people are and what they did, as columns; the same for the same seed, counts and last day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Whole = NDArray[np.int64]

DAY = 86_400
YEARS_DAYS = 1095
CATEGORIES, PRODUCTS = 24, 2_400
# Share of people who ever order; the others only look around.
BUYERS = 0.85
EVENTS = ("Product Viewed", "Product Added", "Products Searched", "Checkout Started", "")
EVENT_SHARES = (0.55, 0.12, 0.08, 0.05, 0.20)
CHUNK = 200_000


@dataclass(frozen=True, slots=True)
class People:
    """arrived, gone: (n,) seconds since 1970.  rate: (n,) weight of ordering.  likes: (n,) favourite category 0-23."""

    arrived: Whole
    gone: Whole
    rate: Floats
    looks: Floats
    likes: Whole
    thrifty: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.arrived)


def people(rng: np.random.Generator, count: int, until: int) -> People:
    """Return people who came over three years, more of them lately, and of whom many have left again."""
    arrived = until - (YEARS_DAYS * DAY * (1 - rng.random(count) ** 0.7)).astype(np.int64) - DAY
    gone = np.minimum(arrived + (rng.exponential(500, count) * DAY).astype(np.int64) + DAY, until)
    rate = rng.gamma(1.2, 1.0, count) * (rng.random(count) < BUYERS)
    return People(arrived, gone, rate, rng.gamma(0.8, 1.0, count) + 0.02, rng.integers(0, CATEGORIES, count), rng.random(count) < 0.3)


def happenings(rng: np.random.Generator, weights: Floats, crowd: People, count: int) -> tuple[Whole, Whole]:
    """Return (person, seconds) of `count` happenings while people were around, in the order of time."""
    total = np.cumsum(weights * (crowd.gone - crowd.arrived))
    who = np.searchsorted(total, rng.random(count) * total[-1], side="right").clip(max=len(crowd) - 1)
    at = crowd.arrived[who] + (rng.random(count) * (crowd.gone[who] - crowd.arrived[who])).astype(np.int64)
    order = np.argsort(at, kind="stable")
    return who[order].astype(np.int64), at[order]


def prices(rng: np.random.Generator) -> Whole:
    """Return each product's price in cents; product p is of category p % CATEGORIES."""
    return np.maximum((np.exp(rng.normal(4.2, 0.7, PRODUCTS)) * 100).astype(np.int64), 100)


def baskets(seed: int, crowd: People, who: Whole, price: Whole) -> Iterator[tuple[int, Whole, Whole, Whole, Whole]]:
    """Yield per chunk of orders (first order, line's order within the chunk, product, quantity, discount of each order in cents)."""
    for begin in range(0, len(who), CHUNK):
        rng = np.random.default_rng([seed, begin])
        buyer = who[begin : begin + CHUNK]
        order = np.repeat(np.arange(len(buyer)), 1 + rng.poisson(1.0, len(buyer)))
        favourite = rng.random(len(order)) < 0.6
        category = np.where(favourite, crowd.likes[buyer[order]], rng.integers(0, CATEGORIES, len(order)))
        product = (rng.random(len(order)) ** 2 * (PRODUCTS // CATEGORIES)).astype(np.int64) * CATEGORIES + category
        quantity = 1 + rng.poisson(0.3, len(order))
        total = np.bincount(order, weights=price[product] * quantity, minlength=len(buyer)).astype(np.int64)
        discount = np.where(rng.random(len(buyer)) < np.where(crowd.thrifty[buyer], 0.6, 0.1), total // 10, 0)
        yield begin, order, product, quantity, discount
