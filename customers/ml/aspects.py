"""Which sides of a purchase a review speaks of, how, and in which words: quality, size, delivery, price, service.

A text is cut into clauses; a clause speaks of an aspect where one of its words does, and for or against it by the words
of opinion near by, turned round by "not" and 不.  Lists of words, written by hand for both languages, so that every
finding can be shown as a quote and explained by the word it rests on; no training, no labels needed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ASPECTS = ("quality", "size", "delivery", "price", "service")
POSITIVE, NEGATIVE = "positive", "negative"
LEXICON = Path(__file__).with_name("aspects.tsv")
# A clause ends at a stop, or where the speaker turns round; "but" belongs to what follows it.
_CLAUSES = re.compile(r"[.!?;,\n。！？；，、~～…]+|\s+(?=(?:but|although|though|however|while|and)\b)|(?=但是|但|可是|不过|就是|只是|而且)", re.IGNORECASE)
_NEGATION = re.compile(
    r"(?:\b(?:not|no|never|n['’]?t|hardly|without|isnt|wasnt|doesnt|didnt|dont|cant|cannot|wont|arent)(?:\s+\w+){0,2}\s*|[a-z]n['’]t(?:\s+\w+){0,2}\s*|(?:不|没有|没|未|别|无)(?:太|怎么|是|很|那么|算)?)$",
    re.IGNORECASE,
)
# Of a longer text only so much is read; reviews are shorter.
MOST_CHARACTERS = 5_000
LONGEST_QUOTE = 160


@dataclass(frozen=True, slots=True)
class AspectMention:
    """One side of a purchase that a text speaks of.

    aspect: one of ASPECTS.  polarity: positive or negative.  quote: the clause as written.  confidence: share of the
    clause's opinion words that agree with the polarity, halved where the aspect is only implied by one of them, 0..1.
    """

    aspect: str
    polarity: str
    quote: str
    confidence: float


def aspects_of(texts: Sequence[str]) -> list[list[AspectMention]]:
    """Return what each text speaks of, in order of the text; a text gives each aspect and polarity once."""
    return [_mentions(text[:MOST_CHARACTERS]) for text in texts]


def clauses(text: str) -> list[str]:
    """Return the text's clauses as written, without the stops between them."""
    return [clause for part in _CLAUSES.split(text) if part and (clause := part.strip())]


def _mentions(text: str) -> list[AspectMention]:
    found: dict[tuple[str, str], AspectMention] = {}
    lexicon = _lexicon()
    named: list[str] = []
    for clause in clauses(text):
        lowered = clause.lower()
        topics = [aspect for aspect in ASPECTS if lexicon[aspect, ""].search(lowered)]
        votes: dict[str, list[str]] = {}
        for (aspect, polarity), pattern in lexicon.items():
            if not polarity:
                continue
            for match in pattern.finditer(lowered):
                turned = _NEGATION.search(lowered[: match.start()]) is not None
                votes.setdefault(aspect, []).append(_opposite(polarity) if turned else polarity)
        general = votes.pop("any", [])
        # An opinion word of its own ("slow", 太小) names its aspect; a general one ("great") needs a topic, the
        # clause's own or, where it has none, that of the clause before.
        for aspect in dict.fromkeys([*topics, *votes]):
            said = votes.get(aspect, []) + (general if aspect in topics else [])
            _note(found, aspect, said, clause, implied=aspect not in topics)
        if general and not topics and not votes and named:
            _note(found, named[-1], general, clause, implied=True)
        named = [*topics, *votes] if topics or votes else ([] if general else named)
    return list(found.values())


def _note(found: dict[tuple[str, str], AspectMention], aspect: str, said: list[str], clause: str, *, implied: bool) -> None:
    for_it = said.count(POSITIVE)
    if not said or 2 * for_it == len(said):
        return
    polarity = POSITIVE if 2 * for_it > len(said) else NEGATIVE
    confidence = max(for_it, len(said) - for_it) / (len(said) + 0.5) * (0.75 if implied else 1.0)
    former = found.get((aspect, polarity))
    if former is None or former.confidence < confidence:
        found[aspect, polarity] = AspectMention(aspect, polarity, clause[:LONGEST_QUOTE], round(confidence, 4))


def _opposite(polarity: str) -> str:
    return NEGATIVE if polarity == POSITIVE else POSITIVE


@cache
def _lexicon() -> dict[tuple[str, str], re.Pattern[str]]:
    """Return a pattern per (aspect, polarity); polarity "" are the words that name the aspect, "any" general opinions."""
    words: dict[tuple[str, str], list[str]] = {(aspect, ""): [] for aspect in ASPECTS}
    for line in LEXICON.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            aspect, polarity, listed = line.split("\t")
            words.setdefault((aspect, "" if polarity == "-" else polarity), []).extend(word.strip() for word in listed.split(",") if word.strip())
    return {key: _pattern(listed) for key, listed in words.items()}


def _pattern(words: list[str]) -> re.Pattern[str]:
    # The longest first, so that "too small" is found before "small". Han words have no borders to look for.
    parts = [re.escape(word) if ord(word[0]) > 0x2E80 else rf"\b{re.escape(word)}\b" for word in sorted(set(words), key=len, reverse=True)]
    return re.compile("|".join(parts) or r"(?!)")
