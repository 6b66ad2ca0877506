"""The training run of the purchase intention of reviews: does somebody who writes this order again within 90 days?

Learned on reviews whose 90 days were over before the held-out reviews were written, judged on those, then fitted on all.
The baseline knows the stars alone.  A model whose ranking cannot be told from chance does not serve, baseline or not.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from crm.core import clock, rows
from crm.core.learning import modelstore, registry
from crm.core.learning.evaluation import Verdict, auroc, bootstrap, brier, calibration_error, compare
from crm.core.learning.reports import ModelReport, ReportedFigure, ReportTable, calibration_bins
from customers import review_intentions
from customers.ml import judging, learned_from
from customers.ml.intention import FEWEST_OF_A_KIND, PurchaseIntention, TooFewIntentions
from customers.ml.saved import intention_model
from customers.ml.tabular import figures

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crm.core.learning.evaluation import Figure

    Floats = NDArray[np.float64]

# Part of every data hash: raise when the same rows would give another model.
RECIPE = 1
DAYS, LEAST_DAYS = 90, 30
# Of the reviews whose outcome is known, the last ones are held out: this share, and at least so many.
HELD_OUT, FEWEST_HELD_OUT = 0.3, 60
FEWEST_IN_SLICE, WORDS_SHOWN = 40, 14
BASELINE = "the stars alone"


@dataclass(frozen=True, slots=True)
class Written:
    """Reviews whose outcome is known, oldest first. at: (n,) seconds since 1970.  stars: (n,) NaN where not given.

    again: (n,) 0/1, another order of the same person within the horizon.
    """

    texts: list[str]
    stars: Floats
    at: Floats
    people: NDArray[np.int64]
    again: NDArray[np.int64]

    def only(self, chosen: NDArray[np.bool_]) -> Written:
        texts = [text for text, keep in zip(self.texts, chosen, strict=True) if keep]
        return Written(texts, self.stars[chosen], self.at[chosen], self.people[chosen], self.again[chosen])


_WRITTEN = """
    SELECT v.body, v.rating, extract(epoch FROM v.written_at)::float8, v.customer_id,
           EXISTS (SELECT 1 FROM customers_order o WHERE o.customer_id = v.customer_id AND o.placed_at > v.written_at
                   AND o.placed_at <= v.written_at + make_interval(days => %(days)s) AND o.status <> 'cancelled')::int
    FROM customers_review v JOIN customers_customer c ON c.id = v.customer_id AND c.merged_into_id IS NULL AND NOT c.profiling_refused
    WHERE v.body <> '' AND v.written_at <= %(until)s ORDER BY v.written_at, v.id
"""


def train_intention(*, as_of: datetime, force: bool = False) -> registry.TrainingOutcome:
    """Learn which words of reviews come before another order; every figure is of later reviews than any learned from."""
    started = time.monotonic()
    days = _horizon(as_of)
    written = written_reviews(as_of=as_of, days=days)
    data_hash = modelstore.fingerprint("intention", RECIPE, days, written.texts, written.stars, written.again)
    if not force and (same := modelstore.unchanged("intention", data_hash)):
        return registry.skipped(same)
    known, later = split(written, days=days)
    judged = PurchaseIntention(days=days).fit(known.texts, known.stars, known.again, known.people)
    said, simple = judged.predict(later.texts, later.stars), by_stars(known, later.stars)
    figure = bootstrap(auroc, later.again, said)
    model = PurchaseIntention(days=days).fit(written.texts, written.stars, written.again, written.people)
    tensors, config = model.to_tensors()
    version = modelstore.save(
        task="intention",
        algorithm="words and stars, logistic" if model.stars_.any() else "words, logistic",
        tensors=tensors,
        config=config,
        metrics=_metrics(later.again, said),
        baseline=_metrics(later.again, simple),
        report=replace(
            _report(model, judged, known, later, said, simple, days),
            data=learned_from.card(people=written.people, moments=(written.at[0], written.at[-1]), features=("review_words", "review_stars"), as_of=as_of),
        ).as_dict(),
        data_hash=data_hash,
        rows=len(written.texts),
        as_of=as_of,
        trained_at=clock.now(),
        seconds=time.monotonic() - started,
    )
    outcome = registry.conclude(version, _verdict(figure, later, simple), at=clock.now())
    if outcome.state is registry.Outcome.TRAINED:
        review_intentions.read(as_of=as_of)
    return outcome


def written_reviews(*, as_of: datetime, days: int) -> Written:
    """Return the reviews written at least `days` before, with what their writers did since; one query."""
    found = rows.query(_WRITTEN, {"days": days, "until": as_of - timedelta(days=days)})
    texts, stars, at, people, again = zip(*found, strict=True) if found else ((), (), (), (), ())
    return Written(
        list(texts), np.array([np.nan if each is None else each for each in stars], dtype=float), np.array(at, dtype=float),
        np.array(people, dtype=np.int64), np.array(again, dtype=np.int64),
    )  # fmt: skip


def split(written: Written, *, days: int) -> tuple[Written, Written]:
    """Return (known, later): the last reviews, and those whose outcome was known before the first of them was written."""
    if not len(written.texts):
        raise TooFewIntentions("There are no reviews whose writer is known long enough.")
    cut = float(np.quantile(written.at, 1 - HELD_OUT))
    known, later = written.only(written.at <= cut - days * 86_400), written.only(written.at > cut)
    rarer = int(min(later.again.sum(), len(later.again) - later.again.sum()))
    if len(later.texts) < FEWEST_HELD_OUT or rarer < FEWEST_OF_A_KIND:
        raise TooFewIntentions(
            f"Of {len(later.texts)} reviews to judge on, {rarer} have the rarer outcome; {FEWEST_HELD_OUT} and {FEWEST_OF_A_KIND} are needed.",
            reviews=len(later.texts), rarer=rarer,
        )  # fmt: skip
    return known, later


def by_stars(known: Written, stars: Floats) -> Floats:
    """Return (n,) the share of earlier reviewers with the same stars who ordered again, drawn towards everybody's by ten."""
    base, found = float(known.again.mean()), np.zeros(len(stars))
    for star in (np.nan, 1.0, 2.0, 3.0, 4.0, 5.0):
        same = np.isnan(known.stars) if np.isnan(star) else known.stars == star
        share = (known.again[same].sum() + 10 * base) / (same.sum() + 10)
        found[np.isnan(stars) if np.isnan(star) else stars == star] = share
    return found


