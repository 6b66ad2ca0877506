"""A table of named values as codes: what networks are learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from customers.ml.network.model import BLANKS, UNKNOWN, code_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rows:
    """A table of codes.  states: values by column.  codes: (n, v), UNKNOWN where not known."""

    states: Mapping[str, tuple[str, ...]]
    codes: Codes

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.states)


def rows_of(columns: Mapping[str, Sequence[str]], *, states: Mapping[str, tuple[str, ...]] | None = None) -> Rows:
    """Return the codes of text columns; blanks are unknown. states: where they are fixed, other values are unknown."""
    found: dict[str, tuple[str, ...]] = {}
    codes = []
    for name, cells in columns.items():
        clean = [cell.strip() for cell in cells]
        values = (states or {}).get(name) or tuple(sorted({cell for cell in clean if cell.casefold() not in BLANKS}, key=_sorting))
        lookup = {value: place for place, value in enumerate(values)}
        distinct = {cell: lookup.get(cell, UNKNOWN if cell.casefold() in BLANKS else code_of(values, cell)) for cell in set(clean)}
        found[name] = values
        codes.append([distinct[cell] for cell in clean])
    return Rows(found, np.array(codes, dtype=np.int64).T.reshape(-1, len(found)))


def _sorting(value: str) -> tuple[int, float, str]:
    try:
        return (0, float(value), value)
    except ValueError:
        return (1, 0.0, value)
