"""Labelled messages out of the database: the only place where the intent model meets Django's rows."""

from dataclasses import dataclass
from datetime import datetime

from support.ml.keys import key_of
from support.models import IntentExample
from support.models.labels import OUT_OF_SCOPE, ExampleOrigin

# Whose word counts where the same text has two labels: a person who read the message over what was shipped.
_RANK = {ExampleOrigin.SHIPPED: 0, ExampleOrigin.ADDED: 1, ExampleOrigin.CONFIRMED: 2, ExampleOrigin.CORRECTION: 3}


@dataclass(frozen=True, slots=True)
class Examples:
    """texts, labels, languages: of the messages an intent fits. outside, outside_languages: of those none fits.

    from_agents: rows, of both kinds, that agents corrected or confirmed.
    """

    texts: list[str]
    labels: list[str]
    languages: list[str]
    outside: list[str]
    outside_languages: list[str]
    from_agents: int

    def __len__(self) -> int:
        return len(self.texts) + len(self.outside)


def read(*, as_of: datetime) -> Examples:
    """Return every example added up to `as_of`, in a fixed order, one label per text. One query."""
    rows = list(IntentExample.objects.filter(created_at__lte=as_of).order_by("created_at", "pk").values_list("text", "label", "language", "origin"))
    chosen: dict[str, tuple[int, int]] = {}
    for number, (text, _, _, origin) in enumerate(rows):
        key = key_of(text)
        rank = _RANK[ExampleOrigin(origin)]
        # Of equal rank the later word counts: rows come in order of time.
        if key and rank >= chosen.get(key, (-1, 0))[0]:
            chosen[key] = (rank, number)
    kept = [rows[number] for _, number in chosen.values()]
    inside = [(text, label, language) for text, label, language, _ in kept if label != OUT_OF_SCOPE]
    outside = [(text, language) for text, label, language, _ in kept if label == OUT_OF_SCOPE]
    return Examples(
        texts=[text for text, _, _ in inside],
        labels=[label for _, label, _ in inside],
        languages=[language for _, _, language in inside],
        outside=[text for text, _ in outside],
        outside_languages=[language for _, language in outside],
        from_agents=sum(origin in {ExampleOrigin.CORRECTION, ExampleOrigin.CONFIRMED} for _, _, _, origin in kept),
    )
