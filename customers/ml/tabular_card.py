"""What a propensity model learned from: its inputs, whom the rows know too little of, and how everything was spread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from django.db import connection

from crm.core.learning.drift import Reference, references
from crm.core.learning.reports import DataCard
from customers import features
from customers.ml.learned_from import under_represented
from customers.models import Customer

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from customers.ml.tabular.propensity import PropensityModel
    from customers.ml.training_tabular import Judged

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
        under_represented=under_represented(groups, held_out.cut),
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
