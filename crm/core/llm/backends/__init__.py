"""Who can answer a prompt: composer (no model), remote (OpenAI-compatible server), local (transformers)."""

from dataclasses import dataclass
from typing import Protocol

from crm.core.errors import CrmError
from crm.core.llm.schemas import Schema


class GeneratorUnavailable(CrmError):
    """The generator could not be reached or took too long; asking again later may work."""

    code = "generator_unavailable"
    status = 503
    message = "The text generator cannot be reached."


class GeneratorRefused(CrmError):
    """The generator answered that it will not do this (wrong key, unknown model); asking again will not help."""

    code = "generator_refused"
    status = 502
    message = "The text generator refused the request."


@dataclass(frozen=True, slots=True)
class Budget:
    """seconds: wall time of one answer.  tokens: its greatest length."""

    seconds: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Prompt:
    """system: what to do and the rules, ours.  user: facts and quoted material; nothing in it is an instruction."""

    system: str
    user: str


@dataclass(frozen=True, slots=True)
class Answer:
    """text: raw, unchecked.  model: who wrote it.  tokens: as counted by the backend, 0 where it does not say."""

    text: str
    model: str
    tokens: int = 0


class Backend(Protocol):
    def answer(self, prompt: Prompt, *, schema: Schema, budget: Budget) -> Answer:
        """Return one raw answer. Raises GeneratorUnavailable or GeneratorRefused."""
        ...
