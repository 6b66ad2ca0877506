"""What the page of a propensity model shows: figures beside the baseline, calibration, lift, groups, drivers, fairness."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from crm.core.learning.evaluation import auroc, bootstrap, brier, calibration_error
from crm.core.learning.reports import ModelReport, ReportedFigure, ReportTable, calibration_bins
from customers.ml import tabular_card
from customers.ml.tabular import figures
from customers.ml.tabular.fairness import GroupUnusable, learn_mitigation, measure
from customers.ml.tabular.propensity import matrix_of
from customers.ml.tabular_dataset import Question, Snapshot, traits, uses_sensitive

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from customers.ml.training_tabular import Judged

    Floats = NDArray[np.float64]

# A group below this gives no AUC worth a line.
FEWEST_IN_SLICE = 40
DRIVERS_SHOWN = 12
EXPLAINED = 400
# The share of customers a campaign would pick; fairness is measured on that choice.
PICKED = 0.2
BASELINES = {
    "churn": "days since the last order and number of orders alone",
    "next_purchase": "days since the last order and number of orders alone",
    "returns": "returns per order and recent orders alone",
}


def metrics(label: NDArray[np.int64], probability: Floats) -> dict[str, float]:
    """Return the numbers a version is stored and compared by."""
    return {
        "auroc": auroc(label, probability),
        "log_loss": figures.binary_log_loss(label, probability),
        "brier": brier(label, probability),
        "calibration_error": calibration_error(label, probability),
        "lift_10": figures.lift(label, probability),
        "rows": len(label),
        "happened": float(label.mean()),
    }


def report(question: Question, judged: Judged, *, days: int) -> ModelReport:
    """Return the whole report of a judged model; one query for the groups people belong to."""
    label, said, simple = judged.held_out.label, judged.probability, judged.baseline
    groups = _groups(judged.held_out)
    lines = []
    for name, measured, style, higher in (
        ("auroc", auroc, "share", True),
        ("pr_auc", figures.average_precision, "share", True),
        ("lift_10", figures.lift, "number", True),
        ("log_loss", figures.binary_log_loss, "number", False),
        ("brier", brier, "number", False),
        ("calibration_error", calibration_error, "share", False),
    ):
        lines.append(ReportedFigure.of(name, bootstrap(measured, label, said), baseline=float(measured(label, simple)), style=style, higher_is_better=higher))
    notes = [f"A perfectly calibrated model of these customers would show a calibration error of {figures.calibration_by_chance(said):.4f} by chance."]
    if days < question.days:
        notes.append(f"The shop is young: the horizon is {days} days instead of {question.days}.")
    notes.extend(f"{name}: {reason}." for name, reason in judged.left_out.items() if not reason.startswith("every row"))
    shares = [f"{name} {np.mean(groups[name] != ''):.0%}" for name in ("language", "country", "gender", "age", "device")]
    notes.append(f"Known of the customers measured on: {', '.join(shares)}.")
    if not uses_sensitive():
        notes.append("Gender and age are not used by the model; they are read only to measure fairness.")
    fair, gaps = _fairness(judged, {name: groups[name] for name in ("gender", "age", "language")})
    return ModelReport(
        method=f"Learnt from what was known up to {2 * days} days ago and earlier, and what followed; judged on what followed {days} days ago, which no model had seen. The version that serves is then fitted on everything.",
        baseline=BASELINES[question.task],
        figures=tuple(lines),
        calibration=calibration_bins(label, said),
        tables=(
            ReportTable("lift", ("tenth", "rows", "stated", "happened", "lift"), tuple(figures.lift_table(label, said))),
            _drivers(judged),
            ReportTable("slices", ("slice", "rows", "stated", "happened", "auroc"), tuple(_slices(label, said, groups))),
            *((fair, gaps) if fair.rows else ()),
            ReportTable(
                "candidates", ("name", "auroc", "log_loss"),
                tuple((name, figure["auc"], figure["log_loss"]) for name, figure in judged.choice.candidates.items()),
            ),
        ),
        notes=tuple(notes),
        data=tabular_card.data_card(judged, groups),
    )  # fmt: skip


def _groups(held_out: Snapshot) -> dict[str, NDArray[np.str_]]:
    """Return each held-out customer's group by several ways to look at them, "" where unknown."""
    table = held_out.table
    found = traits(table.customer, as_of=held_out.cut)
    shop_days, orders, seen = table.column("known_days"), table.column("orders"), table.column("seen_days")
    found["tenure"] = np.where(
        np.isnan(shop_days), "", np.where(shop_days < 90, "under_90_days", np.where(shop_days < 365, "90_days_to_a_year", "over_a_year"))
    )
    found["orders"] = np.where(orders < 1, "no_order", np.where(orders < 2, "one_order", np.where(orders < 5, "two_to_four_orders", "five_orders_or_more")))
    found["browsing"] = np.where(np.isnan(seen), "no_visits_known", np.where(seen <= 30, "seen_this_month", "not_seen_this_month"))
    return found


