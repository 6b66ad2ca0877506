"""What a person's reviews say: the sides they praise and blame, and whether the newest sounds like another order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from crm.core import formats
from crm.core.learning import modelstore
from customers import review_aspects
from customers.ml.saved import intention_model
from customers.models import Review
from customers.review_aspects import MOST_REVIEWS, AspectSummary

# An intention is for this many days; of an older review the days are over.
INTENTION_DAYS = 90
# A clause that moves the log-odds by less than this is not worth quoting.
LEAST_EFFECT = 0.1
UNUSABLE = (modelstore.ModelMissing, modelstore.ModelCorrupt, modelstore.ModelIncompatible)


@dataclass(frozen=True, slots=True)
class Intention:
    """share, usual_share: of another order within `days` of the review, of such a review and of any.  chance, usual: in words.

    clause: the part of the text that weighs most, '' where none does.  tone: above or below the usual.
    """

    share: float
    usual_share: float
    days: int
    clause: str
    tone: str
    written_at: datetime
    version: int

    @property
    def chance(self) -> str:
        return formats.percent(self.share)

    @property
    def usual(self) -> str:
        return formats.percent(self.usual_share)


@dataclass(frozen=True, slots=True)
class ReviewsTold:
    """intention: of the newest review of the last 90 days, None without one or without a model."""

    aspects: Sequence[AspectSummary] = ()
    intention: Intention | None = None


def told(customer_id: int, *, at: datetime) -> ReviewsTold:
    """Return what the customer's newest reviews say; one query, a second where an intention was read.

    A review that came after the last refresh has its sides read here and now.
    """
    kept = list(
        Review.objects.filter(customer_id=customer_id, written_at__lte=at)
        .exclude(body="")
        .order_by("-written_at", "-id")
        .values_list("aspects", "body", "written_at", "intention", "intention_version")[:MOST_REVIEWS]
    )
    aspects = review_aspects.counted(said if said is not None else review_aspects.said_in([body])[0] for said, body, *_rest in kept)
    newest = next((row for row in kept if row[3] is not None and row[2] > at - timedelta(days=INTENTION_DAYS)), None)
    return ReviewsTold(aspects, None if newest is None else _intention(newest[1], newest[2], newest[3] or 0.0, newest[4]))


def _intention(body: str, written_at: datetime, chance: float, version: int | None) -> Intention | None:
    """Return the intention kept with a review, with words from the model that read it; None once another serves."""
    serving = modelstore.champion("intention")
    if serving is None or serving.version != version:
        return None
    try:
        model = modelstore.build("intention", intention_model, version=serving)
    except UNUSABLE:
        return None
    rises = chance >= model.base_
    clause = next((part.text for part in model.explain(body) if (part.effect > 0) is rises and abs(part.effect) >= LEAST_EFFECT), "")
    return Intention(chance, model.base_, model.days_, clause, "success" if rises else "danger", written_at, serving.version)
