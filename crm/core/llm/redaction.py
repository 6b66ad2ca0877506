"""Keeps what identifies a person out of a generator's prompt, and puts it back into the answer."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

# Order matters: a card number would otherwise be taken for a phone number.
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("email", re.compile(r"[\w.+\-]+@[\w\-]+(?:\.[\w\-]+)+")),
    ("url", re.compile(r"https?://[^\s<>\"'）)】]+")),
    ("card", re.compile(r"(?<!\d)(?:\d[ \-]?){13,19}(?!\d)")),
    ("phone", re.compile(r"(?<![\d.,])\+?\d[\d \-()]{8,16}\d(?![\d.,])")),
)


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text whose e-mails, links, card and phone numbers are placeholders such as [email 1]; `held` knows the originals."""

    text: str
    held: Mapping[str, str] = field(default_factory=dict)

    def restore(self, answer: str) -> str:
        """Return the answer with placeholders replaced by what they stood for."""
        for placeholder, original in self.held.items():
            answer = answer.replace(placeholder, original)
        return answer


def redact(text: str) -> Redacted:
    """Return the text with identifying pieces replaced; the same piece gets the same placeholder."""
    held: dict[str, str] = {}
    for kind, pattern in _PATTERNS:
        known: dict[str, str] = {}

        def replaced(match: re.Match[str], *, kind: str = kind, known: dict[str, str] = known) -> str:
            return known.setdefault(match.group(), f"[{kind} {len(known) + 1}]")

        text = pattern.sub(replaced, text)
        held |= {placeholder: original for original, placeholder in known.items()}
    return Redacted(text, held)
