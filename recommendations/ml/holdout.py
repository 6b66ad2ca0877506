"""How well a ranker foresees each customer's next order, measured as it would have served. Pure.

The cut is a moment: everything before it may be learnt from, the first order after it of each customer known by then is
what must be found. No later order of anybody leaks into the learning, which leave-last-out per customer does not ensure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crm.core.learning.evaluation import Figure, bootstrap

if TYPE_CHECKING:
    from recommendations.ml.dataset import Interactions

Ints = NDArray[np.int64]
Scorer = Callable[[Sequence[Sequence[int]]], NDArray[np.floating]]
BLOCK = 512
TOP = 10


@dataclass(frozen=True, slots=True)
class NextOrders:
    """What is to be foreseen. day: the cut.  customers (n,): numbers.  histories: products oldest first, each once at its
    last purchase.  baskets: products of the next order that could be shown.  banned: bought too short a while before."""

    day: float
    customers: Ints
    histories: list[list[int]]
    baskets: list[list[int]]
    banned: list[list[int]]


@dataclass(frozen=True, slots=True)
class OrderFigures:
    """hit_rate: share of next orders with at least one product among the first ten.  ndcg: how high the products came
    (Järvelin & Kekäläinen 2002, binary gain).  new_hit_rate: hits on products never bought before, of orders that have
    one.  coverage: share of products in anyone's first ten.  hits, gains: (n,) per customer."""

    hit_rate: Figure
    ndcg: Figure
    new_hit_rate: Figure
    coverage: float
    hits: NDArray[np.float64]
    gains: NDArray[np.float64]


def cut_day(rows: Interactions, *, share: float = 0.2) -> float:
    """Return the moment that leaves about `share` of the orders at or after it."""
    _, first = np.unique(rows.order, return_index=True)
    days = np.sort(rows.day[first])
    return float(days[min(len(days) - 1, int(np.ceil(len(days) * (1 - share))))]) if len(days) else 0.0


def histories(rows: Interactions, customers: Ints) -> list[list[int]]:
    """Return each customer's products, oldest first, each once at its last purchase."""
    order = np.lexsort((np.arange(len(rows.customer)), rows.day, rows.customer))
    people, products = rows.customer[order], rows.product[order]
    starts, ends = np.searchsorted(people, customers, "left"), np.searchsorted(people, customers, "right")
    found = []
    for start, end in zip(starts, ends, strict=True):
        # From the newest back: the first sight of a product is its last purchase.
        newest_first = dict.fromkeys(products[start:end][::-1].tolist())
        found.append(list(newest_first)[::-1])
    return found


def bought_since(rows: Interactions, customers: Ints, *, day: float) -> list[list[int]]:
    """Return the products each customer bought after that day."""
    late = rows.day > day
    pairs = np.unique(np.column_stack([rows.customer[late], rows.product[late]]), axis=0)
    starts, ends = np.searchsorted(pairs[:, 0], customers, "left"), np.searchsorted(pairs[:, 0], customers, "right")
    return [pairs[start:end, 1].tolist() for start, end in zip(starts, ends, strict=True)]


def next_orders(rows: Interactions, *, day: float, rebuy_days: float) -> NextOrders:
    """Return the first order at or after the cut of every customer who bought before it.

    Products bought within `rebuy_days` before the cut are never shown, so they are no target either; an order of nothing
    else is left out.
    """
    before, after = rows.day < day, rows.day >= day
    known = np.unique(rows.customer[before])
    later = np.flatnonzero(after & np.isin(rows.customer, known))
    order = later[np.lexsort((rows.order[later], rows.day[later], rows.customer[later]))]
    people, first = np.unique(rows.customer[order], return_index=True)
    first_order = rows.order[order][first]
    past = rows.before(day)
    banned = bought_since(past, people, day=day - rebuy_days)
    baskets = []
    for person, number, never in zip(people, first_order, banned, strict=True):
        start, end = np.searchsorted(rows.customer[order], [person, person + 1])
        mine = order[start:end]
        wanted = dict.fromkeys(rows.product[mine[rows.order[mine] == number]].tolist())
        baskets.append([product for product in wanted if product not in set(never)])
    kept = [index for index, basket in enumerate(baskets) if basket]
    people = people[kept]
    return NextOrders(day=day, customers=people, histories=histories(past, people), baskets=[baskets[i] for i in kept], banned=[banned[i] for i in kept])


def measure(scorer: Scorer, wanted: NextOrders, *, top: int = TOP, seed: int = 0) -> OrderFigures:
    """Return how well the first `top` of each customer's ranking foresee the order; intervals over customers.

    scorer: histories -> scores of every product (n, p).  Ties are broken at random from the seed, so that the order of
    product numbers neither helps nor harms.
    """
    generator = np.random.default_rng(seed)
    discount = 1 / np.log2(np.arange(2, top + 2))
    hits, gains, new_hits = np.zeros(len(wanted.baskets)), np.zeros(len(wanted.baskets)), np.full(len(wanted.baskets), np.nan)
    shown: set[int] = set()
    products = 0
    for begin in range(0, len(wanted.baskets), BLOCK):
        scores = np.array(scorer(wanted.histories[begin : begin + BLOCK]), dtype=np.float64)
        products = scores.shape[1]
        for row, never in enumerate(wanted.banned[begin : begin + BLOCK]):
            scores[row, never] = -np.inf
        noise = generator.random(scores.shape)
        for row in range(len(scores)):
            customer = begin + row
            first = np.lexsort((noise[row], -scores[row]))[:top]
            shown.update(first.tolist())
            basket, owned = set(wanted.baskets[customer]), set(wanted.histories[customer])
            found = np.fromiter((item in basket for item in first.tolist()), dtype=bool, count=len(first))
            hits[customer] = float(found.any())
            gains[customer] = float(discount[: len(first)][found].sum() / discount[: min(len(basket), top)].sum())
            fresh = basket - owned
            if fresh:
                new_hits[customer] = float(any(item in fresh for item in first.tolist()))
    with_new = new_hits[~np.isnan(new_hits)]
    return OrderFigures(
        hit_rate=bootstrap(np.mean, hits, seed=seed),
        ndcg=bootstrap(np.mean, gains, seed=seed),
        new_hit_rate=bootstrap(np.mean, with_new, seed=seed),
        coverage=len(shown) / products if products else 0.0,
        hits=hits,
        gains=gains,
    )
