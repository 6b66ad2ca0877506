"""Any OpenAI-compatible server (vLLM, Ollama, TGI, transformers serve) over plain urllib: no SDK, no redirects."""

import json
import logging
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.client import HTTPException

from crm.core.llm.backends import Answer, Budget, GeneratorRefused, GeneratorUnavailable, Prompt
from crm.core.llm.schemas import Schema

logger = logging.getLogger(__name__)
# A draft is a few kB; a server that sends more is broken.
LARGEST_ANSWER_BYTES = 1_000_000
# After this many failures in a row nobody waits for the server again until the pause is over.
FAILURES_TO_OPEN = 3
PAUSE_SECONDS = 60


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key and the customer's text to an address nobody configured."""

    def redirect_request(self, *_request: object, **_more: object) -> None:
        return None


@dataclass
class Breaker:
    """Remembers, per process, whether the server has been failing."""

    failures: int = 0
    opened_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self) -> None:
        """Raise GeneratorUnavailable at once while the pause lasts."""
        with self._lock:
            if self.failures >= FAILURES_TO_OPEN and time.monotonic() - self.opened_at < PAUSE_SECONDS:
                raise GeneratorUnavailable("The text generator failed several times and is given a minute's rest.")

    def note(self, *, worked: bool) -> None:
        with self._lock:
            self.failures = 0 if worked else self.failures + 1
            self.opened_at = time.monotonic()


breaker = Breaker()


@dataclass(frozen=True, slots=True)
class RemoteBackend:
    """base_url: up to and including /v1.  key: bearer token or empty."""

    base_url: str
    model: str
    key: str = ""

    def answer(self, prompt: Prompt, *, schema: Schema, budget: Budget) -> Answer:
        breaker.check()
        body = {
            "model": self.model,
            "messages": [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}],
            "max_tokens": budget.tokens,
            "temperature": 0.7,
            "response_format": {"type": "json_schema", "json_schema": {"name": schema.name, "schema": schema.as_json_schema()}},
        }
        try:
            data = self._post(body, seconds=budget.seconds)
        except GeneratorUnavailable:
            breaker.note(worked=False)
            raise
        breaker.note(worked=True)
        try:
            text = data["choices"][0]["message"]["content"]
            tokens = (data.get("usage") or {}).get("completion_tokens") or 0
        except (KeyError, IndexError, TypeError, AttributeError):
            raise GeneratorRefused("The server's answer is not a chat completion.") from None
        return Answer(str(text or ""), self.model, int(tokens))

    def _post(self, body: dict[str, object], *, seconds: int) -> dict:  # type: ignore[type-arg]
        headers = {"Content-Type": "application/json", "Accept": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        request = urllib.request.Request(f"{self.base_url}/chat/completions", json.dumps(body).encode(), headers, method="POST")  # noqa: S310 - http(s) checked in settings
        deadline = time.monotonic() + seconds
        try:
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=seconds) as response:
                raw = _read(response, deadline)
        except urllib.error.HTTPError as error:
            if error.code in {408, 425, 429} or error.code >= 500:
                raise GeneratorUnavailable(f"The text generator answered {error.code}.") from None
            raise GeneratorRefused(f"The text generator answered {error.code}.") from None
        except (OSError, HTTPException) as error:
            raise GeneratorUnavailable(f"The text generator cannot be reached ({type(error).__name__}).") from None
        try:
            data = json.loads(raw)
        except ValueError:
            raise GeneratorRefused("The server's answer is not JSON.") from None
        if not isinstance(data, dict):
            raise GeneratorRefused("The server's answer is not a JSON object.")
        return data


def _read(response: object, deadline: float) -> bytes:
    """Return the whole body, watching the clock: a server that drips a byte a second must not hold a worker."""
    parts: list[bytes] = []
    size = 0
    while True:
        part = response.read1(65536)  # type: ignore[attr-defined]
        if not part:
            return b"".join(parts)
        parts.append(part)
        size += len(part)
        if size > LARGEST_ANSWER_BYTES:
            raise GeneratorRefused("The server's answer is too long.")
        if time.monotonic() > deadline:
            raise GeneratorUnavailable("The text generator took too long.")
