"""Pairs of timings and how they are printed."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Paired:
    """Rates (units per second) of both sides and the ratio ours/bare, each as the median over the pairs."""

    ours: float
    bare: float
    ratio: float
    lowest: float
    highest: float


def paired(*, ours: Callable[[int], None], bare: Callable[[int], None], units: int, rounds: int = 5) -> Paired:
    """Time both in turn after one warm-up each. Each callable gets the round's number and does `units` units of work."""
    ours(0)
    bare(0)
    ours_seconds, bare_seconds = [], []
    for number in range(1, rounds + 1):
        ours_seconds.append(_seconds(ours, number))
        bare_seconds.append(_seconds(bare, number))
    ratios = [theirs / own for own, theirs in zip(ours_seconds, bare_seconds, strict=True)]
    return Paired(units / statistics.median(ours_seconds), units / statistics.median(bare_seconds), statistics.median(ratios), min(ratios), max(ratios))


def line(name: str, result: Paired, *, unit: str, target: str = "none") -> str:
    return f"{name:<34} {result.ours:>10,.0f} {unit:<14} bare {result.bare:>10,.0f}   ratio {result.ratio:5.2f} ({result.lowest:.2f}-{result.highest:.2f})   target {target}"


def _seconds(work: Callable[[int], None], number: int) -> float:
    began = time.perf_counter()
    work(number)
    return time.perf_counter() - began
