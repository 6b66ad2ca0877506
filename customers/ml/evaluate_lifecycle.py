"""`manage.py evaluate lifecycle`: hidden states of a panel of order counts, with the pipeline that names stages.

    manage.py evaluate lifecycle --panel F.csv --out P.csv --json R.json

F.csv: customer_id, period, count (names as written; periods are whole numbers or sortable text such as 2026-03), and
optionally a column of contact levels named by --contact.  P.csv: customer_id, period, state, then one column of
probability per state, slowest first; one row per input row, in input order.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from crm.core.learning import tables
from crm.core.learning.evaluating import EvaluationReport, Say
from crm.core.learning.tables import TableUnreadable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from customers.ml.hmm.fitting import Fitted
    from customers.ml.hmm.model import HiddenMarkov
    from customers.ml.hmm.panel import Panel

    Floats = NDArray[np.float64]

HELP = "Learn hidden states of ordering from a panel of counts; write each customer's state and its probabilities per period."
NOTHING = frozenset({"", "nan", "na", "null"})
ONE_RATE = "one rate for everybody"
# More periods than this are no panel but a calendar of days gone wrong, and would not fit in memory.
MOST_PERIODS = 1_000
# Looking further ahead than this says nothing but the states' long-run shares.
FARTHEST_HORIZON = 1_000
# Customers without any order that should be there and are not, before a panel is taken for one of buyers.
FEWEST_MISSING = 20


@dataclass(frozen=True, slots=True)
class _Read:
    """The file as a table.  counts: (n, p), NaN where absent.  contact: (n, p) or None.  row, column: (m,) of each line."""

    customers: list[str]
    periods: list[str]
    counts: Floats
    contact: NDArray[np.int8] | None
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    notes: tuple[str, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--panel", metavar="FILE", required=True, help="CSV with customer_id, period, count")
    parser.add_argument("--out", metavar="FILE", help="write customer_id, period, state and the state probabilities")
    parser.add_argument("--states", type=int, help="number of states; default: chosen by BIC among 1 to 6")
    parser.add_argument(
        "--begin",
        choices=("auto", "first-row", "first-order"),
        default="auto",
        help="first-order: what comes before a customer's first order is unknown, not zero; auto decides by whether "
        "customers without any order are missing from the panel",
    )
    parser.add_argument("--filtered", action="store_true", help="states given the past only; default: given the whole story")
    parser.add_argument("--contact", metavar="COL", help="column of whole numbers, 0 where there was no contact: one transition matrix per level")
    parser.add_argument("--forecast", metavar="FILE", help="write customer_id, buys_again, orders for the --horizon periods after the panel")
    parser.add_argument("--horizon", type=float, default=3.0, help="periods to look ahead, default 3")
    parser.add_argument("--seed", type=int, default=0, help="every random draw comes from it")


def run(options: Mapping[str, Any], say: Say) -> EvaluationReport:
    """Fit, write, and report. Raises TableUnreadable or PanelUnusable with one sentence."""
    from customers.ml.hmm import fitting
    from customers.ml.hmm.emissions import FAMILIES
    from customers.ml.hmm.panel import panel_of_counts

    if options.get("states") is not None and not 1 <= options["states"] <= 20:
        raise TableUnreadable("--states must lie between 1 and 20.")
    if not 0 < options.get("horizon", 3.0) <= FARTHEST_HORIZON:
        raise TableUnreadable(f"--horizon must be a positive number of periods, {FARTHEST_HORIZON:,} at most.")
    read = _read(options["panel"], options.get("contact"))
    say(f"{len(read.customers):,} customers, {len(read.periods)} periods")
    seed = int(options.get("seed") or 0)
    first, entry, reason = _beginning(read, options.get("begin") or "auto", seed)
    panel = panel_of_counts(read.counts, start=first, contact=read.contact, entry=entry)
    say(f"{len(panel.cell):,} distinct stories")
    wanted = options.get("states")
    fitted = fitting.choose(panel, states=[wanted] if wanted else range(1, fitting.MOST_STATES + 1), families=FAMILIES, seed=seed, say=say)
    notes = [*read.notes, reason, *_warnings(read, fitted.model)]
    if options.get("out"):
        _write_states(options["out"], read, panel, fitted.model, smooth=not options.get("filtered"))
    horizon = float(options.get("horizon", 3.0))
    if options.get("forecast"):
        last = fitted.model.last(panel)[panel.story]
        again, orders = fitted.model.buys_again(last, periods=horizon), fitted.model.expected_orders(last, periods=horizon)
        tables.write(
            options["forecast"],
            ("customer_id", "buys_again", "orders"),
            ((name, float(p), float(n)) for name, p, n in zip(read.customers, again, orders, strict=True)),
        )
    return _report(read, panel, fitted, notes, seed)


def _read(path: str, contact: str | None) -> _Read:
    table = tables.read(path, least_columns=3)
    who, when, orders = table.column("customer_id"), table.column("period"), table.column("count")
    for line, (name, period) in enumerate(zip(who, when, strict=True), start=2):
        if not name.strip() or period.strip().lower() in NOTHING:
            raise TableUnreadable(f"{path}, line {line}: a row needs a customer_id and a period.")
    customers = list(dict.fromkeys(who))
    periods, notes = _in_order(when, path)
    if len(periods) > MOST_PERIODS:
        raise TableUnreadable(f"{path} has {len(periods)} periods; {MOST_PERIODS} at most. Count orders per week or month first.")
    row_of, column_of = {name: index for index, name in enumerate(customers)}, {name: index for index, name in enumerate(periods)}
    row = np.array([row_of[name] for name in who], dtype=np.int64)
    column = np.array([column_of[name] for name in when], dtype=np.int64)
    amounts = np.array([_count(text, path, line) for line, text in enumerate(orders, start=2)])
    if len(np.unique(row * len(periods) + column)) < len(row):
        raise TableUnreadable(f"{path} has two rows for the same customer and period.")
    counts = np.full((len(customers), len(periods)), np.nan)
    counts[row, column] = amounts
    if not np.isfinite(counts).any():
        raise TableUnreadable(f"{path} has no count that is a number.")
    levels = None
    if contact:
        levels = np.zeros(counts.shape, dtype=np.int8)
        levels[row, column] = [_level(text, path, line) for line, text in enumerate(table.column(contact), start=2)]
    absent = np.isnan(counts)
    if absent.any() and not (amounts == 0).any():
        # A file that never says zero leaves zeros out.
        after = np.arange(len(periods))[None, :] >= (~absent).argmax(axis=1)[:, None]
        counts[absent & after] = 0.0
        notes = (*notes, "The file lists no zero: periods that are absent after a customer's first row were read as zero.")
    elif absent.any():
        notes = (*notes, f"{int(absent.sum()):,} cells are absent and were taken as unknown.")
    return _Read(customers, periods, counts, levels, row, column, notes)


def _in_order(when: list[str], path: str) -> tuple[list[str], tuple[str, ...]]:
    """Return the periods in time order, whole numbers without holes: a number nobody has is a period of its own.

    Raises TableUnreadable where one number is written in two ways.
    """
    names = set(when)
    try:
        numbers = {int(float(name)): name for name in names if float(name) == int(float(name))}
    except (ValueError, OverflowError):
        return sorted(names), ()
    seen: dict[float, str] = {}
    for name in sorted(names):
        if (twin := seen.setdefault(float(name), name)) != name:
            raise TableUnreadable(f"{path} writes the same period as {twin!r} and as {name!r}; write it in one way.")
    if len(numbers) < len(names):
        return sorted(names, key=float), ()
    low, high = min(numbers), max(numbers)
    missing = high - low + 1 - len(numbers)
    if missing and high - low < MOST_PERIODS:
        note = f"{missing} period(s) between {low} and {high} are in no row; they were taken as unknown."
        return [numbers.get(number, f"{number}") for number in range(low, high + 1)], (note,)
    note = f"The periods run from {low} to {high} and {missing:,} of them are in no row; those there are were taken as following one another."
    return [numbers[number] for number in sorted(numbers)], (note,) if missing else ()


def _count(text: str, path: str, line: int) -> float:
    """Return the count; an empty cell or nan is unknown. Raises TableUnreadable for anything else that is no count."""
    cleaned = text.strip()
    if cleaned.lower() in NOTHING:
        return float("nan")
    try:
        value = float(cleaned)
    except ValueError:
        raise TableUnreadable(f"{path}, line {line}: the count {text!r} is no number.") from None
    if not np.isfinite(value) or value < 0 or value != int(value):
        raise TableUnreadable(f"{path}, line {line}: the count {text!r} is no whole number of orders, 0 or more.")
    return value


def _level(text: str, path: str, line: int) -> int:
    cleaned = text.strip() or "0"
    if cleaned.isdigit() and int(cleaned) <= 9:
        return int(cleaned)
    raise TableUnreadable(f"{path}, line {line}: the contact level {text!r} is no whole number from 0 to 9.")


def _beginning(read: _Read, wanted: str, seed: int) -> tuple[NDArray[np.int64], bool, str]:
    """Return where each story starts, whether that is the first order, and how that was decided."""
    from customers.ml.hmm import fitting
    from customers.ml.hmm.panel import panel_of_counts

    known = np.nan_to_num(read.counts, nan=0.0) > 0
    first_row = (~np.isnan(read.counts)).argmax(axis=1)
    first_order = np.where(known.any(axis=1), known.argmax(axis=1), first_row)
    if wanted == "first-row":
        return first_row, False, "Stories start with each customer's first row (asked for)."
    if wanted == "first-order":
        return first_order, True, "Stories start with each customer's first order (asked for)."
    silent = int((~known.any(axis=1)).sum())
    panel = panel_of_counts(read.counts, start=first_row)
    model = fitting.fit(panel, states=min(3, panel.periods), seed=seed, restarts=3)
    expected = float(len(read.customers) * np.exp(_log_silence(model, panel)).mean())
    if silent == 0 and expected >= FEWEST_MISSING:
        reason = f"About {expected:,.0f} customers without any order were to be expected and there are none: stories start with each customer's first order."
        return first_order, True, reason
    return first_row, False, f"Stories start with each customer's first row ({silent:,} customers have no order, about {expected:,.0f} were to be expected)."


def _log_silence(model: HiddenMarkov, panel: Panel) -> Floats:
    """Return each story length's logarithm of the probability of no order at all, per customer."""
    from customers.ml.hmm import emissions

    none = np.exp(emissions.log_table(model.emission, np.zeros(1), np.ones(1)))[0]
    state, survived = model.initial * none, np.zeros(panel.periods + 1)
    for length in range(1, panel.periods + 1):
        survived[length] = np.log(max(state.sum(), 1e-300))
        state = (state @ model.transitions[0]) * none
    return survived[panel.length[panel.story]]


