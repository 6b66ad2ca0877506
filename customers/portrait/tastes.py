"""What each customer likes, as the JSON of `Portrait.tastes`.

    {"from": "orders", "categories": [[12, 0.55], [7, 0.3]], "price_level": 0.8, "discount": 0.4, "hours": [18, 23], "channel": "Tea shop"}

categories: ids with their shares of spending (of looks, for people who only browsed).  price_level: 0 the cheapest of
their categories, 1 the dearest.  discount: share of orders with one.  hours: first and last hour of the part of the day
in which most orders fall, where at least LEAST_SHARE of at least FEWEST_ORDERS do.  channel: the source of most orders,
where the shop has several.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from customers.features.orders import DAYPART_OF_HOUR, DAYPARTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from customers.features.builder import Parts

    Floats = NDArray[np.float64]

MOST_CATEGORIES = 5
FEWEST_ORDERS, LEAST_SHARE = 3, 0.4
HOURS = {"night": [23, 5], "morning": [5, 11], "midday": [11, 14], "afternoon": [14, 18], "evening": [18, 23]}


def tastes(parts: Parts, sources: dict[int, str]) -> list[str]:
    """Return the JSON of each customer. sources: names by id."""
    size = len(parts.table)
    bought = _favourites(parts.goods.place, parts.goods.category, parts.goods.spent, size)
    looks = parts.browsing.counts["views_90"] * (parts.browsing.of_product > 0)
    looked = _favourites(parts.browsing.place, parts.browsing.category, looks, size)
    hours, channel = _hours(parts, size), _channels(parts, size, sources)
    levels, discounts = parts.table.column("price_level").tolist(), parts.table.column("discounted_orders").tolist()
    made = []
    for place in range(size):
        said: dict[str, Any] = {}
        if bought[place]:
            said = {"from": "orders", "categories": bought[place]}
        elif looked[place]:
            said = {"from": "browsing", "categories": looked[place]}
        if levels[place] == levels[place]:
            said["price_level"] = round(levels[place], 3)
        if discounts[place] == discounts[place]:
            said["discount"] = round(discounts[place], 3)
        if hours[place] is not None:
            said["hours"] = hours[place]
        if channel[place]:
            said["channel"] = channel[place]
        made.append(orjson.dumps(said).decode())
    return made


def _favourites(place: NDArray[np.int64], category: NDArray[np.int64], weight: Floats, size: int) -> list[list[list[float]]]:
    """Return per customer the categories of most weight, [[id, share], ...]; nothing for what has no category."""
    found: list[list[list[float]]] = [[] for _customer in range(size)]
    counted = np.flatnonzero((weight > 0) & (category > 0))
    total = np.bincount(place[counted], weights=weight[counted], minlength=size)
    order = counted[np.lexsort((category[counted], -weight[counted], place[counted]))]
    share = np.round(weight[order] / np.maximum(total[place[order]], 1e-9), 3)
    for who, which, part in zip(place[order].tolist(), category[order].tolist(), share.tolist(), strict=True):
        if len(found[who]) < MOST_CATEGORIES:
            found[who].append([which, part])
    return found


def _hours(parts: Parts, size: int) -> list[list[int] | None]:
    counts = np.zeros((size, len(DAYPARTS)))
    np.add.at(counts, (parts.orders.place, DAYPART_OF_HOUR[parts.orders.hour]), 1.0)
    total, best = counts.sum(axis=1), counts.argmax(axis=1)
    clear = (total >= FEWEST_ORDERS) & (counts.max(axis=1) >= LEAST_SHARE * total)
    return [HOURS[DAYPARTS[part]] if told else None for part, told in zip(best.tolist(), clear.tolist(), strict=True)]


def _channels(parts: Parts, size: int, sources: dict[int, str]) -> list[str]:
    if len(sources) < 2 or not len(parts.orders):
        return [""] * size
    known = np.array(sorted(sources))
    which = np.searchsorted(known, parts.orders.source).clip(max=len(known) - 1)
    counts = np.bincount(parts.orders.place * len(known) + which, minlength=size * len(known)).reshape(size, len(known))
    names = [sources[int(key)] for key in known]
    return [names[best] if total else "" for best, total in zip(counts.argmax(axis=1).tolist(), counts.sum(axis=1).tolist(), strict=True)]
