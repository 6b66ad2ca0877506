"""Reading a network written down as JSON: one canonical form, and the other forms people use for the same thing.

Canonical:

    {"nodes": [{"name": "rain", "states": ["no", "yes"], "parents": [], "table": [0.8, 0.2]},
               {"name": "wet", "states": ["no", "yes"], "parents": ["rain"], "table": [[0.9, 0.1], [0.2, 0.8]]}]}

`table` is nested with one level per parent, in the parents' order, and the variable's own states innermost.  Also read:

- nodes as an object by name; or `states`, `parents` and `tables` (also variables, edges, cpts) as three objects by name;
- the table flat in the same order; or 2-D with one column per combination of parents, as pgmpy prints it (told apart by
  what sums to 1);
- the table as an object by state, or by parents' values ("no,yes" or nested), down to a list or an object by state;
- the table as rows: {"rain": "no", "wet": "yes", "p": 0.1}, or {"given": {"rain": "no"}, "p": {"yes": 0.1, "no": 0.9}};
- other words: values/outcomes/domain for states; given/evidence for parents; cpt/cpd/probabilities/values/rows for table;
- states left out: taken from the rows, else numbered from 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from customers.ml.network.model import ROUNDING, UNKNOWN, Network, NetworkInvalid, code_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_STATES = ("states", "outcomes", "domain", "levels", "categories", "values")
_PARENTS = ("parents", "given", "evidence", "depends_on")
_TABLE = ("table", "cpt", "cpd", "probabilities", "probability", "probs", "prob", "distribution", "rows", "p", "values")
_CHANCE = ("p", "prob", "probability", "value")


def read(path: str) -> Network:
    """Return the network in a file. Raises NetworkInvalid naming the file, and the variable where one is at fault."""
    try:
        written = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise NetworkInvalid(f"{path} cannot be read: {error}.", path=path) from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NetworkInvalid(f"{path} is no JSON: {error}.", path=path) from error
    try:
        return network(written)
    except NetworkInvalid as error:
        raise NetworkInvalid(f"{path}: {error.text}", path=path) from error


def network(written: Any) -> Network:
    """Return the network of a decoded JSON value in any of the forms above. Raises NetworkInvalid."""
    nodes = _nodes(written)
    states = {name: _states(node) for name, node in nodes.items()}
    parents = {name: tuple(str(parent) for parent in _parents(node)) for name, node in nodes.items()}
    for name, above in parents.items():
        for parent in above:
            if parent not in nodes:
                raise NetworkInvalid(f"{name} has the parent {parent!r}, which is no variable of the network.")
    for name in nodes:
        states[name] = states[name] or _states_of_table(name, _table_of(name, nodes[name]))
    tables = {name: _table(name, _table_of(name, nodes[name]), states, parents[name]) for name in nodes}
    return Network(states, parents, tables).checked()


def _nodes(written: Any) -> dict[str, dict[str, Any]]:
    """Return every variable's entry by name, whichever way the file is laid out."""
    if isinstance(written, Mapping) and len(written) == 1 and isinstance(inner := next(iter(written.values())), Mapping) and "name" not in inner:
        only = next(iter(written))
        if only in {"network", "bayesian_network", "model", "bn"}:
            return _nodes(inner)
    if isinstance(written, Mapping):
        listed = next((written[key] for key in ("nodes", "variables", "network") if key in written), None)
        tables = next((written[key] for key in ("tables", "cpts", "cpds", "probabilities", "cpt") if isinstance(written.get(key), Mapping | list)), None)
        if listed is None and tables is None and written and all(isinstance(node, Mapping) for node in written.values()):
            listed = written
        found = _entries(listed, written.get("states"))
        if isinstance(tables, Mapping):
            for name, table in tables.items():
                entry = found.setdefault(str(name), {})
                # A table may bring its own parents and states along.
                entry.update(table if isinstance(table, Mapping) and any(key in table for key in (*_PARENTS, "table", "states")) else {"table": table})
        elif isinstance(tables, list):
            for table in tables:
                name = _name_of(table)
                found.setdefault(name, {}).update({key: value for key, value in table.items() if key not in {"name", "variable", "node"}})
        above_of = written.get("parents") or {}
        if not isinstance(above_of, Mapping):
            raise NetworkInvalid("The parents are no object by variable.")
        for name, above in above_of.items():
            found.setdefault(str(name), {})["parents"] = above
        for one, two in _arrows(written.get("edges") or written.get("arcs") or []):
            entry = found.setdefault(str(two), {})
            if not any(key in entry for key in _PARENTS) or entry.get("_drawn"):
                entry["_drawn"] = True
                entry["parents"] = [*entry.get("parents", ()), one]
    else:
        found = _entries(written, None)
    if not found:
        raise NetworkInvalid('There are no variables; {"nodes": [{"name", "states", "parents", "table"}, ...]} is expected.')
    return found


