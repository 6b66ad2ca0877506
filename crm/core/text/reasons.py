"""Why a text got its label: what each of its words contributes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from crm.core.text.ngrams import WORD
from crm.core.text.results import Explanation, WordWeight

if TYPE_CHECKING:
    from crm.core.text.classifier import TextClassifier

# Words of one text that are explained; each costs two passes of the encoder.
MOST_EXPLAINED_WORDS = 40


def explain(model: TextClassifier, text: str, *, label: str | None = None) -> Explanation:
    """Return what each word contributes to the text's label (or to `label`).

    A word's weight is the mean of what it adds to the empty text and what its removal takes from the full one, the two
    outermost terms of its Shapley value; the small rest is shared equally so that the sum is exact.
    """
    prediction = model.predict([text])
    label = label or str(prediction.labels[0])
    column = model.classes_.index(label)
    spans = [(match.group(), match.start(), match.end()) for match in re.finditer(WORD, text)][:MOST_EXPLAINED_WORDS]
    without = [text[:start] + " " + text[end:] for _, start, end in spans]
    alone = [word for word, _, _ in spans]
    inside = model.logits([text, "", *without, *alone])
    value = inside[:, column] - (inside.sum(1) - inside[:, column]) / max(len(model.classes_) - 1, 1)
    full, base, count = float(value[0]), float(value[1]), len(spans)
    weights = ((full - value[2 : 2 + count]) + (value[2 + count :] - base)) / 2
    if count:
        weights = weights + (full - base - weights.sum()) / count
    words = [WordWeight(word, start, end, float(w)) for (word, start, end), w in zip(spans, weights, strict=True)]
    return Explanation(
        label=label,
        confidence=float(prediction.probabilities[0, column]),
        in_scope=bool(prediction.in_scope[0]),
        base=base if count else full,
        score=full,
        words=tuple(sorted(words, key=lambda word: (-abs(word.weight), word.start))),
        nearest=int(prediction.nearest[0]),
    )