def _slices(label: NDArray[np.int64], said: Floats, groups: dict[str, NDArray[np.str_]]) -> list[tuple[Any, ...]]:
    """Return (group, rows, mean said, share happened, AUC or None) of every group large enough."""
    rows = []
    for values in groups.values():
        names, counts = np.unique(values[values != ""], return_counts=True)
        for name, count in sorted(zip(names, counts, strict=True), key=lambda pair: -pair[1])[:6]:
            inside = values == name
            if count >= FEWEST_IN_SLICE:
                area = auroc(label[inside], said[inside])
                rows.append((str(name), int(count), float(said[inside].mean()), float(label[inside].mean()), area if np.isfinite(area) else None))
    return rows


def _drivers(judged: Judged) -> ReportTable:
    """Return the features that move the probabilities most: mean size of their part of the log-odds, and which way more of it works."""
    some = np.linspace(0, len(judged.held_out.label) - 1, min(len(judged.held_out.label), EXPLAINED)).astype(np.int64)
    matrix = matrix_of(judged.held_out.table, judged.choice.model.names, some)
    why = judged.choice.model.explain(matrix)
    size = np.abs(why.contributions).mean(axis=0)
    rows = []
    for place in np.argsort(-size, kind="stable")[:DRIVERS_SHOWN]:
        value, effect = matrix.values[:, place], why.contributions[:, place]
        known = np.isfinite(value)
        both = known.sum() > 2 and np.ptp(value[known]) > 0 and np.ptp(effect[known]) > 0
        way = float(np.corrcoef(value[known], effect[known])[0, 1]) if both else 0.0
        rows.append((why.columns[place], float(size[place]), "more_raises" if way > 0.3 else "more_lowers" if way < -0.3 else "depends"))
    return ReportTable("drivers", ("feature", "mean_effect", "direction"), tuple(row for row in rows if row[1] > 0))


def _fairness(judged: Judged, groups: dict[str, NDArray[np.str_]]) -> tuple[ReportTable, ReportTable]:
    """Return how the groups fare if the likeliest fifth is picked, and the gaps with what thresholds by group would leave."""
    label, said = judged.held_out.label, judged.probability
    score = np.log(said) - np.log1p(-said)
    threshold = float(np.quantile(score, 1 - PICKED))
    shares: list[tuple[Any, ...]] = []
    gaps: list[tuple[Any, ...]] = []
    for name, group in groups.items():
        try:
            found = measure(label, score >= threshold, group, column=name)
            mitigation = learn_mitigation(label, score, group, threshold=threshold, column=name)
            moved = mitigation.apply(score, group)
            after = measure(label, moved >= threshold, group, column=name)
        except GroupUnusable:
            continue
        shares.extend((part.group, part.rows, part.label, part.selected, part.selected_with_label) for part in found.groups)
        gap = found.parity_difference
        gaps.append(
            (
                name, gap.value, gap.low, gap.high, found.opportunity_difference.value, found.disparate_impact.value,
                after.parity_difference.value, auroc(label, score) - auroc(label, moved),
            )
        )  # fmt: skip
    return (
        ReportTable("fairness", ("slice", "rows", "happened", "picked", "picked_of_happened"), tuple(shares)),
        ReportTable(
            "fairness_gaps",
            ("slice", "parity_difference", "low", "high", "opportunity_difference", "disparate_impact", "parity_after", "auc_cost"),
            tuple(gaps),
        ),
    )
