"""Which models serve a refresh, and what serves where none is promoted.

A task without a usable model is served by its stated baseline and carries version 0:

    value          expected orders and value repeat the last 90 and 365 days; no probability of being active is claimed
    lifecycle      the rhythm of a general shop (median gap 60 days) instead of this one's
    sentiment      the stars of a review instead of its words
    churn          no order in 90 days, as a Poisson count of the orders the value model expects
    next_purchase  an order in 30 days, likewise; neither is claimed without a value model
    returns        returns per order so far, drawn towards the shop's
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db import connection

from crm.core.errors import CrmError
from crm.core.learning import modelstore
from crm.core.text.encoder import EncoderCorrupt, EncoderMissing
from customers.ml.hmm.stages import StageModel
from customers.ml.lifecycle import Lifecycle
from customers.ml.saved import sentiment_model, stage_model, value_model
from customers.ml.tabular.propensity import propensity_model
from customers.models import Review

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from customers.ml.tabular.propensity import PropensityModel
    from customers.ml.value import ValueModel

logger = logging.getLogger(__name__)

TASKS = ("value", "lifecycle", "sentiment", "churn", "next_purchase", "returns")
PROPENSITIES = ("churn", "next_purchase", "returns")
UNUSABLE = (modelstore.ModelMissing, modelstore.ModelCorrupt, modelstore.ModelIncompatible)
# Reviews scored per refresh: at 5 ms each this is under two minutes; the rest count by their stars until the next one.
MOST_REVIEWS = 20_000
REVIEW_BATCH = 512


def _no_versions() -> dict[str, int]:
    return dict.fromkeys(TASKS, 0)


@dataclass(slots=True)
class Models:
    """value, propensities: None or absent where the baseline serves.  stages: always there, untrained as a baseline.

    versions: per task, 0 for its baseline.  notes: why a baseline serves.
    """

    value: ValueModel | None = None
    stages: StageModel = field(default_factory=lambda: StageModel(Lifecycle().fit([], [])))
    propensities: dict[str, PropensityModel] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=_no_versions)
    notes: list[str] = field(default_factory=list)


def serving() -> Models:
    """Return the promoted models; files are read once per process and version."""
    models = Models()
    models.value = _built(models, "value", value_model)
    models.stages = _built(models, "lifecycle", stage_model) or models.stages
    for task in PROPENSITIES:
        if (model := _built(models, task, propensity_model)) is not None:
            models.propensities[task] = model
    return models


def _built(models: Models, task: str, make: Callable[[Any], Any]) -> Any:
    try:
        built = modelstore.build(task, make)
    except UNUSABLE as error:
        models.notes.append(error.text)
        return None
    models.versions[task] = version_of(task)
    return built


def version_of(task: str) -> int:
    """Return the number of the serving version, 0 without one."""
    version = modelstore.champion(task)
    return version.version if version else 0


def read_reviews(as_of: datetime) -> tuple[int, int, str]:
    """Have the serving sentiment model read the reviews it has not read yet, newest first, but of people who refuse it.

    Returns (how many, its version, why none where there is none); version 0 means that the stars count.
    """
    try:
        reader = modelstore.build("sentiment", sentiment_model)
        number = version_of("sentiment")
        unread = Review.objects.exclude(body="").filter(written_at__lte=as_of).exclude(sentiment_version=number).exclude(customer__profiling_refused=True)
        rows = list(unread.order_by("-written_at", "-id").values_list("pk", "body")[:MOST_REVIEWS])
        for begin in range(0, len(rows), REVIEW_BATCH):
            part = rows[begin : begin + REVIEW_BATCH]
            moods = reader.predict([body for _pk, body in part]).score
            with connection.cursor() as cursor:
                cursor.execute(
                    "UPDATE customers_review SET sentiment = said.mood, sentiment_version = %s "
                    "FROM unnest(%s::bigint[], %s::float8[]) AS said(id, mood) WHERE customers_review.id = said.id",
                    [number, [pk for pk, _body in part], [float(mood) for mood in moods]],
                )
    except (*UNUSABLE, EncoderMissing, EncoderCorrupt) as error:
        return 0, 0, error.text
    except CrmError as error:  # The encoder was changed: the stars serve until the model is retrained.
        logger.warning("reviews not scored", extra={"code": error.code})
        return 0, 0, error.text
    return len(rows), number, ""
