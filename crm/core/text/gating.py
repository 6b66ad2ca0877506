"""How a text classifier's gate is fitted: on texts that fit nothing, given or imagined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from crm.core.text.heads import ExemplarHead, LinearHead
from crm.core.text.scope import ScopeGate, signals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[Any]
    Codes = NDArray[np.int64]

# Out-of-scope texts enough to fit a gate on.
FEWEST_OUTSIDE = 10
# Classes left out in turn to imagine out-of-scope texts when none were given, and rows enough to do it with.
IMAGINED_GROUPS = 5
IMAGINED_ROWS = 3_000
# Fewer classes than this leave nothing to imagine out-of-scope texts from.
FEWEST_CLASSES_FOR_A_GATE = 4


def fitted_gate(
    head: ExemplarHead | LinearHead, codes: Codes, *, inside: Floats, outside: Floats, right: NDArray[np.bool_], expected: float, seed: int
) -> ScopeGate | None:
    """Return the gate, or None where every text is taken to fit some class.

    codes: (n,) of all the head's in-scope rows.  inside: (r, s) signals of those rows nothing had seen, right: (r,) whether they are
    named rightly.  outside: (m, s) signals of the out-of-scope texts given; with none, classes left out in turn stand for them.
    """
    gate = ScopeGate(expected=expected, seed=seed)
    if len(outside) >= FEWEST_OUTSIDE:
        return gate.fit(inside, right, outside)
    if len(outside) or not isinstance(head, ExemplarHead) or len(np.unique(codes)) < FEWEST_CLASSES_FOR_A_GATE:
        return None
    return gate.fit(inside, right, _imagined(head, codes, seed=seed))


def _imagined(head: ExemplarHead, codes: Codes, *, seed: int) -> Floats:
    """Return the gate's signals of every class's texts under a head that was never taught that class."""
    generator = np.random.default_rng(seed)
    rows = np.sort(generator.permutation(len(codes))[:IMAGINED_ROWS])
    count = int(codes.max()) + 1
    group_of = generator.permutation(count) % min(IMAGINED_GROUPS, count)
    parts = []
    for group in np.unique(group_of):
        absent = group_of[codes[rows]] == group
        kept, held_out = rows[~absent], rows[absent]
        remaining, renumbered = np.unique(codes[kept], return_inverse=True)
        if len(held_out) and len(remaining) > 1:
            scores, nearest = head.fit_without(kept, renumbered, len(remaining), held_out)
            parts.append(signals(scores, nearest, classes=len(remaining)))
    return np.vstack(parts)
