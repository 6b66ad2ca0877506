"""What a propensity model learned from: its inputs, whom the rows know too little of, and how everything was spread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from django.db import connection

from crm.core.learning.drift import Reference, references
from crm.core.learning.reports import DataCard
from customers import features
from customers.ml.tabular_dataset import traits
from customers.models import Customer

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from customers.ml.tabular.propensity import PropensityModel
    from customers.ml.training_tabular import Judged

# A group counts as under-represented with fewer rows than this, or with less than this part of its share among everybody.
FEWEST_ROWS, SHARE_KEPT = 100, 0.7
MOST_PEOPLE = 50_000


def data_card(judged: Judged, groups: Mapping[str, NDArray[np.str_]]) -> DataCard:
    """Return the card of a judged model. groups: of the held-out rows, "" where unknown.  Two queries."""
    names = judged.choice.model.names
    known = {feature.name: feature for feature in features.catalogue()}
    held_out = judged.held_out
    return DataCard(
        data_from=_first_day(held_out.cut),
        data_to=held_out.cut.date().isoformat(),
        features=tuple(names),
        personal=tuple(name for name in names if name in known and known[name].personal),
        sensitive=tuple(name for name in names if name in known and known[name].sensitive),
        left_out=tuple(sorted(judged.left_out.items())),
        under_represented=_under_represented(groups, held_out.cut),
    )


def references_of(model: PropensityModel, *, as_of: datetime) -> tuple[Reference, ...]:
    """Return how each used feature and the score were spread over today's customers when the model was trained.

    Against these, not against the older rows learned from: growth and season would call a model drifted on its first day.
    """
    people = Customer.objects.people().count()
    table = features.build(as_of=as_of, sample=min(1.0, MOST_PEOPLE / max(people, 1)), context=features.prepare(as_of=as_of))
    asked = table.only(model.asked(table))
    if not len(asked):
        return ()
    return references({**{name: asked.column(name) for name in model.model.names if name in asked.names}, "score": model.score(asked).probability})


def _first_day(cut: datetime) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(placed_at) FROM customers_order WHERE placed_at <= %s AND status <> 'cancelled'", [cut])
        (first,) = cursor.fetchone()
    return "" if first is None else str(first.date().isoformat())


def _under_represented(groups: Mapping[str, NDArray[np.str_]], cut: datetime) -> tuple[tuple[str, float, float], ...]:
    """Return (group, share of the rows, share of everybody) of language, country, gender and age groups the rows know little of."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM customers_customer WHERE merged_into_id IS NULL AND NOT is_anonymous AND first_seen_at <= %s LIMIT %s", [cut, MOST_PEOPLE]
        )
        people = np.array([row[0] for row in cursor.fetchall()], dtype=np.int64)
    found = []
    for attribute, everybody in traits(people, as_of=cut).items():
        rows, known = groups[attribute][groups[attribute] != ""], everybody[everybody != ""]
        for name, count in zip(*np.unique(known, return_counts=True), strict=True):
            inside, share = int((rows == name).sum()), float(count / len(known))
            part = inside / max(len(rows), 1)
            if share >= 0.01 and (inside < FEWEST_ROWS or part < SHARE_KEPT * share):
                found.append((f"{attribute}={name}", round(part, 4), round(share, 4)))
    return tuple(sorted(found, key=lambda row: row[1]))[:8]
