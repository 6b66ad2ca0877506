"""What each kind of long work is called, and how the sweeper hands a lost one to a worker again.

A kind is registered by the app that carries it out. `enqueue` must be harmless when called twice: the task it sends
begins with `jobs.begin`, which lets only one worker through.
"""

from collections.abc import Callable
from dataclasses import dataclass

from django.utils.functional import Promise

from crm.core.models import Job


@dataclass(frozen=True, slots=True)
class JobKind:
    """One kind of job.

    enqueue: sends the task for a job row.  resumable: True when a run cut off in the middle may simply be run again;
    otherwise the sweeper marks it failed and a person decides.  title: what a job of this kind is called in the reader's
    language; None where the starter's own words, such as a campaign's name, are the title.
    """

    kind: str
    label: str | Promise
    enqueue: Callable[[Job], None]
    resumable: bool = True
    title: Callable[[Job], str] | None = None


_kinds: dict[str, JobKind] = {}


def register(kind: JobKind) -> None:
    """Add or replace a kind; called from an app's registration."""
    _kinds[kind.kind] = kind


def find(kind: str) -> JobKind | None:
    """Return what is registered for the kind, or None for work only its starter can repeat."""
    return _kinds.get(kind)


def label(kind: str) -> str:
    """Return the kind in the reader's language, else its code."""
    known = _kinds.get(kind)
    return str(known.label) if known else kind


def title(job: Job) -> str:
    """Return what the job is called: in the reader's language where its kind knows, else as its starter named it."""
    known = _kinds.get(job.kind)
    return known.title(job) if known and known.title else job.title


def choices() -> list[tuple[str, str]]:
    """Return (kind, label) of every registered kind, for a filter."""
    return sorted(((kind.kind, str(kind.label)) for kind in _kinds.values()), key=lambda pair: pair[1])
