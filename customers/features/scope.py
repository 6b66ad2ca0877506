"""Whose features are built, and up to when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

# Customers are sampled in 1024ths by a hash of their id, so that every table chooses the same ones.
SAMPLE_PARTS = 1024


@dataclass(frozen=True, slots=True)
class Scope:
    """as_of: nothing later counts.  low, high: ids from low to below high; None for all.  parts: of 1024 customers, how many.

    only: these ids; None for all.
    """

    as_of: datetime
    low: int | None = None
    high: int | None = None
    parts: int = SAMPLE_PARTS
    only: tuple[int, ...] | None = None

    def where(self, column: str) -> str:
        """Return the condition on a customer id column, with named parameters of `params`."""
        said = [f"{column} IS NOT NULL"]
        if self.low is not None:
            said.append(f"{column} >= %(low)s")
        if self.high is not None:
            said.append(f"{column} < %(high)s")
        if self.parts < SAMPLE_PARTS:
            said.append(f"(hashint8({column}) & {SAMPLE_PARTS - 1}) < %(parts)s")
        if self.only is not None:
            said.append(f"{column} = ANY(%(only)s)")
        return " AND ".join(said)

    @property
    def params(self) -> dict[str, Any]:
        return {"as_of": self.as_of, "low": self.low, "high": self.high, "parts": self.parts, "only": list(self.only or ())}
