"""What a review's words say: negative or positive, learned from the shop's own rated reviews.

A rating of 1 or 2 stars teaches "negative", 4 or 5 "positive"; 3 stars teach nothing.  The model then reads reviews and
messages that carry no stars, and points at the words.  Pure: no Django, no query.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from crm.core.learning.evaluation import accuracy, auroc, bootstrap, calibration_error, macro_f1
from crm.core.learning.reports import ModelReport, ReportedFigure, calibration_bins
from crm.core.text.classifier import TextClassifier, TooFewExamples
from crm.core.text.results import Explanation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

NEGATIVE, NEUTRAL, POSITIVE = "negative", "neutral", "positive"
# Fewer reviews of either kind than this teach chance rather than words.
FEWEST_OF_A_KIND = 20
# A probability of being positive between these is called neutral: it is wrong more often than one in three.
NEUTRAL_BAND = (0.35, 0.65)
BASELINE = "always the commoner opinion"


@dataclass(frozen=True, slots=True)
class Sentiment:
    """Per text.  score: -1 (surely negative) to 1 (surely positive).  label: negative, neutral or positive."""

    score: NDArray[np.float64]
    label: NDArray[np.str_]


class ReviewSentiment:
    """Learns the shop's own words of praise and blame.

    seed, use_encoder: see TextClassifier.  After `fit`: `classifier_`, `trained_on_` (reviews per class).
    """

    format = 1

    def __init__(self, *, seed: int = 0, use_encoder: bool | None = None) -> None:
        self.seed = seed
        self.use_encoder = use_encoder

    def fit(self, texts: Sequence[str], ratings: ArrayLike) -> Self:
        """texts: review texts.  ratings: (n,) stars 1..5.  Raises TooFewExamples with fewer than 20 of either opinion."""
        stars = np.asarray(ratings, dtype=float)
        usable = [row for row, text in enumerate(texts) if text.strip() and (stars[row] <= 2 or stars[row] >= 4)]
        labels = [NEGATIVE if stars[row] <= 2 else POSITIVE for row in usable]
        counts = {kind: labels.count(kind) for kind in (NEGATIVE, POSITIVE)}
        if min(counts.values()) < FEWEST_OF_A_KIND:
            raise TooFewExamples(
                f"There are {counts[NEGATIVE]} negative and {counts[POSITIVE]} positive reviews; {FEWEST_OF_A_KIND} of each are needed.",
                **counts,
            )
        self.classifier_ = TextClassifier(seed=self.seed, use_encoder=self.use_encoder).fit([texts[row] for row in usable], labels)
        self.trained_on_ = counts
        return self

    def predict(self, texts: Sequence[str]) -> Sentiment:
        """Return each text's sentiment; raises what TextClassifier.predict raises."""
        predictions = self.classifier_.predict(texts)
        positive = predictions.probabilities[:, predictions.classes.index(POSITIVE)]
        return Sentiment(score=2 * positive - 1, label=name(positive))

    def explain(self, text: str) -> Explanation:
        """Return the words that speak for the text's label."""
        return self.classifier_.explain(text)

    def judge(self) -> tuple[dict[str, float], dict[str, float], ModelReport]:
        """Return (metrics, baseline, report) from out-of-sample judgements of the training reviews."""
        seen = self.classifier_.out_of_sample_
        right = seen.predicted == seen.codes
        positive = seen.classes.index(POSITIVE)
        commoner = np.full(len(seen.codes), np.bincount(seen.codes).argmax())
        metrics = {
            "accuracy": float(right.mean()),
            "macro_f1": macro_f1(seen.codes, seen.predicted),
            "auroc": auroc(seen.codes == positive, seen.probabilities[:, positive]),
            "calibration_error": calibration_error(right, seen.confidence),
            "reviews": len(right),
        }
        baseline = {"accuracy": accuracy(seen.codes, commoner), "macro_f1": macro_f1(seen.codes, commoner), "auroc": 0.5}
        report = ModelReport(
            method="Each review judged by a model that has not seen it.",
            baseline=BASELINE,
            figures=(
                ReportedFigure.of("accuracy", bootstrap(accuracy, seen.codes, seen.predicted), baseline=baseline["accuracy"]),
                ReportedFigure.of("macro_f1", bootstrap(macro_f1, seen.codes, seen.predicted), baseline=baseline["macro_f1"]),
                ReportedFigure.of("auroc", bootstrap(auroc, seen.codes == positive, seen.probabilities[:, positive]), baseline=0.5),
                ReportedFigure("calibration_error", metrics["calibration_error"], higher_is_better=False),
            ),
            calibration=calibration_bins(right, seen.confidence),
            notes=() if self.classifier_.uses_encoder_ else ("No text encoder was available: the model rests on n-grams alone.",),
        )
        return metrics, baseline, report

    def to_tensors(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        tensors, classifier = self.classifier_.to_tensors()
        return tensors, {"format": self.format, "seed": self.seed, "trained_on": self.trained_on_, "classifier": classifier}

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> Self:
        if config.get("format") != cls.format:
            raise ValueError(f"sentiment model format {config.get('format')} is not {cls.format}")
        model = cls(seed=config["seed"])
        model.trained_on_ = config["trained_on"]
        model.classifier_ = TextClassifier.from_tensors(tensors, config["classifier"])
        return model


def name(positive: NDArray[np.float64]) -> NDArray[np.str_]:
    """Return negative, neutral or positive for probabilities of being positive."""
    low, high = NEUTRAL_BAND
    return np.select([positive < low, positive > high], [NEGATIVE, POSITIVE], default=NEUTRAL)


def score_of_rating(ratings: ArrayLike) -> NDArray[np.float64]:
    """Return stars 1..5 on the scale -1..1, for reviews whose stars say it themselves and as the stated baseline."""
    return (np.asarray(ratings, dtype=float) - 3) / 2
