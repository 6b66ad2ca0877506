"""One chat message through the whole classifier against the encoder's bare forward pass on the same text."""

import time
from collections.abc import Iterator

import numpy as np
import torch

from crm.core import clock
from crm.core.learning import registry
from crm.core.text import encoder
from support import knowledge, triage
from tests.benchmarks.timing import line, paired

MESSAGES = [
    "where is my order 48213, it should have come yesterday",
    "can I still swap the shirt for a medium",
    "your code says invalid at checkout",
    "how long does delivery to Norway take and who pays customs",
    "the kettle leaks, I want a new one",
]


def run() -> Iterator[str]:
    """Yield three lines. Texts are varied by a number so that no cache answers; the model is trained first if none serves."""
    knowledge.load_shipped(now=clock.now())
    outcome = registry.run("intents", as_of=clock.now())
    loaded = encoder._loaded()
    tokenizer, model = loaded._tokenizer, loaded._model
    count = iter(range(10**9))

    taken: dict[str, list[float]] = {"ours": [], "bare": []}

    def ours(_round: int) -> None:
        for text in MESSAGES * 4:
            began = time.perf_counter()
            triage.judged([(f"{text} {next(count)}", "en")])
            taken["ours"].append(time.perf_counter() - began)

    def bare(_round: int) -> None:
        for text in MESSAGES * 4:
            began = time.perf_counter()
            with torch.inference_mode():
                model(**tokenizer([f"{text} {next(count)}"], return_tensors="pt"))
            taken["bare"].append(time.perf_counter() - began)

    result = paired(ours=ours, bare=bare, units=len(MESSAGES) * 4, rounds=9)
    yield line("intent of one message", result, unit="messages/s", target="latency <= 1.5x bare")
    yield f"{'':<34} latency ratio ours/bare {1 / result.ratio:.2f}   {1000 / result.ours:.1f} ms against {1000 / result.bare:.1f} ms   (model: {outcome.state.value})"
    # Without the warm-up.
    high, low = (1000 * float(np.percentile(taken[side][len(MESSAGES) * 4 :], 95)) for side in ("ours", "bare"))
    yield f"{'':<34} p95 of one message {high:.1f} ms against {low:.1f} ms, ratio {high / low:.2f}   target 1.5x bare"
