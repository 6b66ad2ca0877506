"""Maximum likelihood over the logarithms of a few positive parameters: a sample first, then a few steps on everything.

The optimum of 20,000 customers lies within a hundredth of the optimum of a million, and the sample's curvature is the
whole's.  Steps on all rows start there, in coordinates that make this curvature round, and five to ten of them do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

import numpy as np
from scipy.optimize import minimize

from customers.ml.histories import DegenerateFit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Groups in the first pass; below this everything is done in one pass.
SAMPLE = 20_000


class Rows(Protocol):
    """What a likelihood is summed over; a sample of it stands for it, and is itself where it is small enough."""

    def sample(self, rows: int, *, seed: int = 0) -> Self: ...


Sampled = TypeVar("Sampled", bound=Rows)


def maximise(objective: Callable[[Floats, Sampled], tuple[float, Floats]], rows: Sampled, *, starts: Sequence[Sequence[float]], bound: float = 14.0) -> Floats:
    """Return the logarithms of the parameters at the greatest likelihood found; raises DegenerateFit where none is finite.

    objective: (logarithms, rows) -> (mean negative log-likelihood, its gradient with respect to the logarithms).
    starts: first guesses, of the parameters themselves.  bound: of the logarithms, either way.
    """
    part = rows.sample(SAMPLE)
    best = None
    for start in starts:
        result = _search(lambda logs: objective(logs, part), np.log(np.asarray(start, dtype=float)), bound=bound)
        if result is not None and (best is None or result[1] < best[1]):
            best = result
    if best is None:
        raise DegenerateFit("the likelihood is not finite")
    if part is rows:
        return best[0]
    centre = best[0]
    shape = _rounding(lambda logs: objective(logs, part)[1], centre)

    def whole(steps: Floats) -> tuple[float, Floats]:
        value, gradient = objective(np.clip(centre + shape @ steps, -bound, bound), rows)
        return value, shape.T @ gradient

    refined = minimize(whole, np.zeros(len(centre)), jac=True, method="L-BFGS-B", options={"maxiter": 60, "ftol": 1e-13, "gtol": 1e-8})
    if not np.isfinite(refined.fun):
        raise DegenerateFit("the likelihood is not finite")
    logs: Floats = np.clip(centre + shape @ refined.x, -bound, bound)
    return logs


def _search(objective: Callable[[Floats], tuple[float, Floats]], start: Floats, *, bound: float) -> tuple[Floats, float] | None:
    result = minimize(
        objective, start, jac=True, method="L-BFGS-B", bounds=[(-bound, bound)] * len(start), options={"maxiter": 500, "ftol": 1e-12, "gtol": 1e-7}
    )
    return (result.x, float(result.fun)) if np.isfinite(result.fun) else None


def _rounding(gradient: Callable[[Floats], Floats], at: Floats) -> Floats:
    """Return C with C C' = the inverse of the curvature at `at`, by central differences of the gradient."""
    step = 1e-4
    size = len(at)
    curvature = np.array([(gradient(at + step * unit) - gradient(at - step * unit)) / (2 * step) for unit in np.eye(size)])
    values, vectors = np.linalg.eigh((curvature + curvature.T) / 2)
    # A ridge has no curvature: its direction keeps unit steps instead of leaping.
    scale = np.where(values > 1e-4, 1 / np.sqrt(np.maximum(values, 1e-4)), 1.0)
    scaled: Floats = vectors * scale
    return scaled