def _horizon(as_of: datetime) -> int:
    """Return the days looked ahead: 90, or a quarter of the time since the first review where that is shorter."""
    first = rows.query("SELECT min(written_at) FROM customers_review WHERE body <> '' AND written_at <= %s", [as_of])[0][0]
    life = 0 if first is None else (as_of - first).days
    if life < 4 * LEAST_DAYS:
        raise TooFewIntentions(f"The reviews span {life} days; {4 * LEAST_DAYS} are needed.", days=life)
    return int(min(DAYS, life // 4))


def _verdict(figure: Figure, later: Written, simple: Floats) -> Verdict:
    if not figure.low > 0.5:
        return Verdict(
            promote=False, reason=f"The words tell nothing beyond chance here: ranking {figure.value:.3f}, interval {figure.low:.3f} to {figure.high:.3f}."
        )
    return compare(
        challenger=figure.value, champion=_champion(later), baseline=auroc(later.again, simple), margin=judging.standard_error(figure)
    )  # fmt: skip


def _champion(later: Written) -> float | None:
    """Return the serving model's AUC on the same reviews; where it has seen what followed, its own on unseen ones."""
    try:
        serving = modelstore.build("intention", intention_model)
    except (modelstore.ModelMissing, modelstore.ModelCorrupt, modelstore.ModelIncompatible):
        return None
    version = modelstore.champion("intention")
    if version is not None and len(later.at) and version.as_of.timestamp() > later.at[0]:
        own = version.metrics.get("auroc")
        return None if own is None else float(own)
    return auroc(later.again, serving.predict(later.texts, later.stars))


def _metrics(again: NDArray[np.int64], said: Floats) -> dict[str, float]:
    return {
        "auroc": auroc(again, said),
        "log_loss": figures.binary_log_loss(again, said),
        "brier": brier(again, said),
        "calibration_error": calibration_error(again, said),
        "reviews": len(again),
        "happened": float(again.mean()),
    }


def _report(model: PurchaseIntention, judged: PurchaseIntention, known: Written, later: Written, said: Floats, simple: Floats, days: int) -> ModelReport:
    lines = []
    for name, measured, style, higher in (
        ("auroc", auroc, "share", True),
        ("lift_10", figures.lift, "number", True),
        ("log_loss", figures.binary_log_loss, "number", False),
        ("brier", brier, "number", False),
        ("calibration_error", calibration_error, "share", False),
    ):
        told = bootstrap(measured, later.again, said)
        lines.append(ReportedFigure.of(name, told, baseline=float(measured(later.again, simple)), style=style, higher_is_better=higher))
    tried = sorted(judged.candidates_.items(), key=lambda pair: pair[1])
    notes = ["Most of what decides the next order is not in a review; read the probability as a hint, not as a promise."]
    if days < DAYS:
        notes.append(f"The shop is young: the horizon is {days} days instead of {DAYS}.")
    return ModelReport(
        method=f"Learnt from {len(known.texts)} reviews whose {days} days were over before the first of {len(later.texts)} later ones was written; judged on those. What counts is another order within {days} days of the review.",
        baseline=BASELINE,
        figures=tuple(lines),
        calibration=calibration_bins(later.again, said),
        tables=(
            ReportTable("lift", ("tenth", "rows", "stated", "happened", "lift"), tuple(figures.lift_table(later.again, said))),
            ReportTable("words", ("term", "mean_effect"), tuple(model.strongest(WORDS_SHOWN))),
            ReportTable("slices", ("slice", "rows", "stated", "happened", "auroc"), tuple(_slices(known, later, said))),
            ReportTable(
                "candidates", ("name", "penalty", "log_loss"),
                tuple(("words_and_stars" if stars else "words_alone", penalty, loss) for (penalty, stars), loss in tried),
            ),
        ),
        notes=tuple(notes),
    )  # fmt: skip


def _slices(known: Written, later: Written, said: Floats) -> list[tuple[Any, ...]]:
    chinese = np.array([any("一" <= letter <= "鿿" for letter in text) for text in later.texts])
    seen = np.isin(later.people, known.people)
    groups = {"zh-hans": chinese, "en": ~chinese, "reviewed_before": seen, "first_review": ~seen, "low_stars": later.stars <= 2, "high_stars": later.stars >= 4}
    found = []
    for name, inside in groups.items():
        if inside.sum() >= FEWEST_IN_SLICE:
            area = auroc(later.again[inside], said[inside])
            found.append((name, int(inside.sum()), float(said[inside].mean()), float(later.again[inside].mean()), area if np.isfinite(area) else None))
    return found
