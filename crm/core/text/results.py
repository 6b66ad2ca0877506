"""What the text classifier hands out: predictions, its out-of-sample judgement of its own training texts, reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Predictions:
    """One row per text.

    labels: most probable class (also where out of scope).  confidence: its calibrated probability.
    in_scope: whether the gate lets the text through.  scope_score: its judgement, 0..1.
    probabilities: (n, k) over `classes`, given that the text is in scope.
    nearest: training row it resembles most, -1 where the model keeps none; out-of-scope texts and class names stand behind
    the examples.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.str_]
    confidence: NDArray[np.float64]
    in_scope: NDArray[np.bool_]
    scope_score: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    nearest: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class OutOfSample:
    """How the classifier judged its own training texts without having seen them: what evaluation reports rest on.

    codes, predicted: (n,) class numbers.  confidence, probabilities, in_scope as in Predictions, from a calibration that
    had no part in the row: what reports rest on.  served: (n, k) probabilities of the same scores under the calibration
    that will serve: what thresholds are chosen on.
    outside_refused: (m,) whether each given out-of-scope text is refused.  outside_served: (m, k) as served, of those texts.
    """

    classes: tuple[str, ...]
    codes: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confidence: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    served: NDArray[np.float64]
    in_scope: NDArray[np.bool_]
    scope_score: NDArray[np.float64]
    outside_score: NDArray[np.float64]
    outside_refused: NDArray[np.bool_]
    outside_served: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WordWeight:
    """A word of the explained text, where it stands, and by how much it raises the label's log-odds-like score."""

    word: str
    start: int
    end: int
    weight: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a text got its label: base + sum of the words' weights = score (to rounding); strongest words first."""

    label: str
    confidence: float
    in_scope: bool
    base: float
    score: float
    words: tuple[WordWeight, ...]
    nearest: int
