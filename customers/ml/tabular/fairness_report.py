"""One protected column's part of a report: the facts, the decisions, and what the mitigation would change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from crm.core.learning.evaluation import auroc
from customers.ml.tabular.fairness import GroupUnusable, Protected, learn_mitigation, measure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def fairness_of(
    protected: Protected,
    *,
    train_cells: Sequence[str],
    train_label: NDArray[np.int64],
    train_unseen: Floats,
    test_cells: Sequence[str] | None,
    test_label: NDArray[np.int64] | None,
    test_score: Floats,
    seed: int = 0,
) -> tuple[dict[str, Any], list[str]]:
    """Return the table of one column and notes for people.

    train_unseen: (n,) probabilities of training rows by models that had not seen them, NaN where there is none.
    test_score: (m,) log-odds of the labelled test rows.  The decision selects, at one threshold, the share of rows that
    bear the positive label in training.  The mitigation's strength is learned on the training
    rows; its thresholds need the groups and scores of the rows to decide, never their labels.
    """
    group = protected.groups(train_cells)
    compared = np.isfinite(train_unseen)
    score = np.log(train_unseen[compared]) - np.log1p(-train_unseen[compared])
    threshold = float(np.quantile(score, 1 - train_label.mean()))
    table: dict[str, Any] = {"threshold": float(1 / (1 + np.exp(-threshold)))}
    asked = protected.groups(test_cells) if test_cells is not None else np.zeros(0, dtype=np.str_)
    every_label = np.concatenate([train_label, test_label]) if test_label is not None else train_label
    every_group = np.concatenate([group, asked]) if test_label is not None else group
    try:
        both = measure(every_label, every_label > 0, every_group, column=protected.name, seed=seed)
        table["label_difference_all_rows"] = {**both.label_difference.as_dict(), "between": list(both.between["label_difference"])}
        table["train"] = measure(train_label[compared], score >= threshold, group[compared], column=protected.name, seed=seed).as_dict()
        mitigation = learn_mitigation(train_label[compared], score, group[compared], threshold=threshold, column=protected.name)
        table["mitigation"] = {
            "method": "thresholds by group, set on the rows to decide, without labels",
            "strength": mitigation.strength,
            "train": _change(mitigation.apply(score, group[compared]), score, threshold, train_label[compared], group[compared], protected.name, seed),
        }
        if test_label is not None:
            table["test"] = measure(test_label, test_score >= threshold, asked, column=protected.name, seed=seed).as_dict()
            table["mitigation"]["test"] = _change(mitigation.apply(test_score, asked), test_score, threshold, test_label, asked, protected.name, seed)
            table["mitigation"]["offsets"] = mitigation.offsets(test_score, asked)
    except GroupUnusable as error:
        return table, [f"Fairness: {error.text}"]
    return table, [_told(protected.name, table)]


def _told(name: str, table: dict[str, Any]) -> str:
    """Return one column's fairness in a sentence, of the test rows where they were measured."""
    part = "test" if "test" in table else "train"
    gap, (more, less), change = table[part]["parity_difference"], table[part]["between"]["parity_difference"], table["mitigation"][part]
    return (
        f"Fairness by {name}, {'test' if part == 'test' else 'unseen training'} rows: {more!r} is selected {gap['value']:.3f} [{gap['low']:.3f}, {gap['high']:.3f}] "
        f"more often than {less!r} (ratio {table[part]['disparate_impact']['value']:.2f}); thresholds by group would leave "
        f"{change['parity_difference_after']:.3f} and move the AUC from {change['auc_before']:.3f} to {change['auc_after']:.3f}."
    )


def _change(after: Floats, before: Floats, threshold: float, label: NDArray[np.int64], group: NDArray[np.str_], column: str, seed: int) -> dict[str, Any]:
    """Return parity, opportunity, disparate impact and AUC before and after; each gap is between its two farthest groups."""
    first = measure(label, before >= threshold, group, column=column, seed=seed)
    second = measure(label, after >= threshold, group, column=column, seed=seed)
    return {
        "parity_difference_before": first.parity_difference.value,
        "parity_difference_after": second.parity_difference.value,
        "opportunity_difference_before": first.opportunity_difference.value,
        "opportunity_difference_after": second.opportunity_difference.value,
        "disparate_impact_before": first.disparate_impact.value,
        "disparate_impact_after": second.disparate_impact.value,
        "auc_before": auroc(label, before),
        "auc_after": auroc(label, after),
    }
