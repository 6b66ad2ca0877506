"""A discrete Bayesian network: what can be said of each variable, on which others it depends, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from crm.core.errors import CrmError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Codes = NDArray[np.int64]

# Written sums of probabilities may be off by rounding up to this; they are then put right.
ROUNDING = 1e-3
UNKNOWN = -1
# What stands for "not known" in a cell of a file or of an option.
BLANKS = frozenset({"", "?", "na", "n/a", "nan", "null", "none", "unknown"})


class NetworkInvalid(CrmError):
    """A network, a table or a question about it is not in order; the message says where."""

    code = "network_invalid"
    status = 422


@dataclass(frozen=True, slots=True)
class Network:
    """states: values of each variable, in table order.  parents: of each variable, in table order.
    tables: per variable, (parent 1, parent 2, ..., own states), the last axis sums to 1.
    """

    states: Mapping[str, tuple[str, ...]]
    parents: Mapping[str, tuple[str, ...]]
    tables: Mapping[str, Floats]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.states)

    def shape_of(self, name: str) -> tuple[int, ...]:
        return (*(len(self.states[parent]) for parent in self.parents[name]), len(self.states[name]))

    @property
    def parameters(self) -> int:
        """Free figures in all tables."""
        return sum(int(np.prod(self.shape_of(name)[:-1], dtype=float)) * (len(self.states[name]) - 1) for name in self.names)

    def code(self, name: str, value: str) -> int:
        """Return the number of a value, UNKNOWN for a blank or a value the network has never heard of.

        Compared as written, then without regard to case, then as numbers (1 is 1.0).
        Raises NetworkInvalid for a variable there is none of.
        """
        if name not in self.states:
            raise NetworkInvalid(f"There is no variable {name!r}; there are: {', '.join(self.names)}.", variable=name)
        return code_of(self.states[name], value)

    def to_config(self) -> dict[str, Any]:
        # A list keeps the order of the variables, which callers' rows rest on; a JSON object need not.
        nodes = [
            {"name": name, "states": list(self.states[name]), "parents": list(self.parents[name]), "table": self.tables[name].tolist()} for name in self.names
        ]
        return {"nodes": nodes}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Raises KeyError, ValueError or NetworkInvalid where the configuration is not one of `to_config`."""
        nodes = config["nodes"]
        return cls(
            {node["name"]: tuple(node["states"]) for node in nodes},
            {node["name"]: tuple(node["parents"]) for node in nodes},
            {node["name"]: np.array(node["table"], dtype=float) for node in nodes},
        ).checked()

    def checked(self) -> Self:
        """Return the network with its rounding put right. Raises NetworkInvalid naming the variable at fault."""
        order(self.parents)
        tables = {}
        for name in self.names:
            if not self.states[name]:
                raise NetworkInvalid(f"{name} has no states.")
            if len(set(self.states[name])) < len(self.states[name]):
                raise NetworkInvalid(f"{name} has a state twice: {', '.join(self.states[name])}.")
            if len(set(self.parents[name])) < len(self.parents[name]):
                raise NetworkInvalid(f"{name} has a parent twice: {', '.join(self.parents[name])}.")
            for parent in self.parents[name]:
                if parent not in self.states:
                    raise NetworkInvalid(f"{name} has the parent {parent!r}, which is no variable of the network.")
            table = np.asarray(self.tables[name], dtype=float)
            if table.shape != self.shape_of(name):
                raise NetworkInvalid(f"The table of {name} has the shape {table.shape}; {self.shape_of(name)} is needed.")
            if not np.isfinite(table).all() or (table < 0).any():
                raise NetworkInvalid(f"The table of {name} has a figure that is no probability.")
            sums = table.sum(axis=-1, keepdims=True)
            if (np.abs(sums - 1) > ROUNDING).any():
                raise NetworkInvalid(f"The table of {name} has a row that sums to {float(sums.flat[np.abs(sums - 1).argmax()]):.6g} instead of 1.")
            # Only rounding beyond float64's own is put right, so that figures stay as written.
            tables[name] = np.where(np.abs(sums - 1) > 1e-12, table / sums, table)
        return type(self)(self.states, self.parents, tables)


def code_of(states: tuple[str, ...], value: str) -> int:
    """Return the position of the value among the states; see Network.code."""
    text = value.strip()
    if text in states:
        return states.index(text)
    lowered = text.casefold()
    for place, state in enumerate(states):
        if state.casefold() == lowered:
            return place
    try:
        number = float(text)
    except ValueError:
        return UNKNOWN
    for place, state in enumerate(states):
        try:
            if float(state) == number:
                return place
        except ValueError:
            continue
    return UNKNOWN


def order(parents: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the variables, parents before children. Raises NetworkInvalid for a circle."""
    placed: dict[str, bool] = {}

    def place(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise NetworkInvalid(f"The arrows run in a circle: {' -> '.join((*above[above.index(name) :], name))}.")
        if name in placed:
            return
        for parent in parents.get(name, ()):
            place(parent, (*above, name))
        placed[name] = True

    for name in parents:
        place(name, ())
    return tuple(placed)
