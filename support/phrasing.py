"""Wording of an answer from its cited passage, by the configured generator; checked against the passage before use.

Without a generator, or when what it wrote says anything the passage does not, the passage's own text is the answer.
"""

import re
from dataclasses import dataclass

from crm.core.llm import client
from crm.core.llm.backends import Backend
from crm.core.llm.schemas import Field, Schema
from support.language import CHINESE, language_of
from support.retrieval import tokens

PROMPT = "support/answer"
ANSWER = Schema("answer", (Field("answer", "One to three sentences, from the passage alone", 600),))
_NAMES = {"en": "English", "zh-hans": "Simplified Chinese, addressing the reader as 您"}
# Share of an answer's content words that must stand in the passage or the question; the rest are joints of a sentence.
GROUNDED = 0.6
_FIGURE = re.compile(r"\d+(?:[.,:]\d+)*%?")
_SIGN = re.compile(r"[¥￥$€£]|https?://|www\.|@|<|>|\]\(")
# Codes and names in capitals: WELCOME10, DHL.
_CODE = re.compile(r"\b[A-Z][A-Z0-9]{2,}\b")


@dataclass(frozen=True, slots=True)
class Phrased:
    """text: what to say. origin: '' for the passage itself, else which model worded it. fault: why a wording was refused."""

    text: str
    origin: str = ""
    fault: str = ""


def phrase(*, passage: str, question: str, language: str, backend: Backend | None = None) -> Phrased:
    """Return the answer in words; never raises for a generator that fails. May take as long as the generator's budget."""
    if backend is None and client.configured() is None:
        return Phrased(passage)
    written = client.generate(
        prompt=PROMPT,
        facts={"passage": passage, "language": _NAMES.get(language, _NAMES["en"])},
        quoted={"question": question[:1000]},
        schema=ANSWER,
        compose=lambda: {"answer": passage},
        backend=backend,
    )
    if written.is_composed:
        return Phrased(passage)
    fault = fault_of(written.text("answer"), passage=passage, question=question, language=language)
    return Phrased(passage, fault=fault) if fault else Phrased(written.text("answer"), origin=written.origin)


def fault_of(answer: str, *, passage: str, question: str, language: str) -> str:
    """Return why the answer may not be given ('' if it may): figure, sign, code, language, length or ungrounded."""
    if language_of(answer, fallback=language) != language:
        return "language"
    if len(answer) > 2 * len(passage) + 80:
        return "length"
    if set(_FIGURE.findall(answer)) - set(_FIGURE.findall(passage)):
        return "figure"
    if {sign for sign in _SIGN.findall(answer) if sign not in passage}:
        return "sign"
    if set(_CODE.findall(answer)) - set(_CODE.findall(passage)):
        return "code"
    said, known = tokens(answer), set(tokens(passage)) | set(tokens(question))
    # Pairs of characters that cross a word's border are new in any honest rewording of Chinese.
    least = GROUNDED / 2 if language == CHINESE else GROUNDED
    if not said or sum(word in known for word in said) < least * len(said):
        return "ungrounded"
    return ""
