"""The one search box: every app contributes a source, each asked once, only those the viewer may see."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, transaction
from django.utils.functional import Promise

from crm.core.registries import SearchHit, SearchSource, search_sources

logger = logging.getLogger(__name__)

# Fewer letters match half the shop. A single Han character already is a word.
SHORTEST_LATIN = 2
LONGEST = 100


@dataclass(frozen=True, slots=True)
class Group:
    """The hits of one kind, best first. has_more: the source filled its limit, so there may be others."""

    kind: str | Promise
    hits: tuple[SearchHit, ...]
    has_more: bool


@dataclass(frozen=True, slots=True)
class SearchPage:
    """What was found for `query`. failed: sources that could not answer; the others are shown all the same."""

    query: str
    groups: tuple[Group, ...] = ()
    failed: tuple[str, ...] = ()
    is_too_short: bool = False

    @property
    def total(self) -> int:
        return sum(len(group.hits) for group in self.groups)


def find(*, query: str, permissions: frozenset[str], limit: int, viewer: Any = None) -> SearchPage:
    """Return up to `limit` hits per source. One query per source at most; a NUL or an endless text finds nothing."""
    query = " ".join(query.replace("\x00", " ").split())[:LONGEST]
    if not query or (query.isascii() and len(query) < SHORTEST_LATIN):
        return SearchPage(query=query, is_too_short=bool(query))
    groups, failed = [], []
    for source in search_sources.values():
        if source.permission not in permissions:
            continue
        try:
            # A savepoint: one source's failed statement must not take the others' answers with it.
            with transaction.atomic():
                hits = tuple(_asked(source, query, limit, viewer))
        except DatabaseError:
            logger.exception("search source failed", extra={"source": source.name})
            failed.append(source.name)
            continue
        if hits:
            groups.append(Group(kind=hits[0].kind, hits=hits[:limit], has_more=len(hits) >= limit))
    return SearchPage(query=query, groups=tuple(groups), failed=tuple(failed))


def _asked(source: SearchSource, query: str, limit: int, viewer: Any) -> Sequence[SearchHit]:
    if source.find_for is not None:
        # Without a viewer nothing that is somebody's own is told.
        return source.find_for(query, limit, viewer) if viewer is not None else ()
    return source.find(query, limit) if source.find is not None else ()
