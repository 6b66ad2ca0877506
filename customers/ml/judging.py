"""What the training runs of the customer models share: the rows, the period held out to judge on, and how a run ends."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from django.conf import settings

from crm.core import clock
from crm.core.learning import modelstore, registry, rounds
from crm.core.learning.evaluation import Figure, Verdict
from customers import portrait
from customers.ml import dataset, learned_from
from customers.ml.features import Outcomes, holdout_days, outcomes

if TYPE_CHECKING:
    from crm.core.learning.reports import DataCard
    from crm.core.models import ModelVersion


def orders(as_of: datetime, *, recipe: int) -> tuple[dataset.OrderRows, str]:
    """Return the shop's orders and their fingerprint. recipe: raise it when the same rows would give another model."""
    known = dataset.currencies(as_of=as_of, default=settings.CRM_CURRENCY)
    rows = dataset.order_rows(as_of=as_of, known=known)
    # The day belongs to the data: a week of silence is a fact although no row changed.
    return rows, modelstore.fingerprint("orders", recipe, rows.as_of_day, rows.customer, rows.day, rows.amount)


def split(rows: dataset.OrderRows) -> Outcomes:
    """Return the facts before the held-out period beside what came in it. Raises TooFewOrders."""
    days = holdout_days(rows.day, rows.as_of_day)
    return outcomes(known_before(rows, days), rows, days=days)


def period_before(rows: dataset.OrderRows, days: int) -> tuple[dataset.OrderRows, Outcomes]:
    """Return the facts and outcomes one period before the judged one. Raises TooFewOrders."""
    known = known_before(rows, 2 * days)
    return known, outcomes(known, rows, days=days)


def known_before(rows: dataset.OrderRows, days: int) -> dataset.OrderRows:
    """Return the rows as they stood `days` before the as-of day."""
    return dataset.order_rows(as_of=end_of(rows.as_of_day - days), known=rows.currencies)


def end_of(day: int) -> datetime:
    return datetime.fromtimestamp((day + 1) * dataset.SECONDS_A_DAY - 1e-3, tz=UTC)


def learned_from_orders(rows: dataset.OrderRows, *, as_of: datetime, inputs: tuple[str, ...]) -> DataCard:
    """Return what a model of orders learned from; three queries. rows: not empty."""
    days = float(rows.day.min()), float(rows.day.max())
    return learned_from.card(people=rows.customer, moments=(days[0] * dataset.SECONDS_A_DAY, days[1] * dataset.SECONDS_A_DAY), features=inputs, as_of=as_of)


def standard_error(figure: Figure) -> float:
    """Return the bootstrap standard error: versions closer than this on the same rows cannot be told apart."""
    error = (figure.high - figure.low) / 3.92
    return float(error) if np.isfinite(error) else 0.0


def concluded(version: ModelVersion, verdict: Verdict, *, as_of: datetime) -> registry.TrainingOutcome:
    """Promote or keep, and have the portraits follow a promotion: once, where several models are trained in one go."""
    outcome = registry.conclude(version, verdict, at=clock.now())
    if outcome.state is registry.Outcome.TRAINED:
        rounds.afterwards("portraits", partial(portrait.refresh, as_of=as_of, cause="training"))
    return outcome
