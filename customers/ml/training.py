"""Training runs of the customer models value and sentiment; the stages have training_lifecycle.

Each takes the facts up to `as_of`, skips when they are unchanged, judges the method on a period it has not seen, fits
on everything, saves, and lets the new version serve only if it is good enough on the same rows as its rivals.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import spearmanr

from crm.core import clock
from crm.core.learning import modelstore, registry
from crm.core.learning.evaluation import Figure, Verdict, bootstrap, calibration_error, compare, macro_f1
from crm.core.learning.reports import ModelReport, ReportedFigure, ReportTable, calibration_bins, tenths
from crm.core.text import encoder
from customers.ml import dataset, judging
from customers.ml.features import Outcomes
from customers.ml.reviews import ReviewSentiment
from customers.ml.saved import sentiment_model, value_model
from customers.ml.value import ValueForecast, ValueModel, fit_value, summarise_orders

if TYPE_CHECKING:
    from numpy.typing import NDArray


# Part of every data hash: raise when the same rows would give another model.
RECIPE = 1
LAST_PERIOD = "the same again as in the period before"
# New reviews needed since the serving sentiment model to compare on reviews neither has learned from.
FEWEST_NEW_REVIEWS = 30


def train_value(*, as_of: datetime, force: bool = False) -> registry.TrainingOutcome:
    """Train expected orders, probability of being active and amount per order; judged on the last 90 days."""
    started = time.monotonic()
    rows, data_hash = judging.orders(as_of, recipe=RECIPE)
    if not force and (same := modelstore.unchanged("value", data_hash)):
        return registry.skipped(same)
    split = judging.split(rows)
    forecast = fit_value(split.history).forecast(split.history, horizon_days=split.days)
    figure = bootstrap(_rank_agreement, forecast.value, split.spend)
    metrics, baseline = _value_figures(forecast, split)
    model = fit_value(summarise_orders(rows.customer, rows.day, rows.amount, as_of_day=rows.as_of_day))
    version = modelstore.save(
        task="value",
        algorithm=f"{model.rate.kind} + {model.spend.kind}",
        tensors={},
        config={"model": model.to_config(), "currency": rows.currencies.main},
        metrics=metrics,
        baseline=baseline,
        report=_value_report(forecast, split, model, figure).as_dict(),
        data_hash=data_hash,
        rows=len(rows),
        as_of=as_of,
        trained_at=clock.now(),
        seconds=time.monotonic() - started,
    )
    verdict = compare(
        challenger=figure.value,
        champion=_champion_value(split),
        baseline=_rank_agreement(split.last_spend, split.spend),
        margin=judging.standard_error(figure),
    )
    return judging.concluded(version, verdict, as_of=as_of)


def train_sentiment(*, as_of: datetime, force: bool = False) -> registry.TrainingOutcome:
    """Learn praise and blame from the shop's rated reviews; every figure is of reviews the judging model had not seen."""
    started = time.monotonic()
    reviews = dataset.rated_reviews(as_of=as_of)
    data_hash = modelstore.fingerprint("sentiment", RECIPE, encoder.fingerprint(), reviews.texts, reviews.ratings)
    if not force and (same := modelstore.unchanged("sentiment", data_hash)):
        return registry.skipped(same)
    model = ReviewSentiment().fit(reviews.texts, reviews.ratings)
    metrics, baseline, report = model.judge()
    tensors, config = model.to_tensors()
    version = modelstore.save(
        task="sentiment",
        algorithm="encoder + n-grams" if model.classifier_.uses_encoder_ else "n-grams",
        tensors=tensors,
        config=config,
        metrics=metrics,
        baseline=baseline,
        report=report.as_dict(),
        data_hash=data_hash,
        rows=len(reviews.texts),
        as_of=as_of,
        trained_at=clock.now(),
        seconds=time.monotonic() - started,
    )
    return judging.concluded(version, _sentiment_verdict(model, reviews, metrics, baseline), as_of=as_of)


def _rank_agreement(predicted: NDArray[Any], actual: NDArray[Any]) -> float:
    """Return Spearman's rank correlation, 0 where either side is constant."""
    if len(np.unique(predicted)) < 2 or len(np.unique(actual)) < 2:
        return 0.0
    return float(spearmanr(predicted, actual).statistic)


