"""Events between apps: published by the domain, delivered after commit, each listener isolated.

    publish(OrderRecorded(...))                    in a domain verb, inside its transaction
    listen(OrderRecorded, mark_stale)              in an app's listeners.py, connected from apps.py
    listen_within(OrderRecorded, keep_row)         the same, but inside the transaction that published

Delivery is prompt but dies with its process. What must not be lost keeps a row and a sweeper (crm/schedule.py); a row
that must be there exactly when the change is, is written by a listener within.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from django.db import transaction

logger = logging.getLogger(__name__)
Event = TypeVar("Event")
# True while history is being rebuilt: listeners react to what happens, not to what happened long ago.
_rebuilding: ContextVar[bool] = ContextVar("rebuilding", default=False)
_listeners: dict[type, list[Callable[[Any], None]]] = defaultdict(list)
_within: dict[type, list[Callable[[Any], None]]] = defaultdict(list)


def listen(event_type: type[Event], handler: Callable[[Event], None]) -> None:
    """Have `handler` called with every event of that type; connecting twice counts once."""
    if handler not in _listeners[event_type]:
        _listeners[event_type].append(handler)


def listen_within(event_type: type[Event], handler: Callable[[Event], None]) -> None:
    """Have `handler` called by `publish` itself: what it writes commits, or is rolled back, with the change; its errors are the verb's."""
    if handler not in _within[event_type]:
        _within[event_type].append(handler)


def publish(event: object) -> None:
    """Call the listeners within, and deliver to the others once the surrounding transaction commits (at once when there is none)."""
    if _rebuilding.get():
        return
    for handler in _within.get(type(event), ()):
        handler(event)
    transaction.on_commit(lambda: deliver(event))


def deliver(event: object) -> None:
    """Call every listener; one that fails is logged and does not keep the others from hearing."""
    for handler in _listeners[type(event)]:
        try:
            handler(event)
        except Exception:
            logger.exception("event listener failed", extra={"event": type(event).__name__, "listener": handler.__qualname__})


@contextmanager
def rebuilding_history() -> Iterator[None]:
    """Publish nothing inside the block; for doors that write last year's chats and campaigns as they were."""
    token = _rebuilding.set(True)
    try:
        yield
    finally:
        _rebuilding.reset(token)
