"""What the classes are called, as one more example of each: where examples are few, "card_arrival" says as much as they do.

Leave-one-out accuracy of the kernel head without and with the names: banking77 with 5 examples a class 70.7 and 74.8%,
with 10 83.5 and 83.5 (its validation file 86.1 and 86.8); hwu64 with 10 78.9 and 80.2; hint3 curekart 91.8 and 92.7,
sofmattress 93.0 either way.  Among hundreds of examples a name is one more.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from crm.core.text.heads import TextFeatures

# Examples a class, on average, up to which names are taken into account.
MOST_EXAMPLES = 25
# Names that tell fewer of the examples apart, by the encoder alone, are codes or numbers and left out.
LEAST_TOLD = 0.25
_JOINT = re.compile(r"(?<=[a-z])(?=[A-Z])|[\W_]+")


def spoken(classes: Sequence[str], *, rows: int) -> list[str]:
    """Return each class's name as words, "card_arrival" as "card arrival"; none where there are examples enough."""
    return [_JOINT.sub(" ", name).strip() for name in classes] if rows <= MOST_EXAMPLES * len(classes) else []


def telling(features: TextFeatures, codes: NDArray[np.int64], names: TextFeatures) -> bool:
    """Return whether the names alone name enough of the examples, and more than their commonest class would.

    features: of the examples.  codes: (n,) their class numbers.  names: of one text per class.
    """
    vectors: Any = features.vectors
    if vectors is None or names.vectors is None:
        return False
    told = float(((vectors @ names.vectors.T).argmax(1) == codes).mean())
    return told >= LEAST_TOLD and told > float(np.bincount(codes).max() / len(codes))