def _entries(listed: Any, states: Any) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    if isinstance(listed, Mapping):
        for name, node in listed.items():
            found[str(name)] = dict(node) if isinstance(node, Mapping) and not _is_numbers(node) else {"states": node}
    elif isinstance(listed, list):
        for node in listed:
            if (name := _name_of(node)) in found:
                raise NetworkInvalid(f"The variable {name!r} is given twice.")
            found[name] = dict(node) if isinstance(node, Mapping) else {}
    elif listed is not None:
        raise NetworkInvalid("The variables are neither a list nor an object.")
    if isinstance(states, Mapping):
        for name, values in states.items():
            found.setdefault(str(name), {})["states"] = values
    return found


def _arrows(pairs: Any) -> list[tuple[Any, Any]]:
    """Return (from, to) of each arrow, given as pairs or as objects."""
    found = []
    for pair in pairs if isinstance(pairs, list) else [pairs]:
        ends = (pair.get("from", pair.get("source")), pair.get("to", pair.get("target"))) if isinstance(pair, Mapping) else pair
        if not isinstance(ends, list | tuple) or len(ends) != 2 or None in ends:
            raise NetworkInvalid(f"The arrow {json.dumps(pair)[:80]} does not name two variables.")
        found.append((ends[0], ends[1]))
    return found


def _name_of(node: Any) -> str:
    if isinstance(node, str):
        return node
    if isinstance(node, Mapping):
        for key in ("name", "variable", "node", "id"):
            if key in node:
                return str(node[key])
    raise NetworkInvalid("A variable has no name.")


def _text(value: Any) -> str:
    """JSON's true, 1 and "1" are written the way a cell of a file is."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _states(node: Mapping[str, Any]) -> tuple[str, ...]:
    for key in _STATES:
        given = node.get(key)
        if isinstance(given, int) and not isinstance(given, bool) and 0 < given <= 1000:
            return tuple(str(number) for number in range(given))
        if isinstance(given, list) and given and not any(isinstance(one, list | Mapping) for one in given):
            # "values" may hold the probabilities; those are no states where states stand elsewhere or a table is missing.
            if key == "values" and not any(other in node for other in _TABLE if other != "values"):
                continue
            return tuple(_text(one) for one in given)
    if "cardinality" in node:
        number = node["cardinality"]
        if not isinstance(number, int) or not 0 < number <= 1000:
            raise NetworkInvalid(f"The cardinality {json.dumps(number)[:80]} is no whole number from 1 to 1,000.")
        return tuple(str(place) for place in range(number))
    return ()


def _parents(node: Mapping[str, Any]) -> list[Any]:
    for key in _PARENTS:
        if key in node and node[key] is not None:
            given = node[key]
            if not isinstance(given, list | str):
                raise NetworkInvalid(f"The parents {json.dumps(given)[:80]} are no list of variables.")
            return [given] if isinstance(given, str) else given
    return []


def _table_of(name: str, node: Mapping[str, Any]) -> Any:
    for key in _TABLE:
        if key in node and not (key == "values" and _states(node) == tuple(_text(one) for one in _listed(node[key]))):
            return node[key]
    raise NetworkInvalid(f"{name} has no table.")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_numbers(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(one, int | float) for one in value.values())


def _states_of_table(name: str, table: Any) -> tuple[str, ...]:
    """Return the states a table without any names: of its rows, its innermost object, else numbers."""
    if isinstance(table, list) and table and isinstance(table[0], Mapping):
        if name in table[0]:
            return tuple(dict.fromkeys(_text(row[name]) for row in table if name in row))
        inner = next((table[0][key] for key in (*_CHANCE, "values", "table") if isinstance(table[0].get(key), Mapping | list)), None)
        return tuple(map(_text, inner)) if isinstance(inner, Mapping) else tuple(str(number) for number in range(len(inner or ())))
    while isinstance(table, Mapping) and table and not _is_numbers(table):
        table = next(iter(table.values()))
    if isinstance(table, Mapping):
        return tuple(_text(one) for one in table)
    while isinstance(table, list) and table and isinstance(table[0], list):
        table = table[0]
    return tuple(str(number) for number in range(len(table))) if isinstance(table, list) else ()


def _table(name: str, written: Any, states: Mapping[str, tuple[str, ...]], parents: tuple[str, ...]) -> Floats:
    shape = (*(len(states[parent]) for parent in parents), len(states[name]))
    if isinstance(written, Mapping):
        return _of_object(name, written, states, parents)
    if isinstance(written, list) and written and isinstance(written[0], Mapping):
        return _of_rows(name, written, states, parents)
    if not isinstance(written, list):
        raise NetworkInvalid(f"The table of {name} is neither a list nor an object.")
    try:
        table = np.array(written, dtype=float)
    except (ValueError, TypeError) as error:
        raise NetworkInvalid(f"The table of {name} is ragged or has a cell that is no number.") from error
    if table.size != int(np.prod(shape)):
        raise NetworkInvalid(f"The table of {name} has {table.size} figures; {' x '.join(map(str, shape))} are needed.")
    combinations = int(np.prod(shape[:-1]))
    sideways = table.ndim == 2 and table.shape == (shape[-1], combinations)
    upright = table.reshape(shape)
    if (np.abs(upright.sum(axis=-1) - 1) <= ROUNDING).all() and not (sideways and table.shape != (combinations, shape[-1]) and parents):
        return upright
    if sideways and (np.abs(table.sum(axis=0) - 1) <= ROUNDING).all():
        return np.ascontiguousarray(table.T).reshape(shape)
    return upright  # checked() says which row is wrong


def _of_object(name: str, written: Mapping[str, Any], states: Mapping[str, tuple[str, ...]], parents: tuple[str, ...]) -> Floats:
    """Read a table keyed by the parents' values, nested or joined by a comma, down to a list or an object by state."""
    table = np.full((*(len(states[parent]) for parent in parents), len(states[name])), np.nan)
    for codes in product(*(range(len(states[parent])) for parent in parents)):
        values = [states[parent][code] for parent, code in zip(parents, codes, strict=True)]
        found: Any = _looked_up(written, values)
        if found is None:
            raise NetworkInvalid(f"The table of {name} has nothing for {', '.join(f'{p}={v}' for p, v in zip(parents, values, strict=True))}.")
        table[codes] = _leaf(name, found, states[name])
    return table


