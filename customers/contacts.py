"""Who was written to and who was held out, as apps above this one tell it: models may ask what contact changes.

An app registers a source in its registration.py; this app never reads another app's tables.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

HELD_OUT = 1
WRITTEN_TO = 2


@dataclass(frozen=True, slots=True)
class Contacts:
    """All columns (c,), in no order.  customer: ids.  day: UTC days since 1970.  level: HELD_OUT or WRITTEN_TO."""

    customer: NDArray[np.int64]
    day: NDArray[np.int64]
    level: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.customer)


# Rows of (customer id, UTC day since 1970, level) up to a moment.
Source = Callable[[datetime], list[tuple[int, int, int]]]
_sources: dict[str, Source] = {}


def register(name: str, source: Source) -> None:
    """Add a source; registering a name again replaces it."""
    _sources[name] = source


def until(as_of: datetime) -> Contacts:
    """Return every contact up to that moment; one query per source."""
    rows = [row for name in sorted(_sources) for row in _sources[name](as_of)]
    customer, day, level = zip(*rows, strict=True) if rows else ((), (), ())
    return Contacts(np.array(customer, dtype=np.int64), np.array(day, dtype=np.int64), np.array(level, dtype=np.int64))