def _value_figures(forecast: ValueForecast, split: Outcomes) -> tuple[dict[str, float], dict[str, float]]:
    def figures(orders: NDArray[Any], spend: NDArray[Any]) -> dict[str, float]:
        return {
            "spearman_spend": _rank_agreement(spend, split.spend),
            "spearman_orders": _rank_agreement(orders, split.orders),
            "mae_orders": float(np.abs(orders - split.orders).mean()),
            "mae_spend": float(np.abs(spend - split.spend).mean()),
            "total_orders_ratio": float(orders.sum() / max(split.orders.sum(), 1)),
            "customers": len(split.history),
        }

    return figures(forecast.orders, forecast.value), figures(split.last_orders, split.last_spend)


def _value_report(forecast: ValueForecast, split: Outcomes, model: ValueModel, rank: Figure) -> ModelReport:
    def absolute(predicted: NDArray[Any], actual: NDArray[Any]) -> float:
        return float(np.abs(predicted - actual).mean())

    buys = 1 - np.exp(-forecast.orders)
    inside = (split.orders >= forecast.orders_low) & (split.orders <= forecast.orders_high)
    return ModelReport(
        method=f"Fitted on the facts up to {split.days} days ago, judged on the {split.days} days since; the version that serves is then fitted on everything.",
        baseline=LAST_PERIOD,
        figures=(
            ReportedFigure.of("spearman_spend", rank, baseline=_rank_agreement(split.last_spend, split.spend), style="number"),
            ReportedFigure.of(
                "spearman_orders",
                bootstrap(_rank_agreement, forecast.orders, split.orders),
                baseline=_rank_agreement(split.last_orders, split.orders),
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
                "parameters",
                ("name", "value"),
                tuple((name, value) for part in model.to_config().values() if isinstance(part, dict) for name, value in part.items()),
            ),
        ),
        notes=model.notes,
    )


def _champion_value(split: Outcomes) -> float | None:
    """Return the serving model's figure on the same rows. It may have seen some of them, which only favours it."""
    try:
        serving = modelstore.build("value", value_model)
    except (modelstore.ModelMissing, modelstore.ModelCorrupt, modelstore.ModelIncompatible):
        return None
    return _rank_agreement(serving.forecast(split.history, horizon_days=split.days).value, split.spend)


def _sentiment_verdict(model: ReviewSentiment, reviews: dataset.RatedReviews, metrics: dict[str, float], baseline: dict[str, float]) -> Verdict:
    """Compare on reviews written since the serving model learned; where they are too few, on each one's own unseen reviews."""
    error = judging.standard_error(bootstrap(macro_f1, model.classifier_.out_of_sample_.codes, model.classifier_.out_of_sample_.predicted))
    serving = modelstore.champion("sentiment")
    figure = None
    if serving is not None:
        figure = serving.metrics.get("macro_f1")
        new = (reviews.at > serving.as_of.timestamp()) & (np.abs(reviews.ratings - 3) >= 1)
        if new.sum() >= FEWEST_NEW_REVIEWS:
            since = _fresh_comparison(reviews, new)
            if since is not None:
                challenger, champion = since
                return compare(challenger=challenger, champion=champion, baseline=baseline["macro_f1"], margin=error)
    return compare(challenger=metrics["macro_f1"], champion=figure, baseline=baseline["macro_f1"], margin=error)


def _fresh_comparison(reviews: dataset.RatedReviews, new: NDArray[np.bool_]) -> tuple[float, float] | None:
    """Return (challenger, champion) macro-F1 on the new reviews; the challenger is refitted without them."""
    try:
        serving = modelstore.build("sentiment", sentiment_model)
        texts = [text for text, is_new in zip(reviews.texts, new, strict=True) if is_new]
        truth = np.where(reviews.ratings[new] >= 4, "positive", "negative")
        old = [text for text, is_new in zip(reviews.texts, new, strict=True) if not is_new]
        rival = ReviewSentiment().fit(old, reviews.ratings[~new])

        def judged(each: ReviewSentiment) -> float:
            return macro_f1(truth, np.where(each.predict(texts).score >= 0, "positive", "negative"))

        return judged(rival), judged(serving)
    except (modelstore.ModelMissing, modelstore.ModelCorrupt, modelstore.ModelIncompatible):
        return None
