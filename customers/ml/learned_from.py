"""What a model learned from, for its page: the period, the inputs, and the groups of people its rows know too little of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from crm.core import rows
from crm.core.learning.reports import DataCard
from customers.ml.tabular_dataset import traits

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A group counts as under-represented with fewer rows than this, or with less than this part of its share among everybody.
FEWEST_ROWS, SHARE_KEPT = 100, 0.7
# A group smaller than this share of everybody is an accident rather than a group.
LEAST_SHARE = 0.01
MOST_PEOPLE, MOST_GROUPS = 20_000, 8


def card(
    *,
    people: NDArray[np.int64],
    moments: tuple[float, float],
    features: Sequence[str],
    as_of: datetime,
    personal: Sequence[str] = (),
    sensitive: Sequence[str] = (),
) -> DataCard:
    """Return the card of a model. people: whom its rows are of.  moments: first and last, seconds since 1970.  Three queries.

    features: all inputs by name.  personal: those that say who a person is.  sensitive: those the law protects.
    """
    who = np.unique(people)
    if len(who) > MOST_PEOPLE:
        who = who[np.linspace(0, len(who) - 1, MOST_PEOPLE).astype(np.int64)]
    first, last = (datetime.fromtimestamp(moment, tz=UTC).date().isoformat() for moment in moments)
    return DataCard(first, last, tuple(features), tuple(personal), tuple(sensitive), under_represented=under_represented(traits(who, as_of=as_of), as_of))


def under_represented(groups: Mapping[str, NDArray[np.str_]], cut: datetime) -> tuple[tuple[str, float, float], ...]:
    """Return (group, share of the rows, share of everybody) of the groups the rows know too little of; two queries.

    groups: of each row by language, country, gender, age and device, "" where unknown.
    """
    found = rows.query(
        "SELECT id FROM customers_customer WHERE merged_into_id IS NULL AND NOT is_anonymous AND first_seen_at <= %s LIMIT %s", [cut, MOST_PEOPLE]
    )
    people = np.array([row[0] for row in found], dtype=np.int64)
    lacking = []
    for attribute, everybody in traits(people, as_of=cut).items():
        given, known = groups[attribute][groups[attribute] != ""], everybody[everybody != ""]
        for name, count in zip(*np.unique(known, return_counts=True), strict=True):
            inside, share = int((given == name).sum()), float(count / len(known))
            part = inside / max(len(given), 1)
            if share >= LEAST_SHARE and (inside < FEWEST_ROWS or part < SHARE_KEPT * share):
                lacking.append((f"{attribute}={name}", round(part, 4), round(share, 4)))
    return tuple(sorted(lacking, key=lambda row: row[1]))[:MOST_GROUPS]
