"""What higher apps contribute to lower pages: search hits, timeline entries, segment fields. Filled in each apps.py.

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
    find: Callable[[str, int], Sequence[SearchHit]]


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


search_sources: dict[str, SearchSource] = {}
timeline_sources: dict[str, TimelineSource] = {}
segment_fields: dict[str, SegmentField] = {}
