"""Measures once a week whether customers still look as they did when the models were trained."""

from __future__ import annotations

from datetime import datetime

from crm.core.learning import modelstore, readings
from crm.core.learning.reports import ModelReport
from customers import features
from customers.ml.tabular.propensity import propensity_model
from customers.models import Customer

TASKS = ("churn", "next_purchase", "returns")
# Enough for a stability index to a hundredth, whatever the shop's size.
MOST_CUSTOMERS = 20_000


def measure(*, as_of: datetime) -> dict[str, float]:
    """Keep this week's readings of every model that serves, and return each one's index of the score.

    One build of features over a sample serves all models; a model without references, or that cannot be loaded, is left out.
    """
    serving = [version for task in TASKS if (version := modelstore.champion(task)) and ModelReport.from_dict(version.report).references]
    if not serving:
        return {}
    share = min(1.0, MOST_CUSTOMERS / max(Customer.objects.people().count(), 1))
    table = features.build(as_of=as_of, sample=share, context=features.prepare(as_of=as_of))
    found: dict[str, float] = {}
    for version in serving:
        try:
            model = modelstore.build(version.task, propensity_model)
        except (modelstore.ModelMissing, modelstore.ModelCorrupt, modelstore.ModelIncompatible):
            continue
        asked = table.only(model.asked(table))
        if not len(asked):
            continue
        columns = {name: asked.column(name) for name in asked.names} | {"score": model.score(asked).probability}
        found[version.task] = readings.record(version=version, columns=columns, at=as_of).get("score", 0.0)
    return found
