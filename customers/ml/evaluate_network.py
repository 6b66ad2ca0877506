"""`manage.py evaluate network`: the probability of a value given others, from given tables or learned from rows.

    manage.py evaluate network --tables T.json --query wet=yes --evidence rain=no,sprinkler=yes
    manage.py evaluate network --data F.csv --query buy=yes --evidence browsed=yes --out P.csv --json R.json
    manage.py evaluate network --data F.csv --query buy=yes --evidence-file E.csv --out P.csv

T.json: see customers/ml/network/given.py for its schema.  F.csv, E.csv: one column per variable; an empty cell, ? or NA
is unknown.  A value that holds a comma goes in quotes.  P.csv: row,probability with one line per row of evidence.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from crm.core.learning import tables
from crm.core.learning.evaluating import EvaluationReport, Say
from crm.core.learning.tables import Table
from customers.ml.network.model import BLANKS, UNKNOWN, Network, NetworkInvalid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from customers.ml.network.learning import Learned, Rows, Rules

    Codes = NDArray[np.int64]

HELP = "Return the probability of a value given others, exactly, from given tables or learned from rows, with each value's influence."
# A column of more values than this is a number or a name, not a discrete variable.
MOST_VALUES = 60
FOLDS = 5
BASE_RATE = "base rate"
NAIVE = "naive Bayes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", metavar="FILE", help="CSV to learn from, one column per variable; empty cells are unknown")
    source.add_argument("--tables", metavar="FILE", help="JSON of a given network: nodes with name, states, parents and table")
    parser.add_argument("--query", metavar="COL=V", required=True, help="what is asked: the variable and its value")
    parser.add_argument("--evidence", metavar="COL=V,...", action="append", default=[], help="what is known; ? or an unheard-of value is unknown")
    parser.add_argument("--evidence-file", metavar="FILE", help="CSV of evidence, one row each; the column of the query is not looked at")
    parser.add_argument("--out", metavar="FILE", help="write row,probability")
    parser.add_argument("--arrow", metavar="A>B", action="append", default=[], help="give the structure yourself, one arrow each; nothing is searched then")
    parser.add_argument("--forbid", metavar="A>B", action="append", default=[], help="an arrow the search must not use")
    parser.add_argument("--parents", type=int, default=3, help="most parents of a variable, default 3")
    parser.add_argument("--save-tables", metavar="FILE", help="write the network as JSON, readable by --tables")
    parser.add_argument("--seed", type=int, default=0, help="every random draw comes from it")


def run(options: Mapping[str, Any], say: Say) -> EvaluationReport:
    """Answer, write, report. Raises NetworkInvalid or TableUnreadable with one sentence."""
    from customers.ml.network import given
    from customers.ml.network.inference import posterior

    seed = int(options.get("seed") or 0)
    column, value = _pair(options["query"], "--query")
    notes: list[str] = []
    learned: Learned | None = None
    candidates: dict[str, Any] = {}
    if options.get("tables"):
        network = given.read(options["tables"])
    else:
        learned, candidates = _learned(options, column, value, notes, say, seed)
        network = learned.network
    state = network.code(column, value)
    if state == UNKNOWN:
        raise NetworkInvalid(f"{column} has no value {value!r}; it has: {', '.join(network.states[column])}.")
    if options.get("save_tables"):
        _save(options["save_tables"], network)
    known = _evidence(options, network, column, notes)
    if options.get("evidence_file"):
        rows, file_notes = _rows(tables.read(options["evidence_file"]), network, column, known)
        notes += file_notes
    else:
        rows = known[None, :]
    found, chance = posterior(network, column, rows)
    impossible = chance <= 0
    if impossible.all():
        raise NetworkInvalid("What is said to be known cannot occur together under these tables.")
    base, _ = posterior(network, column, np.full((1, len(network.names)), UNKNOWN))
    answers = np.where(impossible, base[0, state], found[:, state])
    if impossible.any():
        notes.append(f"{int(impossible.sum())} row(s) of evidence cannot occur under these tables; they were given the base rate.")
    if options.get("out"):
        tables.write(options["out"], ("row", "probability"), ((number, f"{answer:.12g}") for number, answer in enumerate(answers)))
    return _report(network, learned, candidates, notes, rows, answers, (column, state), float(base[0, state]), bool(options.get("evidence_file")), seed)


def _pair(text: str, option: str) -> tuple[str, str]:
    column, mark, value = text.partition("=")
    if not mark or not column.strip():
        raise NetworkInvalid(f"{option} {text!r} is not of the form COLUMN=VALUE.")
    return column.strip(), value.strip()


def _pairs(texts: list[str]) -> list[tuple[str, str]]:
    """Return the pairs of one or more lists divided by commas; a quoted value may hold commas."""
    found = []
    for text in texts:
        for row in csv.reader([text], skipinitialspace=True):
            found += [_pair(part, "--evidence") for part in row if part.strip()]
    return found


def _evidence(options: Mapping[str, Any], network: Network, query: str, notes: list[str]) -> Codes:
    """Return the known codes of --evidence; what is not known of it is said in a note."""
    given = options.get("evidence") or []
    known = np.full(len(network.names), UNKNOWN)
    for column, value in _pairs([given] if isinstance(given, str) else list(given)):
        code = network.code(column, value)
        if column == query:
            notes.append(f"{column} is what is asked; what --evidence says of it was not used.")
            continue
        if code == UNKNOWN and value.casefold() not in BLANKS:
            notes.append(f"{column} has no value {value!r} (it has: {', '.join(network.states[column])}); it was taken as unknown.")
        place = network.names.index(column)
        if UNKNOWN not in (known[place], code) and known[place] != code:
            raise NetworkInvalid(f"--evidence gives {column} two values, {network.states[column][known[place]]!r} and {value!r}.")
        known[place] = code if code != UNKNOWN else known[place]
    return known


def _rows(table: Table, network: Network, query: str, known: Codes) -> tuple[Codes, list[str]]:
    """Return the codes of every row of evidence, --evidence filling what the file does not know."""
    rows, notes = np.tile(known, (len(table), 1)), []
    unheard = dict[str, int]()
    ignored = [name for name in table.columns if name not in network.states]
    if ignored:
        notes.append(f"Columns that are no variables of the network were not used: {', '.join(ignored)}.")
    for name in table.columns:
        if name == query or name not in network.states:
            continue
        cells = table.column(name)
        codes = {cell: network.code(name, cell) for cell in set(cells)}
        place = network.names.index(name)
        found = np.array([codes[cell] for cell in cells])
        rows[:, place] = np.where(found == UNKNOWN, rows[:, place], found)
        if odd := sum(codes[cell] == UNKNOWN and cell.strip().casefold() not in BLANKS for cell in cells):
            unheard[name] = odd
    if unheard:
        notes.append("Values the network has never seen were taken as unknown: " + ", ".join(f"{name} ({count})" for name, count in unheard.items()) + ".")
    return rows, notes


def _learned(options: Mapping[str, Any], query: str, value: str, notes: list[str], say: Say, seed: int) -> tuple[Learned, dict[str, Any]]:
    from customers.ml.network import learning

    table = tables.read(options["data"])
    if query not in table.columns:
        raise NetworkInvalid(f"{options['data']} has no column {query!r}; it has: {', '.join(table.columns)}.")
    columns = {name: table.column(name) for name in table.columns}
    asked = {column for column, _value in _pairs(list(options.get("evidence") or []))}
    for name in list(columns):
        known = {cell.strip() for cell in columns[name]} - {""}
        if name != query and not known:
            notes.append(f"{name} has no known value and was left out.")
        elif name != query and len(known) > MOST_VALUES:
            notes.append(f"{name} has {len(known):,} different values and was left out; put numbers into bands first.")
        else:
            continue
        if name in asked:
            raise NetworkInvalid(
                f"--evidence names {name}, which has {len(known):,} different values: put numbers into bands first."
                if known
                else f"--evidence names {name}, of which {options['data']} has no value."
            )
        del columns[name]
    rows = learning.rows_of(columns)
    if len(rows.states[query]) > MOST_VALUES:
        raise NetworkInvalid(f"{query} has {len(rows.states[query]):,} different values; put numbers into bands first.")
    notes += _leaks(rows, query, value, seed)
    rules = _rules(options, rows.names)
    learned = learning.learn(rows, rules=rules, seed=seed)
    say(f"{learned.rows:,} rows, {len(rows.names)} variables, {sum(map(len, learned.network.parents.values()))} arrows")
    if learned.left_out:
        notes.append(f"{learned.left_out} row(s) have too many unknown cells to learn from.")
    return learned, _cross_validated(rows, rules, query, value, seed)


def _leaks(rows: Rows, query: str, value: str, seed: int) -> list[str]:
    """Return what the leak guard says of each variable; a network may be asked with a copy of the answer, so it is kept."""
    from customers.ml.network.model import code_of
    from customers.ml.tabular.columns import Matrix
    from customers.ml.tabular.leaks import find_leaks

    place, state = rows.names.index(query), code_of(rows.states[query], value)
    codes = rows.codes[rows.codes[:, place] != UNKNOWN]
    label = codes[:, place] == state
    others = [name for name in rows.names if name != query]
    if not others or not len(codes) >= 10 * FOLDS or not label.any() or label.all():
        return []
    values = np.where(codes == UNKNOWN, np.nan, codes)[:, [rows.names.index(name) for name in others]]
    matrix = Matrix(values, tuple(others), tuple(others), tuple(rows.states[name] for name in others))
    return [f"Leak guard: {leak.reason}." for leak in find_leaks(matrix, label.astype(np.int64), seed=seed)]


def _rules(options: Mapping[str, Any], names: tuple[str, ...]) -> Rules:
    from customers.ml.network.learning import Rules

    def arrow(text: str) -> tuple[str, str]:
        one, mark, two = text.replace("->", ">").partition(">")
        if not mark or one.strip() not in names or two.strip() not in names:
            raise NetworkInvalid(f"The arrow {text!r} is not of the form A>B with columns of the data: {', '.join(names)}.")
        return one.strip(), two.strip()

    most = int(options.get("parents", 3))
    if not 1 <= most <= 8:
        raise NetworkInvalid("--parents must lie between 1 and 8.")
    arrows = [arrow(text) for text in options.get("arrow") or []]
    parents = {name: tuple(one for one, two in arrows if two == name) for name in names} if arrows else None
    return Rules(most_parents=most, forbidden=frozenset(arrow(text) for text in options.get("forbid") or []), parents=parents)


def _cross_validated(rows: Any, rules: Rules, query: str, value: str, seed: int) -> dict[str, Any]:
    """Return log-loss and AUC of the asked value on rows kept out, for the network, naive Bayes and the base rate."""
    from crm.core.learning.evaluation import auroc, stratified_folds
    from customers.ml.network.inference import posterior
    from customers.ml.network.learning import Rows, Rules, learn

    place = rows.names.index(query)
    state = Network(dict(rows.states), dict.fromkeys(rows.names, ()), {}).code(query, value)
    codes = rows.codes[rows.codes[:, place] != UNKNOWN]
    if state == UNKNOWN or len(codes) < 10 * FOLDS:
        return {}
    # Judging needs no more rows than this, and five networks of everything would take five times as long.
    codes = codes[np.random.default_rng(seed).permutation(len(codes))[:20_000]]
    truth = codes[:, place] == state
    if not truth.any() or truth.all():
        return {}
    naive = Rules(parents={name: () if name == query else (query,) for name in rows.names})
    said = {name: np.zeros(len(codes)) for name in ("network", NAIVE, BASE_RATE)}
    fold = stratified_folds(truth, folds=FOLDS, seed=seed)
    for number in range(FOLDS):
        out = fold == number
        part = Rows(rows.states, codes[~out])
        try:
            for name, rule in (("network", rules), (NAIVE, naive)):
                said[name][out] = posterior(learn(part, rules=rule, seed=seed).network, query, codes[out])[0][:, state]
        except NetworkInvalid:
            return {}  # a variable known in too few rows to part them
        said[BASE_RATE][out] = truth[~out].mean()
    chances = {name: np.clip(given, 1e-9, 1 - 1e-9) for name, given in said.items()}
    return {
        name: {"log_loss": float(-np.log(np.where(truth, chance, 1 - chance)).mean()), "auroc": 0.5 if name == BASE_RATE else auroc(truth, chance)}
        for name, chance in chances.items()
    }


def _save(path: str, network: Network) -> None:
    import json
    from pathlib import Path

    try:
        Path(path).write_text(json.dumps(network.to_config(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise NetworkInvalid(f"{path} cannot be written: {error}.") from error


def _report(
    network: Network,
    learned: Learned | None,
    candidates: dict[str, Any],
    notes: list[str],
    rows: Codes,
    answers: NDArray[np.float64],
    query: tuple[str, int],
    base: float,
    is_batch: bool,
    seed: int,
) -> EvaluationReport:
    from customers.ml.network.influence import explain

    column, state = query
    figures: dict[str, Any] = {"probability": float(answers[0])} if not is_batch else {"mean_probability": float(answers.mean())}
    figures["base_rate"] = base
    influence = []
    if not is_batch:
        told = explain(network, column, state, rows[0], seed=seed)
        influence = [
            {
                "variable": one.variable,
                "value": one.value,
                "log_odds": one.effect,
                "odds_factor": float(np.exp(one.effect)),
                "probability_without": one.without,
                "difference": told.probability - one.without,
                "words": one.words(told.probability),
            }
            for one in told.influences
        ]
        figures |= {f"log-odds, {one.variable}={one.value}": one.effect for one in told.influences}
        notes = [*notes, *(str(one["words"]) for one in influence)]
    return EvaluationReport(
        task="network",
        protocol="Exact inference by variable elimination."
        + (f" Structure and tables learned from all rows; candidates by {FOLDS}-fold cross-validation." if learned else " Tables as given."),
        chosen=f"Bayesian network, {'learned' if learned else 'given'}, {len(network.names)} variables",
        figures=figures,
        candidates=candidates,
        parameters={
            "query": f"{column}={network.states[column][state]}",
            "evidence": {name: network.states[name][code] for name, code in zip(network.names, rows[0], strict=True) if code != UNKNOWN}
            if not is_batch
            else {},
            "states": {name: list(values) for name, values in network.states.items()},
            "parents": {name: list(values) for name, values in network.parents.items()},
            "free_parameters": network.parameters,
            **({"bic": learned.bic} if learned else {}),
        },
        tables={"influence": influence},
        notes=tuple(notes),
        seed=seed,
        rows={"asked": len(rows), **({"learned_from": learned.rows} if learned else {})},
    )
