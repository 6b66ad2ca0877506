"""What higher apps contribute to lower pages: search hits, timeline entries, segment fields, features. Filled in each apps.py.

Every contribution works for a set of customer ids or one query text at once; never one query per customer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.functional import Promise


@dataclass(frozen=True, slots=True)
class SearchHit:
    """One line of the global search."""

    kind: str | Promise
    title: str
    detail: str
    url: str


@dataclass(frozen=True, slots=True)
class SearchSource:
    """Finds hits for a text; `find(text, limit)` runs at most one query."""

    name: str
    permission: str
    find: Callable[[str, int], Sequence[SearchHit]] | None = None
    # Instead of `find`, for what not everybody with the permission may see: find_for(text, limit, viewer).
    find_for: Callable[[str, int, Any], Sequence[SearchHit]] | None = None


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """Something that happened to or with a customer, ready to print. `icon` is a heroicons name."""

    at: datetime
    kind: str
    icon: str
    title: str | Promise
    detail: str = ""
    url: str = ""
    amount: Any = None
    currency: str = ""


@dataclass(frozen=True, slots=True)
class TimelineSource:
    """Adds entries to a customer's timeline; `entries(customer_id, before, limit)` newest first, one query."""

    name: str
    label: str | Promise
    entries: Callable[[int, datetime, int], Sequence[TimelineEntry]]


@dataclass(frozen=True, slots=True)
class SegmentField:
    """A field a segment rule may use.

    kind: text | number | money | date | boolean | choice | behaviour.
    annotate: returns an ORM expression for Customer rows (never raw SQL from input).
    """

    name: str
    label: str | Promise
    group: str | Promise
    kind: str
    annotate: Callable[[datetime], Any]
    choices: Callable[[], Sequence[tuple[str, str | Promise]]] | None = None


@dataclass(frozen=True, slots=True)
class FeatureSource:
    """Numbers about customers that models may learn from, known only to a higher app.

    features: (name, label, unit) of each number, unit as in customers.features.table.  query: gets a function that
    writes the condition on a customer id column, and returns the SQL, one row per customer with a column `customer` and
    one per name, using the named parameter as_of for "nothing later", and a function from as_of to further parameters.
    """

    name: str
    features: tuple[tuple[str, str | Promise, str], ...]
    query: Callable[[Callable[[str], str]], tuple[str, Callable[[datetime], dict[str, Any]]]]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _label, _unit in self.features)


@dataclass(frozen=True, slots=True)
class MoodLine:
    """What an app knows of a customer's mood. tone: success | warning | danger | neutral; detail: the figures behind it."""

    label: str
    text: str
    detail: str
    tone: str = "neutral"
    url: str = ""


search_sources: dict[str, SearchSource] = {}
timeline_sources: dict[str, TimelineSource] = {}
segment_fields: dict[str, SegmentField] = {}
feature_sources: dict[str, FeatureSource] = {}
# `tell(customer_id, at)` returns a line or None; one query.
mood_sources: dict[str, Callable[[int, datetime], MoodLine | None]] = {}
