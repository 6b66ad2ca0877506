"""Locks and leases as kernel file locks: whatever dies, by any signal, lets go of them.

A *lease* is a shared lock on `<data>/run/<service>.users`. Every process that uses an embedded service holds one; the
keeper ends the service once it can take the exclusive lock, that is once nobody is left. The *door* is an exclusive
lock held for the moments in which a service is being started or stopped, so that the two never cross.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crm.embedded import places
from crm.embedded.errors import PlaceRefused


def _open(data_dir: Path, name: str) -> int:
    folder = places.run_dir(data_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise PlaceRefused(f"PERENNIAL_DATA_DIR: cannot write to {folder} ({error.strerror}); choose a folder this user can write to.") from error


def try_exclusive(data_dir: Path, name: str) -> int | None:
    """Return a descriptor holding the exclusive lock on `<data>/run/<name>`, or None when somebody holds a lock on it."""
    descriptor = _open(data_dir, name)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_held(data_dir: Path, name: str) -> bool:
    """Return whether any process holds a lock on `<data>/run/<name>`."""
    descriptor = try_exclusive(data_dir, name)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def take_lease(data_dir: Path, service: str) -> int:
    """Return a descriptor holding a lease on the service; closing it, or the end of the process, gives it back.

    Waits only for the moment in which the keeper looks whether anybody is left.
    """
    descriptor = _open(data_dir, f"{service}.users")
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


@contextmanager
def door(data_dir: Path, service: str) -> Iterator[None]:
    """Hold the service's start/stop lock for the length of the block, waiting for it as long as needed."""
    descriptor = _open(data_dir, f"{service}.door")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
