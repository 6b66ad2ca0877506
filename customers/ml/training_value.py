"""The training run of the value model: orders to come, probability of being active, amounts."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from crm.core import clock
from crm.core.learning import modelstore, registry
from crm.core.learning.evaluation import Figure, bootstrap, calibration_error, compare
from crm.core.learning.reports import ModelReport, ReportedFigure, ReportTable, calibration_bins, tenths
from customers.ml import judging
from customers.ml.errors_value import normalised_gini, rank_agreement
from customers.ml.features import Outcomes
from customers.ml.learning_value import Learned, learn_value
from customers.ml.saved import value_model
from customers.ml.value import ValueForecast

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Part of every data hash: raise when the same rows would give another model.
RECIPE = 2
LAST_PERIOD = "the same again as in the period before"


def train_value(*, as_of: datetime, force: bool = False) -> registry.TrainingOutcome:
    """Train expected orders, probability of being active and amount per order; judged on the last 90 days."""
    started = time.monotonic()
    rows, data_hash = judging.orders(as_of, recipe=RECIPE)
    if not force and (same := modelstore.unchanged("value", data_hash)):
        return registry.skipped(same)
    split = judging.split(rows)
    known = judging.known_before(rows, split.days)
    judged = learn_value(known.customer, known.day, known.amount, as_of_day=known.as_of_day, horizon_days=split.days).model
    forecast = judged.forecast(split.history, horizon_days=split.days)
    figure = bootstrap(rank_agreement, forecast.value, split.spend)
    metrics, baseline = _figures(forecast, split)
    learned = learn_value(rows.customer, rows.day, rows.amount, as_of_day=rows.as_of_day)
    model = learned.model
    version = modelstore.save(
        task="value",
        algorithm=model.described,
        tensors={},
        config={"model": model.to_config(), "currency": rows.currencies.main},
        metrics=metrics,
        baseline=baseline,
        report=replace(
            _report(forecast, split, learned, figure), data=judging.learned_from_orders(rows, as_of=as_of, inputs=("order_days", "order_amounts"))
        ).as_dict(),
        data_hash=data_hash,
        rows=len(rows),
        as_of=as_of,
        trained_at=clock.now(),
        seconds=time.monotonic() - started,
    )
    verdict = compare(
        challenger=figure.value,
        champion=_champion(split),
        baseline=rank_agreement(split.last_spend, split.spend),
        margin=judging.standard_error(figure),
    )
    return judging.concluded(version, verdict, as_of=as_of)


def _figures(forecast: ValueForecast, split: Outcomes) -> tuple[dict[str, float], dict[str, float]]:
    def figures(orders: NDArray[Any], spend: NDArray[Any]) -> dict[str, float]:
        return {
            "spearman_spend": rank_agreement(spend, split.spend),
            "spearman_orders": rank_agreement(orders, split.orders),
            "mae_orders": float(np.abs(orders - split.orders).mean()),
            "mae_spend": float(np.abs(spend - split.spend).mean()),
            "gini_spend": normalised_gini(spend, split.spend),
            "total_orders_ratio": float(orders.sum() / max(split.orders.sum(), 1)),
            "customers": len(split.history),
        }

    return figures(forecast.orders, forecast.value), figures(split.last_orders, split.last_spend)


def _report(forecast: ValueForecast, split: Outcomes, learned: Learned, rank: Figure) -> ModelReport:
    def absolute(predicted: NDArray[Any], actual: NDArray[Any]) -> float:
        return float(np.abs(predicted - actual).mean())

    model = learned.model
    buys = 1 - np.exp(-forecast.orders)
    inside = (split.orders >= forecast.orders_low) & (split.orders <= forecast.orders_high)
    return ModelReport(
        method=f"Fitted on the facts up to {split.days} days ago, judged on the {split.days} days since; the version that serves is then fitted on everything.",
        baseline=LAST_PERIOD,
        figures=(
            ReportedFigure.of("spearman_spend", rank, baseline=rank_agreement(split.last_spend, split.spend), style="number"),
            ReportedFigure.of(
                "spearman_orders",
                bootstrap(rank_agreement, forecast.orders, split.orders),
                baseline=rank_agreement(split.last_orders, split.orders),
                style="number",
            ),
            ReportedFigure.of(
                "mae_orders",
                bootstrap(absolute, forecast.orders, split.orders),
                baseline=absolute(split.last_orders, split.orders),
                style="number",
                higher_is_better=False,
            ),
            ReportedFigure.of(
                "mae_spend",
                bootstrap(absolute, forecast.value, split.spend),
                baseline=absolute(split.last_spend, split.spend),
                style="money",
                higher_is_better=False,
            ),
            ReportedFigure("interval_coverage", float(inside.mean()), style="share"),
            ReportedFigure("calibration_error", calibration_error(split.bought_again, buys), style="share", higher_is_better=False),
        ),
        calibration=calibration_bins(split.bought_again, buys),
        tables=(
            tenths(forecast.value, split.spend),
            ReportTable(
                "candidates",
                ("name", "value"),
                # Mean log-density per customer of the part kept back; the reasons of those refused are in the notes.
                tuple((one.name, one.holdout) for one in learned.tried if one.holdout is not None),
            ),
            ReportTable(
                "parameters",
                ("name", "value"),
                tuple((name, value) for part in (model.rate, model.spend) for name, value in part.to_config().items() if name != "within"),
            ),
        ),
        notes=model.notes,
    )


def _champion(split: Outcomes) -> float | None:
    """Return the serving model's figure on the same rows. It may have seen some of them, which only favours it."""
    try:
        serving = modelstore.build("value", value_model)
    except (modelstore.ModelMissing, modelstore.ModelCorrupt, modelstore.ModelIncompatible):
        return None
    return rank_agreement(serving.forecast(split.history, horizon_days=split.days).value, split.spend)
