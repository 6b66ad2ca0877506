"""The training run of the recommendations: choose a recipe, measure it, keep or promote it, and refresh the lists.

The newest fifth of the orders is held out by time. The recipe is chosen on the fifth before that, so the figures in the
report are of orders that neither the weights nor the choice have seen. The serving model's recipe is fitted again on the
same earlier rows and measured on the same orders: the champion itself has seen some of them.
"""

import logging
import time
from dataclasses import asdict, dataclass
from datetime import datetime

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from crm.core import clock
from crm.core.errors import CrmError
from crm.core.learning import evaluation, modelstore, registry
from crm.core.learning.modelstore import ModelCorrupt, ModelIncompatible, ModelMissing
from crm.core.learning.registry import Outcome, TrainingOutcome
from crm.core.learning.reports import ModelReport, ReportedFigure, ReportTable
from recommendations import lists
from recommendations.lists import TASK
from recommendations.ml import dataset, holdout
from recommendations.ml.dataset import Interactions
from recommendations.ml.holdout import NextOrders, OrderFigures
from recommendations.ml.popularity import Popularity
from recommendations.ml.ranker import Recipe, ShopRanker

logger = logging.getLogger(__name__)

# Raise when rows or features change meaning: then unchanged data must be trained on again.
FEATURES = 1
# Held-out customers below which a figure says nothing worth promoting for.
FEWEST_HELD_OUT = 30
RECIPES = (
    Recipe(transition_weight=0.0, fade=1.0),
    Recipe(transition_weight=0.0, fade=0.95, popularity=0.02),
    Recipe(transition_weight=0.0, fade=0.9, shrinkage=5.0),
    Recipe(transition_weight=0.3, fade=0.9),
    Recipe(transition_weight=0.3, fade=0.95, popularity=0.02),
    Recipe(transition_weight=0.7, fade=0.65),
)


class TooFewOrders(CrmError):
    """There is too little to learn from; popularity serves."""

    code = "too_few_orders"
    status = 409


@dataclass(frozen=True, slots=True)
class _Judged:
    """One ranker on the held-out orders."""

    figures: OrderFigures
    seconds: float


def run(*, as_of: datetime, force: bool = False) -> TrainingOutcome:
    """Train on the facts up to `as_of` and, when a new version serves, refresh every list. Raises TooFewOrders."""
    started = time.monotonic()
    rows = dataset.read(as_of=as_of)
    data_hash = _fingerprint(rows)
    same = None if force else modelstore.unchanged(TASK, data_hash)
    if same is not None:
        return registry.skipped(same)
    orders = rows.orders
    if orders < settings.CRM_RECOMMEND_MIN_ORDERS:
        raise TooFewOrders(f"Needs {settings.CRM_RECOMMEND_MIN_ORDERS} orders of known customers to learn from; there are {orders}.", orders=orders)
    rebuy = settings.CRM_RECOMMEND_REBUY_DAYS
    cut = holdout.cut_day(rows)
    wanted = holdout.next_orders(rows, day=cut, rebuy_days=rebuy)
    if len(wanted.baskets) < FEWEST_HELD_OUT:
        raise TooFewOrders(f"Needs {FEWEST_HELD_OUT} customers who came back to measure on; there are {len(wanted.baskets)}.", found=len(wanted.baskets))
    earlier = rows.before(cut)
    recipe, tried = _choose(earlier, rebuy_days=rebuy)
    challenger = _judge(recipe, earlier, wanted)
    baseline = holdout.measure(_popular(earlier, day=cut), wanted)
    champion_recipe = _champion_recipe()
    champion = None if champion_recipe is None else challenger if champion_recipe == recipe else _judge(champion_recipe, earlier, wanted)
    verdict = evaluation.compare(
        challenger=challenger.figures.ndcg.value, champion=champion.figures.ndcg.value if champion else None, baseline=baseline.ndcg.value
    )
    tensors, config = fit(recipe, rows).to_tensors()
    version = modelstore.save(
        task=TASK,
        algorithm="cooccurrence",
        tensors=tensors,
        config=config,
        metrics=_metrics(challenger.figures),
        baseline=_metrics(baseline),
        report=_report(challenger.figures, baseline, wanted, rows, tried, recipe).as_dict(),
        data_hash=data_hash,
        rows=len(rows.customer),
        as_of=as_of,
        trained_at=clock.now(),
        seconds=time.monotonic() - started,
    )
    outcome = registry.conclude(version, verdict, at=clock.now())
    if outcome.state == Outcome.TRAINED:
        lists.refresh(as_of=as_of)
    return outcome


def fit(recipe: Recipe, rows: Interactions) -> ShopRanker:
    """Return a ranker fitted on these rows; clicked recommendations count as signs of interest when the recipe says so."""
    customer, product, day = rows.customer, rows.product, rows.day
    if recipe.clicks and len(rows.clicked_customer):
        customer = np.concatenate([customer, rows.clicked_customer])
        product = np.concatenate([product, rows.clicked_product])
        day = np.concatenate([day, rows.clicked_day])
    size = len(rows.product_ids)
    return ShopRanker(recipe).fit(
        customer=customer,
        product=product,
        day=day,
        product_ids=rows.product_ids,
        liked=np.bincount(rows.clicked_product, minlength=size).astype(float),
        refused=np.bincount(rows.refused_product, minlength=size).astype(float),
    )