def _write_states(path: str, read: _Read, panel: Panel, model: HiddenMarkov, *, smooth: bool) -> None:
    """Write one line per input line; a period before the story's start has the state of its start."""
    from customers.ml.hmm.stages import state_names

    names = state_names(model)
    states = model.smoothed(panel) if smooth else model.filtered(panel)
    age = np.maximum(read.column - panel.start[read.row], 0)
    probability = states[panel.story[read.row], age]
    most = probability.argmax(axis=1)
    tables.write(
        path,
        ("customer_id", "period", "state", *names),
        (
            (read.customers[row], read.periods[column], names[state], *map(float, line))
            for row, column, state, line in zip(read.row, read.column, most, probability, strict=True)
        ),
    )


def _warnings(read: _Read, model: HiddenMarkov) -> list[str]:
    """Return what a reader of a degenerate panel must know."""
    counts = read.counts[~np.isnan(read.counts)]
    notes = []
    if len(read.customers) < 30:
        notes.append(f"{len(read.customers)} customer(s) say little about states; 30 are a sensible least.")
    if not counts.any():
        notes.append("Nobody ordered in any period: there is nothing to tell apart, one state serves.")
    elif len(np.unique(counts)) == 1:
        notes.append("Every count is the same: there is nothing to tell apart.")
    if counts.max(initial=0) > 200:
        notes.append(f"Counts above 200 were read as 200 (largest: {counts.max():,.0f}).")
    if len(read.periods) < 3:
        notes.append(f"{len(read.periods)} period(s) show hardly any change of state; transitions are close to their prior.")
    if model.states == 1:
        notes.append(f"One state was best by BIC: the baseline serves ({ONE_RATE}).")
    return notes


