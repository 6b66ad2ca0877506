"""Features as they are kept beside a portrait: float32 bytes and the fingerprint of their names."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from customers.models import PortraitFeatures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from customers.features.table import FeatureTable


def recipe_of(names: Sequence[str]) -> str:
    """Return the fingerprint of these names in this order, 16 hexadecimal digits."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def pack(table: FeatureTable) -> list[bytes]:
    """Return each customer's values as bytes for `PortraitFeatures.values`; infinities become missing."""
    values = np.where(np.isfinite(table.values), table.values, np.nan).astype("<f4")
    raw, width = values.tobytes(), values.shape[1] * 4
    return [raw[begin : begin + width] for begin in range(0, len(raw), width)] if width else [b""] * len(table)


def stored(*, customer_id: int, loaded: PortraitFeatures | None = None) -> dict[str, float] | None:
    """Return the numbers the customer's portrait was made of, missing ones left out; None without a portrait.

    Also None where a newer program computes other features than those kept: the next refresh writes them anew.
    loaded: the row, where the caller has read it along with the customer's; without it, one query.
    """
    from customers.features.builder import names

    row = loaded or PortraitFeatures.objects.filter(customer_id=customer_id).first()
    if row is None or row.recipe != recipe_of(names()):
        return None
    values = np.frombuffer(bytes(row.values), dtype="<f4")
    return {name: float(value) for name, value in zip(names(), values, strict=True) if np.isfinite(value)}
