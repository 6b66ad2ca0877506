"""The training run of the purchase network: learned one month, judged on who bought what in the month after."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from django.conf import settings

from crm.core import clock
from crm.core.errors import CrmError
from crm.core.learning import modelstore, registry
from crm.core.learning.evaluation import Figure, auroc, bootstrap, brier, calibration_error, compare, log_loss
from crm.core.learning.reports import ModelReport, ReportedFigure, ReportTable, calibration_bins
from customers.ml import learned_from, purchase
from customers.ml.judging import standard_error
from customers.ml.network.inference import posterior
from customers.ml.network.learning import Rows, Rules, learn
from customers.ml.saved import purchase_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from customers.ml.network.model import Network

# Part of every data hash: raise when the same rows would give another model.
RECIPE = 1
SEED = 0
# Pairs of customer and category learned from; a thousand times the figures of all tables together.
MOST_PAIRS = 200_000
MOST_CATEGORIES = 60
# Purchases in the month learned from, fewer of which give noise.
FEWEST_PURCHASES = 50
BROWSED_FIRST = "who looked at the category, then what sells best"


class TooFewPurchases(CrmError):
    """Too little was bought to learn who buys what; nobody is given a probability."""

    code = "too_few_purchases"
    status = 422


def train_purchase(*, as_of: datetime, force: bool = False) -> registry.TrainingOutcome:
    """Learn the network of the month before last, judge it on last month, and serve one learned on last month."""
    started = time.monotonic()
    month, sensitive = timedelta(days=purchase.HORIZON_DAYS), bool(settings.CRM_SENSITIVE_TRAITS)
    _earlier, earlier_rows = _month(as_of - 2 * month, sensitive=sensitive)
    later, later_rows = _month(as_of - month, sensitive=sensitive)
    data_hash = modelstore.fingerprint("purchase", RECIPE, sensitive, earlier_rows, later_rows)
    if not force and (same := modelstore.unchanged("purchase", data_hash)):
        return registry.skipped(same)
    _refuse_if_too_little(earlier_rows, later_rows)
    states = purchase.variables(sensitive=sensitive)
    rules = Rules(most_parents=4, roots=frozenset(purchase.SENSITIVE) & frozenset(states))
    judged = learn(Rows(states, earlier_rows), rules=rules, seed=SEED).network
    truth = later_rows[:, 0] == 1
    said, naive = _said(judged, later_rows), _naive(states, earlier_rows, later_rows)
    base = float(earlier_rows[:, 0].mean())
    figure = bootstrap(auroc, truth, said)
    baseline = auroc(truth, naive)
    learned = learn(Rows(states, later_rows), rules=rules, seed=SEED)
    version = modelstore.save(
        task="purchase",
        algorithm="Bayesian network",
        tensors={},
        config={
            "network": learned.network.to_config(),
            "categories": _sold(purchase.categories(as_of=as_of)),
            "sensitive": sensitive,
            "horizon_days": purchase.HORIZON_DAYS,
        },
        metrics={
            "auroc": figure.value,
            "log_loss": log_loss(truth.astype(int), np.column_stack([1 - said, said])),
            "brier": brier(truth, said),
            "calibration_error": calibration_error(truth, said),
            "pairs": len(truth),
            "bought": float(truth.mean()),
        },
        baseline={
            "auroc": baseline,
            "log_loss": log_loss(truth.astype(int), np.tile([1 - base, base], (len(truth), 1))),
            "brier": brier(truth, np.full(len(truth), base)),
        },
        report=replace(
            _report(learned.network, truth, said, figure, baseline, base, len(later.customer)),
            data=learned_from.card(
                people=later.customer,
                moments=((as_of - 2 * month).timestamp(), as_of.timestamp()),
                as_of=as_of,
                features=[name for name in learned.network.names if name != purchase.BUYS],
                sensitive=[name for name in learned.network.names if name in purchase.SENSITIVE],
            ),
        ).as_dict(),
        data_hash=data_hash,
        rows=len(later_rows),
        as_of=as_of,
        trained_at=clock.now(),
        seconds=time.monotonic() - started,
    )
    verdict = compare(
        challenger=figure.value, champion=_champion(states, later_rows, truth, since=as_of - month), baseline=baseline, margin=standard_error(figure)
    )
    return registry.conclude(version, verdict, at=clock.now())


def _month(moment: datetime, *, sensitive: bool) -> tuple[purchase.Grid, NDArray[np.int64]]:
    """Return what was known at that moment of a sample of customers, and the rows with who bought in the month after."""
    of = purchase.categories(as_of=moment, most=MOST_CATEGORIES)
    who = purchase.people(as_of=moment)
    most = MOST_PAIRS // max(len(of), 1)
    if len(who) > most:
        chosen = np.sort(np.random.default_rng(SEED).choice(len(who), most, replace=False))
        who = [who[int(one)] for one in chosen]
    known = purchase.grid(who=who, of=of, as_of=moment, sensitive=sensitive)
    bought = purchase.outcome(known, as_of=moment, until=moment + timedelta(days=purchase.HORIZON_DAYS))
    return known, known.rows(bought)


def _sold(of: purchase.Categories) -> dict[str, list[Any]]:
    """Return the categories as JSON; a price there is none of is null."""
    price = [None if np.isnan(each) else float(each) for each in of.price]
    return {"id": of.id.tolist(), "parent": of.parent.tolist(), "price": price, "demand": of.demand.tolist()}


def _refuse_if_too_little(earlier: NDArray[np.int64], later: NDArray[np.int64]) -> None:
    for rows in (earlier, later):
        bought = int(rows[:, 0].sum()) if len(rows) else 0
        if bought < FEWEST_PURCHASES:
            raise TooFewPurchases(f"Needs {FEWEST_PURCHASES} purchases in categories within a month to learn from; there are {bought}.", bought=bought)


def _said(network: Network, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the probability of buying of each row; its own outcome is not looked at."""
    found, _chance = posterior(network, purchase.BUYS, rows)
    return found[:, 1]


