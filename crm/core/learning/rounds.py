"""Many models trained in one go: what follows their promotions happens once, and shares of them run side by side."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Weighed(Protocol):
    """What `shares` reads of a training task."""

    @property
    def name(self) -> str: ...
    @property
    def depends_on(self) -> tuple[str, ...]: ...
    @property
    def weight(self) -> float: ...


_waiting: ContextVar[dict[str, Callable[[], object]] | None] = ContextVar("waiting", default=None)


@contextmanager
def gathered() -> Iterator[None]:
    """Put off what `afterwards` is given to the end of this block, once for each key, also where the block fails."""
    waiting: dict[str, Callable[[], object]] = {}
    token = _waiting.set(waiting)
    try:
        yield
    finally:
        _waiting.reset(token)
        for work in waiting.values():
            work()


def afterwards(key: str, work: Callable[[], object]) -> None:
    """Do the work now, or at the end of the round that is running; of several with one key the last."""
    waiting = _waiting.get()
    if waiting is None:
        work()
    else:
        waiting[key] = work


def shares(tasks: Sequence[Weighed], count: int) -> list[list[str]]:
    """Return the names in at most `count` lists of about equal weight, each in the given order, none empty.

    A task goes with those it depends on. Longest processing time first (Graham 1969, SIAM J. Appl. Math. 17): at most a
    third longer than the best division.
    """
    bundles: dict[str, list[Weighed]] = {}
    for task in tasks:
        home = next((name for name, bundle in bundles.items() if any(other.name in task.depends_on for other in bundle)), task.name)
        bundles.setdefault(home, []).append(task)
    loads: list[list[Weighed]] = [[] for _ in range(max(1, min(count, len(bundles))))]
    for bundle in sorted(bundles.values(), key=lambda bundle: -sum(task.weight for task in bundle)):
        min(loads, key=lambda load: sum(task.weight for task in load)).extend(bundle)
    place = {task.name: number for number, task in enumerate(tasks)}
    return [sorted((task.name for task in load), key=place.__getitem__) for load in loads if load]
