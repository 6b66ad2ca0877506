"""What the keeper needs to know about a service it looks after; `postgres` and `redis` each build one."""

import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from crm.embedded.accounts import Account


@dataclass(frozen=True, slots=True)
class Service:
    """One server program with its data folder.

    home: its own folder.  command: the program's full path, then its arguments.  prepare: makes the data folder, may take seconds the first time.  ready: quick and safe to call at any time.
    stop_signal: the orderly way to end it.
    """

    name: str
    data_dir: Path
    account: Account
    home: Path
    command: tuple[str, ...]
    prepare: Callable[[], None]
    ready: Callable[[], bool]
    stop_signal: signal.Signals


def connects(socket_path: Path, *, timeout_seconds: float = 1.0) -> socket.socket | None:
    """Return a connection to the Unix socket, or None when nobody listens there."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_seconds)
    try:
        connection.connect(str(socket_path))
    except OSError:
        connection.close()
        return None
    return connection
