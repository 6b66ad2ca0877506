"""Did the campaign change anything? The treated against the held out, with a 95% interval and words that do not overstate."""

import math
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

# Two-sided 95% of the normal distribution.
Z95 = 1.959963984540054
# Below this many buyers altogether the normal approximation of the revenue difference means nothing.
FEWEST_BUYERS = 30


@dataclass(frozen=True, slots=True)
class Group:
    """One arm. people: drawn into it.  buyers: those with an order in the window.  revenue: per person, mean and variance."""

    people: int
    buyers: int
    revenue_mean: float = 0.0
    revenue_variance: float = 0.0

    @property
    def rate(self) -> float | None:
        return self.buyers / self.people if self.people else None


@dataclass(frozen=True, slots=True)
class Difference:
    """Treated minus held out with its 95% interval, in the unit of what was compared; None where it cannot be told."""

    estimate: float | None
    low: float | None
    high: float | None

    @property
    def is_known(self) -> bool:
        return self.low is not None and self.high is not None

    @property
    def is_clear(self) -> bool:
        """Whether the interval stays on one side of zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    @property
    def verdict(self) -> str:
        """more, less, unclear, or unknown where there is nothing to compare with."""
        if not self.is_known or self.estimate is None:
            return "unknown"
        if not self.is_clear:
            return "unclear"
        return "more" if self.estimate > 0 else "less"

    @property
    def words(self) -> str | Promise:
        return _WORDS[self.verdict]


_WORDS: dict[str, str | Promise] = {
    "more": _("More people ordered because of the campaign."),
    "less": _("Fewer people ordered because of the campaign."),
    "unclear": _("Not clear yet: the difference could be chance."),
    "unknown": _("There is no held-out group to compare with."),
}


def wilson(successes: int, n: int, *, z: float = Z95) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion, in 0-1. Raises ValueError for n = 0.

    Source: Wilson (1927), without continuity correction.
    """
    if n <= 0:
        raise ValueError("A proportion of nobody has no interval.")
    share = successes / n
    centre = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return (max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale))


def difference_of_rates(treated: Group, holdout: Group, *, z: float = Z95) -> Difference:
    """Return how many more of the treated ordered, as a difference of rates in -1 to 1.

    Newcombe's hybrid score interval: right also for small groups and rates near zero, where the usual normal interval
    is not. Source: Newcombe (1998), Statistics in Medicine 17, 873-890, method 10.
    """
    if treated.rate is None or holdout.rate is None:
        return Difference(None, None, None)
    low_1, high_1 = wilson(treated.buyers, treated.people, z=z)
    low_2, high_2 = wilson(holdout.buyers, holdout.people, z=z)
    first, second = treated.rate, holdout.rate
    estimate = first - second
    low = estimate - math.hypot(first - low_1, high_2 - second)
    high = estimate + math.hypot(high_1 - first, second - low_2)
    return Difference(estimate, max(-1.0, low), min(1.0, high))


def difference_of_revenue(treated: Group, holdout: Group, *, z: float = Z95) -> Difference:
    """Return the difference in revenue per person, in currency units, by Welch's normal approximation.

    Interval None below FEWEST_BUYERS buyers altogether: order values are too skewed for it to mean anything.
    """
    if not treated.people or not holdout.people:
        return Difference(None, None, None)
    estimate = treated.revenue_mean - holdout.revenue_mean
    if treated.buyers + holdout.buyers < FEWEST_BUYERS or min(treated.people, holdout.people) < 2:
        return Difference(estimate, None, None)
    spread = z * math.sqrt(treated.revenue_variance / treated.people + holdout.revenue_variance / holdout.people)
    return Difference(estimate, estimate - spread, estimate + spread)
