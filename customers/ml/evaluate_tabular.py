"""`manage.py evaluate tabular`: the production pipeline for tables on files a person brings.

Learns from one table who bears a label and says it of another, with exact reasons.  Labels of the test file are read
after the predictions are written down, and choose nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from crm.core.learning.evaluating import EvaluationReport, Say
    from crm.core.learning.tables import Table
    from customers.ml.tabular.choosing import Choice
    from customers.ml.tabular.columns import ColumnPlan, Matrix
    from customers.ml.tabular.fairness import Protected
    from customers.ml.tabular.labels import Task, Truth
    from customers.ml.tabular.leaks import Leak
    from customers.ml.tabular.model import Explanation, TabularModel

    Floats = NDArray[np.float64]

HELP = "Learn from one table who bears a label, and say how likely each row of another does, why, and how fair that is."
# Reasons named in the readable column; all contributions follow in columns of their own.
REASONS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--train", metavar="A.csv", required=True, help="any table with a header; .csv.gz reads too")
    parser.add_argument("--test", metavar="B.csv", required=True, help="the same columns; its label, where it has one, is only measured against")
    parser.add_argument("--label", metavar="COL", required=True, help="the column to predict")
    parser.add_argument("--positive", metavar="VALUE", help="the label value whose probability is wanted (default: 1, yes, true, bad, churned, else the rarer)")
    parser.add_argument(
        "--protected", metavar="COL", action="append", default=[],
        help="measure fairness between this column's groups and keep it out of the model; COL>25 cuts a number, COL^male takes cells that begin so; repeatable",
    )  # fmt: skip
    parser.add_argument("--use-protected", action="store_true", help="let the model use the protected columns")
    parser.add_argument("--drop", metavar="COL", action="append", default=[], help="leave this column out; repeatable")
    parser.add_argument("--keep", metavar="COL", action="append", default=[], help="use this column although the leak guard refuses it; repeatable")
    parser.add_argument("--out", metavar="P.csv", help="write row,probability,reasons,base and one contribution per column (log-odds)")
    parser.add_argument("--no-reasons", action="store_true", help="write row,probability only")
    parser.add_argument("--seed", type=int, default=0, help="decides folds and trees (default 0)")


def run(options: Mapping[str, Any], say: Say) -> EvaluationReport:
    """Return the report; raises TableUnreadable, LabelUnusable, NothingToLearnFrom, ColumnMissing or GroupUnusable."""
    from crm.core.learning import tables
    from crm.core.learning.evaluating import EvaluationReport
    from customers.ml.tabular.choosing import choose
    from customers.ml.tabular.fairness import GroupUnusable, Protected
    from customers.ml.tabular.labels import learnable, truth_of

    train, test = tables.read(options["train"], least_columns=2), tables.read(options["test"])
    task = learnable(train, options["label"], options.get("positive"))
    seed = int(options.get("seed") or 0)
    protected = [Protected.parse(text, train.columns) for text in options.get("protected") or []]
    if any(one.column == options["label"] for one in protected):
        raise GroupUnusable(f"--protected {options['label']} is the label itself; name a column that says who a row is about.")
    protected = [one.learn(task.cells(one.column)) for one in protected]
    plan, matrix, leaks = _plan(task, options, protected, seed)
    say(f"{len(matrix)} rows, {len(plan.columns)} columns; probability of {options['label']} = {task.positive}")
    # Before the minutes of choosing: a column that the test file lacks is found now.
    asked = plan.encode({column.name: test.column(column.name) for column in plan.columns if test.has(column.name)})
    choice = choose(matrix, task.label, seed=seed, say=say)
    probability = choice.model.probability(asked)
    if options.get("out"):
        say(f"predicting {len(asked)} rows")
        _write(options["out"], choice.model, asked, probability, with_reasons=not options.get("no_reasons"))
    # Everything above is decided and written; only now are the test's labels looked at.
    found = truth_of(test, task, options["label"])
    truth, measured = (found.label, found.rows) if found and len(found.rows) else (None, np.zeros(0, dtype=np.int64))
    notes = [*_notes(task, plan, leaks, options), *_unmeasured(test, task, options["label"], found)]
    figures, shown = _measured(truth, measured, probability, choice, asked, seed) if truth is not None else ({}, {})
    fair, told = _fairness(task, test, protected, choice, asked, truth, measured, seed)
    return EvaluationReport(
        task="tabular",
        protocol=f"Probability of {options['label']} = {task.positive}. All choices by 5-fold cross-validation of {train.path}, "
        f"equal rows kept in one fold; {test.path} only predicted.",
        chosen=choice.model.name,
        figures=figures,
        candidates=choice.candidates,
        parameters=_parameters(choice, task, plan),
        tables={**shown, "columns": _importance(choice.model, matrix), **({"fairness": fair} if fair else {})},
        notes=(*notes, *told),
        seed=seed,
        rows={"train": len(matrix), "test": len(asked), "train_positive": int(task.label.sum())},
    )


def _plan(task: Task, options: Mapping[str, Any], protected: Sequence[Protected], seed: int) -> tuple[ColumnPlan, Matrix, list[Leak]]:
    """Return the columns used, the training matrix, and what the leak guard said."""
    from customers.ml.tabular.columns import ColumnPlan
    from customers.ml.tabular.leaks import find_leaks

    for name in [*(options.get("drop") or []), *(options.get("keep") or [])]:
        task.table.column(name)
    plan = ColumnPlan.learn({name: task.cells(name) for name in task.table.columns if name != options["label"]})
    barred = dict.fromkeys(options.get("drop") or [], "left out as asked")
    if not options.get("use_protected"):
        barred |= {one.column: "protected: measured for fairness, not used" for one in protected}
    plan = plan.without(barred)
    matrix = plan.encode({column.name: task.cells(column.name) for column in plan.columns})
    leaks = find_leaks(matrix, task.label, seed=seed)
    certain = {leak.column: leak.reason for leak in leaks if leak.is_certain and leak.column not in (options.get("keep") or [])}
    if certain:
        plan = plan.without(certain)
        matrix = plan.encode({column.name: task.cells(column.name) for column in plan.columns})
    return plan, matrix, leaks


def _notes(task: Task, plan: ColumnPlan, leaks: Sequence[Leak], options: Mapping[str, Any]) -> Iterator[str]:
    yield f"The positive label is {task.positive!r} ({int(task.label.sum())} of {len(task.label)} training rows); the other is {task.negative!r}."
    if len(task.rows) < len(task.table):
        yield f"{len(task.table) - len(task.rows)} training rows without a label were left out."
    for leak in leaks:
        kept = leak.column in (options.get("keep") or [])
        ending = "" if not leak.is_certain else " (kept as asked)" if kept else f"; it was left out (--keep {leak.column} uses it all the same)"
        yield f"Leak guard: {leak.reason}{ending}."
    guarded = {leak.column for leak in leaks}
    for name, reason in plan.left_out.items():
        if name not in guarded:
            yield f"Column {name!r} is not used: {reason}."


def _unmeasured(test: Table, task: Task, label: str, found: Truth | None) -> Iterator[str]:
    """Say which test rows are not measured, and why."""
    from customers.ml.tabular.labels import listed

    if found is None:
        yield f"{test.path} bears no label {label!r}: nothing is measured."
        return
    if found.strange:
        yield (
            f"{sum(found.strange.values())} rows of {test.path} bear a label that is neither {task.positive!r} nor {task.negative!r} "
            f"({listed(sorted(found.strange))}) and are not measured."
        )
    if not 0 < found.label.sum() < len(found.label):
        yield f"All measured rows of {test.path} bear one label: how well rows are ranked cannot be said."


def _write(path: str, model: TabularModel, asked: Matrix, probability: Floats, *, with_reasons: bool) -> None:
    from crm.core.learning import tables

    if not with_reasons:
        tables.write(path, ("row", "probability"), ((row, _exact(value)) for row, value in enumerate(probability)))
        return
    why = model.explain(asked)
    tables.write(
        path,
        ("row", "probability", "reasons", "base", *(f"contribution:{column}" for column in why.columns)),
        (
            (row, _exact(value), _told(why, row), _exact(why.base), *map(_exact, why.contributions[row]))
            for row, value in enumerate(probability)
        ),
    )  # fmt: skip


def _exact(value: float) -> str:
    """Fifteen digits: the log-odds of a probability near 1 must still equal base and contributions to 1e-6."""
    return f"{value:.15g}"


def _told(why: Explanation, row: int) -> str:
    return "; ".join(f"{column} {value:+.3f}" for column, value in why.strongest(row, most=REASONS))


def _measured(
    truth: NDArray[np.int64], rows: NDArray[np.int64], probability: Floats, choice: Choice, asked: Matrix, seed: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    from crm.core.learning.reports import calibration_bins
    from customers.ml.tabular.figures import better_by, calibration_by_chance, figures, lift_table

    stated = probability[rows]
    simple = choice.baseline.probability(asked)[rows]
    ours: dict[str, Any] = {name: figure.as_dict() for name, figure in figures(truth, stated, seed=seed).items()}
    theirs = {name: figure.as_dict() for name, figure in figures(truth, simple, seed=seed).items()}
    ours["ece_by_chance"] = {"value": calibration_by_chance(stated, seed=seed), "low": None, "high": None, "rows": len(rows)}
    if 0 < truth.sum() < len(truth):
        ours["auc_over_baseline"] = better_by(truth, stated, simple, seed=seed).as_dict()
    bins = [{"stated": part.stated, "observed": part.observed, "rows": part.rows} for part in calibration_bins(truth, stated)]
    tenths = [dict(zip(("tenth", "rows", "stated", "observed", "lift"), line, strict=True)) for line in lift_table(truth, stated)]
    return ours, {"baseline": {"name": choice.baseline.name, **theirs}, "calibration": bins, "lift": tenths}


def _fairness(
    task: Task, test: Table, protected: Sequence[Protected], choice: Choice, asked: Matrix,
    truth: NDArray[np.int64] | None, rows: NDArray[np.int64], seed: int,
) -> tuple[dict[str, Any], list[str]]:  # fmt: skip
    """Return per protected column the facts of all labelled rows, the decisions on the test rows, and the mitigation's effect."""
    from customers.ml.tabular.fairness_report import fairness_of

    found: dict[str, Any] = {}
    notes: list[str] = []
    for one in protected:
        table, note = fairness_of(
            one,
            train_cells=task.cells(one.column),
            train_label=task.label,
            train_unseen=choice.unseen,
            test_cells=[test.column(one.column)[row] for row in rows] if test.has(one.column) else None,
            test_label=truth,
            test_score=choice.model.calibration.apply(choice.model.score(asked))[rows],
            seed=seed,
        )
        found[one.name] = table
        notes.extend(note)
    return found, notes


def _parameters(choice: Choice, task: Task, plan: ColumnPlan) -> dict[str, Any]:
    calibration = choice.model.calibration
    return {
        "positive": task.positive,
        "settings": {kind: settings.name for kind, settings in choice.settings.items()},
        "weights": {part.kind: round(part.weight, 4) for part in choice.model.parts},
        "calibration": {"kind": calibration.kind, "slope": calibration.slope, "intercept": calibration.intercept},
        "columns": {column.name: column.kind for column in plan.columns},
        "left_out": plan.left_out,
    }


def _importance(model: TabularModel, matrix: Matrix) -> list[dict[str, Any]]:
    """Return the mean absolute contribution of each column over up to 300 training rows, the strongest first."""
    some = matrix.take(np.linspace(0, len(matrix) - 1, min(len(matrix), 300)).astype(np.int64))
    why = model.explain(some)
    mean = np.abs(why.contributions).mean(axis=0)
    return [{"column": why.columns[place], "mean_abs_log_odds": float(mean[place])} for place in np.argsort(-mean, kind="stable")]