def _choose(rows: Interactions, *, rebuy_days: float) -> tuple[Recipe, list[tuple[Recipe, OrderFigures]]]:
    """Return the recipe with the best NDCG on the newest fifth of these rows, and what each gave; the first where too few come back."""
    cut = holdout.cut_day(rows)
    wanted = holdout.next_orders(rows, day=cut, rebuy_days=rebuy_days)
    if len(wanted.baskets) < FEWEST_HELD_OUT:
        return RECIPES[0], []
    earlier = rows.before(cut)
    tried = [(recipe, _judge(recipe, earlier, wanted).figures) for recipe in RECIPES]
    return max(tried, key=lambda pair: pair[1].ndcg.value)[0], tried


def _judge(recipe: Recipe, rows: Interactions, wanted: NextOrders) -> _Judged:
    started = time.monotonic()
    ranker = fit(recipe, rows)
    return _Judged(figures=holdout.measure(ranker.scores, wanted), seconds=time.monotonic() - started)


def _popular(rows: Interactions, *, day: float) -> holdout.Scorer:
    scores = Popularity().fit(rows.customer, rows.product, rows.day, items=len(rows.product_ids), as_of_day=day).scores_

    def scorer(part: "list[list[int]]") -> NDArray[np.floating]:  # type: ignore[type-arg]
        return np.tile(scores, (len(part), 1))

    return scorer  # type: ignore[return-value]


def _champion_recipe() -> Recipe | None:
    """Return the serving model's settings; None when none serves or it can no longer be read (then it cannot be defended)."""
    try:
        return modelstore.build(TASK, lists.build_ranker).recipe
    except (ModelMissing, ModelCorrupt, ModelIncompatible):
        return None


def _metrics(figures: OrderFigures) -> dict[str, float]:
    return {
        "hit_rate_10": figures.hit_rate.value,
        "ndcg_10": figures.ndcg.value,
        "new_hit_rate_10": figures.new_hit_rate.value,
        "coverage": figures.coverage,
        "held_out": len(figures.hits),
    }


def _report(
    figures: OrderFigures, baseline: OrderFigures, wanted: NextOrders, rows: Interactions, tried: list[tuple[Recipe, OrderFigures]], chosen: Recipe
) -> ModelReport:
    return ModelReport(
        method="The orders up to a moment are learnt from; the first order after it of each customer known by then must be found among all products.",
        baseline="popularity",
        figures=(
            ReportedFigure.of("hit_rate_10", figures.hit_rate, baseline=baseline.hit_rate.value),
            ReportedFigure.of("ndcg_10", figures.ndcg, baseline=baseline.ndcg.value, style="number"),
            ReportedFigure.of("new_hit_rate_10", figures.new_hit_rate, baseline=baseline.new_hit_rate.value),
            ReportedFigure(name="coverage", value=figures.coverage, baseline=baseline.coverage),
        ),
        tables=(
            _slices(figures, baseline, wanted),
            ReportTable(
                name="candidates",
                columns=("transition_weight", "fade", "shrinkage", "popularity_weight", "hit_rate_10", "ndcg_10", "chosen"),
                rows=tuple(
                    (recipe.transition_weight, recipe.fade, recipe.shrinkage, recipe.popularity, one.hit_rate.value, one.ndcg.value, recipe == chosen)
                    for recipe, one in tried
                ),
            ),
            ReportTable(
                name="rows_read",
                columns=("name", "rows"),
                rows=(
                    ("customers", len(np.unique(rows.customer))),
                    ("products", len(np.unique(rows.product))),
                    ("orders", rows.orders),
                    ("order_lines", len(rows.customer)),
                    ("clicks", len(rows.clicked_customer)),
                    ("dismissals", len(rows.refused_customer)),
                    ("held_out_customers", len(wanted.baskets)),
                ),
            ),
        ),
    )


def _slices(figures: OrderFigures, baseline: OrderFigures, wanted: NextOrders) -> ReportTable:
    """Return the hit rate by how much was known of the customer: the model should be worth more the more it knows."""
    size = np.array([len(history) for history in wanted.histories])
    lines = []
    for name, low, high in (
        ("one_product", 1, 1),
        ("two_to_four_products", 2, 4),
        ("five_to_nineteen_products", 5, 19),
        ("twenty_products_or_more", 20, 10**9),
    ):
        part = (size >= low) & (size <= high)
        if part.sum() >= 5:
            lines.append(
                (
                    name,
                    int(part.sum()),
                    float(figures.hits[part].mean()),
                    float(baseline.hits[part].mean()),
                    float(figures.gains[part].mean()),
                    float(baseline.gains[part].mean()),
                )
            )
    return ReportTable(
        name="by_history", columns=("known_products", "customers", "hit_rate_10", "hit_rate_10_baseline", "ndcg_10", "ndcg_10_baseline"), rows=tuple(lines)
    )


def _fingerprint(rows: Interactions) -> str:
    return modelstore.fingerprint(
        FEATURES,
        [asdict(recipe) for recipe in RECIPES].__repr__(),
        settings.CRM_RECOMMEND_REBUY_DAYS,
        rows.customer_ids[rows.customer],
        rows.product_ids[rows.product],
        rows.order,
        rows.day,
        rows.customer_ids[rows.clicked_customer],
        rows.product_ids[rows.clicked_product],
        rows.clicked_day,
        rows.customer_ids[rows.refused_customer],
        rows.product_ids[rows.refused_product],
        rows.refused_day,
    )
