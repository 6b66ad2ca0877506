"""Translation of a chat line between English and Chinese, where a language model is configured; for reading, never sent.

Figures and codes of the original must all come back and none may be added; else there is no translation.
"""

import re
from dataclasses import dataclass

from crm.core.errors import CrmError
from crm.core.llm import client
from crm.core.llm.backends import Backend
from crm.core.llm.schemas import Field, Schema
from support.language import CHINESE, ENGLISH, language_of

PROMPT = "support/translate"
TRANSLATION = Schema("translation", (Field("translation", "The message in the other language, nothing else", 6000),))
_NAMES = {ENGLISH: "English", CHINESE: "Simplified Chinese"}
_FIGURE = re.compile(r"\d+(?:[.,]\d+)*")
LONGEST = 2000


class NoTranslator(CrmError):
    code = "no_translator"
    status = 409
    message = "No language model is configured."


@dataclass(frozen=True, slots=True)
class Translated:
    """text: '' where the model's answer cannot be trusted. language: what it was translated into. origin: who did."""

    text: str
    language: str
    origin: str


def is_possible() -> bool:
    """Return whether a language model is configured."""
    return client.configured() is not None


def translate(text: str, *, into: str, backend: Backend | None = None) -> Translated:
    """Return the text in the other language. Slow; for workers. Raises NoTranslator."""
    if backend is None and not is_possible():
        raise NoTranslator
    written = client.generate(
        prompt=PROMPT,
        facts={"language": _NAMES[into]},
        quoted={"message": text[:LONGEST]},
        schema=TRANSLATION,
        compose=lambda: {"translation": text[:LONGEST]},
        backend=backend,
    )
    said = written.text("translation")
    trusted = not written.is_composed and language_of(said, fallback=into) == into and sorted(_FIGURE.findall(said)) == sorted(_FIGURE.findall(text[:LONGEST]))
    return Translated(said if trusted else "", into, written.origin)