def _report(read: _Read, panel: Panel, fitted: Fitted, notes: list[str], seed: int) -> EvaluationReport:
    from customers.ml.hmm.stages import state_names

    model, names = fitted.model, state_names(fitted.model)
    matrices = {
        ("transitions" if level == 0 else f"transitions_contact_{level}"): {
            one: dict(zip(names, map(float, matrix[index]), strict=True)) for index, one in enumerate(names)
        }
        for level, matrix in enumerate(model.transitions)
    }
    candidates = {
        f"{each.family}, {each.states} state(s)": {"bic": round(each.bic, 2), "log_likelihood": round(each.log_likelihood, 2), "parameters": each.parameters}
        for each in fitted.attempts
    }
    best_by_number: dict[str, float] = {}
    for each in fitted.attempts:
        key = str(each.states)
        best_by_number[key] = min(best_by_number.get(key, np.inf), round(each.bic, 2))
    baseline = next((each.log_likelihood for each in fitted.attempts if each.states == 1), None)
    figures: dict[str, Any] = {"log_likelihood": model.log_likelihood, "bic": model.bic(panel), "states": model.states}
    if baseline is not None:
        figures["log_likelihood_of_the_baseline"] = baseline
    figures |= {f"orders per period, {name}": float(rate) for name, rate in zip(names, model.emission.mean, strict=True)}
    return EvaluationReport(
        task="lifecycle",
        protocol="Expectation maximisation on the whole panel; number of states and kind of counts by BIC. No label is used.",
        chosen=f"hidden Markov model, {model.states} state(s), {model.emission.family} counts",
        figures=figures,
        candidates=candidates,
        parameters={
            "states": list(names),
            "family": model.emission.family,
            "rates": dict(zip(names, map(float, model.emission.mean), strict=True)),
            "initial": dict(zip(names, map(float, model.initial), strict=True)),
            **matrices,
            "transition_matrix": model.transitions[0].tolist(),
            "bic_per_states": best_by_number,
            "shape_or_zero_share": model.emission.extra.tolist(),
            "baseline": ONE_RATE,
        },
        notes=tuple(notes),
        seed=seed,
        rows={"customers": len(read.customers), "periods": len(read.periods), "rows": len(read.row), "distinct_stories": len(panel.cell)},
    )
