"""The system user a service runs as, and how a child process becomes that user.

PostgreSQL refuses to run as root, yet containers and CI machines usually are root. There we start the services as an
unprivileged user that exists on every Linux machine. Nothing else is changed: no user is created and no folder of
yours gets other permissions. Where the data or the programs lie below a folder that this user may not enter (a clone
under /root, say), the child keeps exactly one capability, the one that lets it pass through.
"""

import ctypes
import os
import pwd
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from crm.embedded.errors import EmbeddedError

# Tried in this order; "perennial" lets an administrator choose by creating it.
CANDIDATES = ("perennial", "postgres", "nobody")

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Account:
    """A system user. `switch` is False when the current process already is that user."""

    uid: int
    gid: int
    switch: bool


def choose(home: Path) -> Account:
    """Return the user that owns, or shall own, the service folder `home`.

    Not root: the current user. Root: the owner of an existing folder (so that data stays readable), else the first of
    CANDIDATES. Raises EmbeddedError when root finds none of them.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), switch=False)
    if home.exists() and home.stat().st_uid != 0:
        return Account(home.stat().st_uid, home.stat().st_gid, switch=True)
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, switch=True)
    raise EmbeddedError(f"root cannot run PostgreSQL and none of the users {', '.join(CANDIDATES)} exists; run as another user or set DATABASE_URL.")


def needs_passage(account: Account, *paths: Path) -> bool:
    """Return whether any parent folder of the paths may not be entered by the account."""
    if not account.switch:
        return False
    for path in paths:
        for parent in path.resolve().parents:
            found = parent.stat()
            if found.st_uid == account.uid:
                allowed = found.st_mode & 0o100
            elif found.st_gid == account.gid:
                allowed = found.st_mode & 0o010
            else:
                allowed = found.st_mode & 0o001
            if not allowed:
                return True
    return False


def becoming(account: Account, *, passage: bool, when_parent_dies: signal.Signals) -> Callable[[], None]:
    """Return a function for `subprocess`' preexec_fn: switch user, and ask for a signal when the parent is gone.

    Use it only from a process with one thread: it runs Python between fork and exec.
    """
    parent = os.getpid()

    def prepare() -> None:
        if account.switch:
            if passage:
                _prctl(PR_SET_KEEPCAPS, 1)
            os.setgroups([account.gid])
            os.setresgid(account.gid, account.gid, account.gid)
            os.setresuid(account.uid, account.uid, account.uid)
            if passage:
                _keep_passage()
        # After the switch: the kernel forgets this request whenever the user changes.
        die_with_parent(parent, when_parent_dies)

    return prepare


def die_with_parent(parent: int, death_signal: signal.Signals) -> None:
    """Ask Linux to send the calling process a signal when its parent ends, even by kill -9. Does nothing elsewhere."""
    if not sys.platform.startswith("linux"):
        return
    # Between fork and exec the parent's own handler is still ours: it would take the signal and let us live on.
    if death_signal != signal.SIGKILL:
        signal.signal(death_signal, signal.SIG_DFL)
    _prctl(PR_SET_PDEATHSIG, death_signal)
    if os.getppid() != parent:  # it ended between the fork and the line above
        os.kill(os.getpid(), death_signal)


def _keep_passage() -> None:
    """Keep CAP_DAC_OVERRIDE, and nothing else, across the coming exec."""
    bit = 1 << CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    # Two halves of (effective, permitted, inheritable).
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    if _libc.capset(header, sets) != 0:
        raise OSError(ctypes.get_errno(), "capset")
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE)


def _prctl(option: int, *arguments: int) -> None:
    padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    if _libc.prctl(ctypes.c_int(option), *padded) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