def _naive(states: dict[str, tuple[str, ...]], earlier: NDArray[np.int64], later: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the buying rate by browsing in the month before, and within it by how the category sells."""
    names = list(states)
    browsed, demand = names.index("browsed"), names.index("demand")
    rate = np.array(
        [(earlier[earlier[:, browsed] == kind, 0].sum() + 0.5) / ((earlier[:, browsed] == kind).sum() + 1) for kind in range(len(states["browsed"]))]
    )
    return np.asarray(rate[later[:, browsed]] + 1e-6 * later[:, demand])


def _champion(states: dict[str, tuple[str, ...]], rows: NDArray[np.int64], truth: NDArray[np.bool_], *, since: datetime) -> float | None:
    """Return the serving network's figure on the same rows; where it learned from some of them, its own unseen figure.

    since: the moment from which on the judged purchases came.
    """
    serving = modelstore.champion("purchase")
    if serving is None:
        return None
    if serving.as_of > since:
        figure = serving.metrics.get("auroc")
        return None if figure is None else float(figure)
    try:
        network = modelstore.build("purchase", purchase_model).network
    except (modelstore.ModelMissing, modelstore.ModelCorrupt, modelstore.ModelIncompatible):
        return None
    if network.names != tuple(states):
        return None  # learned with other variables: sensitive traits were turned on or off since
    return auroc(truth, _said(network, rows))


def _report(network: Network, truth: NDArray[np.bool_], said: NDArray[np.float64], figure: Figure, baseline: float, base: float, people: int) -> ModelReport:
    days = purchase.HORIZON_DAYS
    loss = bootstrap(_loss, truth, said)
    arrows: list[tuple[Any, ...]] = [(parent, name) for name in network.names for parent in network.parents[name]]
    slices = []
    for place, name in enumerate(network.names):
        if name == purchase.BUYS:
            continue
        codes = np.full((len(network.states[name]), len(network.names)), -1)
        codes[:, place] = np.arange(len(codes))
        slices += [(name, value, float(chance)) for value, chance in zip(network.states[name], _said(network, codes), strict=True)]
    return ModelReport(
        method=f"Learned on who bought what within {days} days, judged on the {days} days after; a row is a customer and a category.",
        baseline=BROWSED_FIRST,
        figures=(
            ReportedFigure.of("auroc", figure, baseline=baseline),
            ReportedFigure.of("log_loss", loss, baseline=_loss(truth, np.full(len(truth), base)), style="number", higher_is_better=False),
            ReportedFigure("calibration_error", calibration_error(truth, said), style="share", higher_is_better=False),
        ),
        calibration=calibration_bins(truth, said),
        tables=(
            ReportTable("arrows", ("from_variable", "to_variable"), tuple(arrows)),
            ReportTable("purchase_by_value", ("variable", "value_of_variable", "chance_of_purchase"), tuple(slices)),
        ),
        notes=(f"{people} customers and the categories sold before; customers who refuse to be profiled are left out.",),
    )


def _loss(truth: NDArray[Any], said: NDArray[Any]) -> float:
    return log_loss(np.asarray(truth, dtype=int), np.column_stack([1 - said, said]))
