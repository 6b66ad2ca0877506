"""Keeps what identifies a person out of a generator's prompt, and puts it back into the answer."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

# Order matters: an international phone number has as many digits as a card, and a card would pass for a phone number.
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("email", re.compile(r"[\w.+\-]+@[\w\-]+(?:\.[\w\-]+)+")),
    ("url", re.compile(r"https?://[^\s<>\"'）)】，。]*[^\s<>\"'）)】，。.,;:!?]")),
    ("phone", re.compile(r"\+\d[\d \-()]{7,18}\d(?!\d)")),
    ("card", re.compile(r"(?<!\d)(?:\d[ \-]?){12,18}\d(?!\d)")),
    ("phone", re.compile(r"(?<!\d)(?<!\d[.,])\d[\d \-()]{8,16}\d(?!\d|[.,]\d)")),
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
    seen: dict[str, dict[str, str]] = {kind: {} for kind, _pattern in _PATTERNS}
    for kind, pattern in _PATTERNS:

        def replaced(match: re.Match[str], *, kind: str = kind) -> str:
            return seen[kind].setdefault(match.group(), f"[{kind} {len(seen[kind]) + 1}]")

        text = pattern.sub(replaced, text)
    return Redacted(text, {placeholder: original for known in seen.values() for original, placeholder in known.items()})