def _looked_up(written: Any, values: list[str]) -> Any:
    if not values:
        return written
    if not isinstance(written, Mapping):
        return None
    for key, inner in written.items():
        if code_of((values[0],), str(key)) == 0 and (deeper := _looked_up(inner, values[1:])) is not None:
            return deeper
        for mark in (",", "|", ";", "_"):
            parts = [part.strip().strip("()'\" ") for part in str(key).strip("()[] ").split(mark)]
            if len(parts) == len(values) > 1 and all(code_of((one,), part) == 0 for one, part in zip(values, parts, strict=True)):
                return inner
    return None


def _leaf(name: str, found: Any, own: tuple[str, ...]) -> Floats:
    """Return one row of a table: a list in the states' order, or an object by state, of which one may be left out."""
    if isinstance(found, list) and len(found) == len(own) and all(isinstance(one, int | float) for one in found):
        return np.array(found, dtype=float)
    if isinstance(found, Mapping) and _is_numbers(found):
        row = np.full(len(own), np.nan)
        for key, chance in found.items():
            code = code_of(own, str(key))
            if code == UNKNOWN:
                raise NetworkInvalid(f"The table of {name} names the state {key!r}, which {name} does not have.")
            row[code] = chance
        if np.isnan(row).sum() == 1:
            row[np.isnan(row)] = 1 - np.nansum(row)
        if not np.isnan(row).any():
            return row
    raise NetworkInvalid(f"A row of the table of {name} does not give a probability for each of: {', '.join(own)}.")


def _of_rows(name: str, written: list[Any], states: Mapping[str, tuple[str, ...]], parents: tuple[str, ...]) -> Floats:
    """Read a table given as a list of rows, one per cell or one per combination of parents."""
    table = np.full((*(len(states[parent]) for parent in parents), len(states[name])), np.nan)
    for row in written:
        if not isinstance(row, Mapping):
            raise NetworkInvalid(f"A row of the table of {name} is no object.")
        given = next((row[key] for key in ("given", "parents", "when", "if", "evidence") if isinstance(row.get(key), Mapping)), row)
        codes = []
        for parent in parents:
            code = code_of(states[parent], _text(given[parent])) if parent in given else UNKNOWN
            if code == UNKNOWN:
                raise NetworkInvalid(f"A row of the table of {name} gives no known value of {parent}.")
            codes.append(code)
        chance = next((row[key] for key in (*_CHANCE, "values", "table", "probabilities", "distribution") if key in row), None)
        if isinstance(chance, list | Mapping):
            table[tuple(codes)] = _leaf(name, chance, states[name])
            continue
        own = code_of(states[name], _text(row[name])) if name in row else UNKNOWN
        if own == UNKNOWN or not isinstance(chance, int | float):
            raise NetworkInvalid(f"A row of the table of {name} lacks the state of {name} or its probability.")
        table[(*codes, own)] = chance
    missing = np.isnan(table)
    # One cell left out per row is what the others leave.
    single = missing.sum(axis=-1, keepdims=True) == 1
    table = np.where(missing & single, 1 - np.nansum(table, axis=-1, keepdims=True), table)
    if np.isnan(table).any():
        raise NetworkInvalid(f"The table of {name} lacks {int(np.isnan(table).sum())} of its {table.size} cells.")
    return table
