"""Where the local stack keeps its files below the data folder.

<data>/postgres/       PostgreSQL's data and, where the path is short enough, its socket
<data>/redis/          Redis' append-only file and socket
<data>/run/            locks and leases; nothing here matters once all processes are gone
<data>/log/            one log per service
<data>/outbox/         the Maildir of the local mail sink
"""

import hashlib
import os
from pathlib import Path

from crm.embedded.errors import PlaceRefused

# A Unix socket's path must fit in sockaddr_un: 108 bytes with its final zero on Linux, 104 on macOS.
LONGEST_SOCKET_PATH_BYTES = 103
# Not tempfile.gettempdir(): two processes with different TMPDIR must find the same socket.
SHORT_PLACES = Path("/tmp")  # noqa: S108 - the folder made below it is private and its owner is checked


def run_dir(data_dir: Path) -> Path:
    return data_dir / "run"


def log_path(data_dir: Path, service: str) -> Path:
    return data_dir / "log" / f"{service}.log"


def socket_dir(home: Path, socket_name: str) -> Path:
    """Return the folder for a service's socket: its own home, or a short private one when that path is too long.

    The answer depends only on the path and the user, so a process that did not start the service finds it too.
    Creates nothing.
    """
    if len(os.fsencode(home / socket_name)) <= LONGEST_SOCKET_PATH_BYTES:
        return home
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return SHORT_PLACES / f"perennial-{os.geteuid()}-{digest}"


def make_private(folder: Path, *, uid: int, gid: int) -> None:
    """Create the folder with mode 0700 and the given owner, or check that it already is such a folder.

    Raises PlaceRefused when it cannot be made, is a link, or belongs to another user: in a shared folder such as /tmp
    somebody else may have put it there to listen in.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.is_symlink():
            raise PlaceRefused(f"{folder} is a link; remove it or choose another PERENNIAL_DATA_DIR.")
        found = folder.stat()
        if found.st_uid not in {uid, os.geteuid()}:
            raise PlaceRefused(f"{folder} belongs to user {found.st_uid}; remove it or choose another PERENNIAL_DATA_DIR.")
        if found.st_uid != uid:
            os.chown(folder, uid, gid)
        folder.chmod(0o700)
    except OSError as error:
        raise PlaceRefused(f"PERENNIAL_DATA_DIR: cannot use {folder} ({error.strerror}); choose a folder this user can write to.") from error
