"""The training run of the mood of reviews; value, stages, churn and purchases have runs of their own beside this one.

Each takes the facts up to `as_of`, skips when they are unchanged, judges the method on rows it has not seen, fits
on everything, saves, and lets the new version serve only if it is good enough on the same rows as its rivals.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from crm.core import clock, rows
from crm.core.learning import modelstore, registry
from crm.core.learning.evaluation import Verdict, bootstrap, compare, macro_f1
from crm.core.text import encoder
from customers.ml import dataset, judging, learned_from
from customers.ml.reviews import ReviewSentiment
from customers.ml.saved import sentiment_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crm.core.learning.reports import DataCard


# Part of every data hash: raise when the same rows would give another model.
RECIPE = 1
# New reviews needed since the serving sentiment model to compare on reviews neither has learned from.
FEWEST_NEW_REVIEWS = 30


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
        report=replace(report, data=_card(reviews, as_of)).as_dict(),
        data_hash=data_hash,
        rows=len(reviews.texts),
        as_of=as_of,
        trained_at=clock.now(),
        seconds=time.monotonic() - started,
    )
    return judging.concluded(version, _sentiment_verdict(model, reviews, metrics, baseline), as_of=as_of)


def _card(reviews: dataset.RatedReviews, as_of: datetime) -> DataCard:
    found = rows.query("SELECT DISTINCT customer_id FROM customers_review WHERE customer_id IS NOT NULL AND body <> '' AND written_at <= %s", [as_of])
    people = np.array([row[0] for row in found], dtype=np.int64)
    return learned_from.card(people=people, moments=(float(reviews.at.min()), float(reviews.at.max())), features=("review_words",), as_of=as_of)


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
