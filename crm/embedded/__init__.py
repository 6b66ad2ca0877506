"""The local stack: PostgreSQL, Redis and a mail sink that need nothing but Python packages.

`ensure()` is all a program needs: it starts what `DATABASE_URL`/`REDIS_URL` leave unset, or joins what already runs for
the same data folder, and holds a lease on it until the process ends. The last process to go takes the services with
it, however it ends. See `keeper` for who restarts what, `places` for the files. Nothing here imports Django models, and
`postgres.url`/`redis.url` start nothing, so settings may use them.
"""

import atexit
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from crm.embedded import lease, places, postgres, redis
from crm.embedded.errors import EmbeddedError, ServiceFailed
from crm.embedded.service import Service

__all__ = ["EmbeddedError", "ensure", "ensure_database_url", "ensure_redis_url", "lease_descriptors", "leave", "let_go", "stop_all"]

# First start writes a whole cluster: 1-3 s here, more on a slow disk.
START_SECONDS = 90.0
STOP_SECONDS = 40.0
LARGEST_LOG_BYTES = 10_000_000
# The keeper's exit code when the service already has one.
ANOTHER_KEEPER = 3
PROJECT_DIR = Path(__file__).resolve().parent.parent.parent

# Leases of this process: (data folder, service) -> descriptor. Forked children share them, which is what we want.
_leases: dict[tuple[Path, str], int] = {}
# Keepers this process has started and not yet seen end; kept so that they are reaped and not left as zombies.
_keepers: list[subprocess.Popen[bytes]] = []


def ensure() -> None:
    """Start or join the services that the settings leave to us; returns when they answer.

    Raises EmbeddedError with one line when that is impossible, BadSetting when the settings themselves are wrong.
    """
    from crm import settings

    if settings.CRM_EMBEDDED_POSTGRES:
        ensure_database_url(settings.CRM_DATA_DIR)
    if settings.CRM_EMBEDDED_REDIS:
        ensure_redis_url(settings.CRM_DATA_DIR)


def ensure_database_url(data_dir: Path, *, volatile: bool = False) -> str:
    """Return the URL of this data folder's PostgreSQL, started if it was not running. Safe to call at any time.

    volatile: trade safety against power loss for speed; for test runs. Raises EmbeddedError.
    """
    data_dir = data_dir.resolve()
    _ensure(postgres.service(data_dir, volatile=volatile), volatile=volatile)
    return postgres.url(data_dir)


def ensure_redis_url(data_dir: Path, *, volatile: bool = False) -> str:
    """Return the URL of this data folder's Redis, started if it was not running. See ensure_database_url."""
    data_dir = data_dir.resolve()
    _ensure(redis.service(data_dir, volatile=volatile), volatile=volatile)
    return redis.url(data_dir)


def let_go(data_dir: Path) -> None:
    """Give back this process' leases on the data folder's services; they end if nobody else uses them."""
    for key in [key for key in _leases if key[0] == data_dir.resolve()]:
        os.close(_leases.pop(key))


def leave(data_dir: Path, service: str) -> bool:
    """Give back the lease on one service and wait for its end; return False when others go on using it."""
    data_dir = data_dir.resolve()
    descriptor = _leases.pop((data_dir, service), None)
    if descriptor is None:
        return True
    os.close(descriptor)
    users = lease.try_exclusive(data_dir, f"{service}.users")
    if users is None:
        return False
    os.close(users)
    wait_until_stopped(data_dir, service)
    return True


def lease_descriptors() -> tuple[int, ...]:
    """Return the open leases, to be inherited by children that must keep the services alive (subprocess' pass_fds)."""
    return tuple(_leases.values())


def keeper_pid(data_dir: Path, service: str) -> int | None:
    """Return the process id of the service's keeper, or None when it has none."""
    if not lease.is_held(data_dir, f"{service}.keeper"):
        return None
    text = (places.run_dir(data_dir) / f"{service}.keeper").read_text().strip()
    return int(text) if text else None


def stop_all(data_dir: Path) -> None:
    """Stop Redis, then PostgreSQL, of this data folder even if others still use them; return when they are gone.

    Raises ServiceFailed when one does not end in time.
    """
    data_dir = data_dir.resolve()
    let_go(data_dir)
    if not places.run_dir(data_dir).is_dir():
        return
    for name in (redis.NAME, postgres.NAME):
        with lease.door(data_dir, name):
            pid = keeper_pid(data_dir, name)
            if pid is not None:
                # The lock was held a moment ago, so the number is a live keeper's or one that has just gone.
                try:
                    os.kill(pid, signal.SIGTERM)
                except ProcessLookupError:
                    continue
        wait_until_stopped(data_dir, name)


def wait_until_stopped(data_dir: Path, service: str) -> None:
    """Return once the service's keeper, and with it the service, has ended. Raises ServiceFailed after 40 s."""
    until = time.monotonic() + STOP_SECONDS
    while lease.is_held(data_dir, f"{service}.keeper"):
        if time.monotonic() > until:
            raise ServiceFailed(f"{service} did not stop within {STOP_SECONDS:.0f} s; see {places.log_path(data_dir, service)}")
        time.sleep(0.02)
    _reap()


def _ensure(service: Service, *, volatile: bool) -> None:
    key = (service.data_dir, service.name)
    if key in _leases and service.ready():
        return
    with lease.door(service.data_dir, service.name):
        if key not in _leases:
            _leases[key] = lease.take_lease(service.data_dir, service.name)
        _start_and_wait(service, volatile=volatile)


def _start_and_wait(service: Service, *, volatile: bool) -> None:
    """Start a keeper unless one lives, and wait until the service answers; the door is ours meanwhile."""
    log_path = places.log_path(service.data_dir, service.name)
    keeper: subprocess.Popen[bytes] | None = None
    until = time.monotonic() + START_SECONDS
    while True:
        if keeper is None and not lease.is_held(service.data_dir, f"{service.name}.keeper"):
            keeper = _start_keeper(service, log_path, volatile=volatile)
        if service.ready() and lease.is_held(service.data_dir, f"{service.name}.keeper"):
            return
        if keeper is not None and keeper.poll() == ANOTHER_KEEPER:
            keeper = None
        elif keeper is not None and keeper.poll() is not None:
            raise ServiceFailed(f"{service.name} could not start: {_last_words(log_path)} (see {log_path})")
        if time.monotonic() > until:
            raise ServiceFailed(f"{service.name} was not ready within {START_SECONDS:.0f} s; see {log_path}")
        time.sleep(0.02)


def _start_keeper(service: Service, log_path: Path, *, volatile: bool) -> subprocess.Popen[bytes]:
    log_path.parent.mkdir(parents=True, exist_ok=True)
    if log_path.exists() and log_path.stat().st_size > LARGEST_LOG_BYTES:
        log_path.replace(log_path.with_suffix(".log.1"))
    command = [sys.executable, "-m", "crm.embedded.keeper", service.name, str(service.data_dir)]
    if volatile:
        command.append("--volatile")
    _reap()
    with log_path.open("ab") as log:
        keeper = subprocess.Popen(  # noqa: S603 - our own program, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=PROJECT_DIR,
            # Its own session: a Ctrl-C meant for the program in the foreground must not end the database under it.
            start_new_session=True,
        )
    _keepers.append(keeper)
    return keeper


def _reap() -> None:
    # The lock is free a moment before the process is gone, so give one that is just ending that moment.
    for keeper in list(_keepers):
        try:
            keeper.wait(0.2 if keeper.poll() is None and len(_keepers) < 8 else 0)
            _keepers.remove(keeper)
        except subprocess.TimeoutExpired:
            continue


@atexit.register
def _leave_keepers_to_themselves() -> None:
    # They outlive us on purpose if others still need them; subprocess would warn of a forgotten child.
    for keeper in _keepers:
        keeper.returncode = keeper.poll() or 0


def _last_words(log_path: Path) -> str:
    lines = [line for line in log_path.read_text(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines[-20:] if "FATAL" in line or ("#" in line and "rror" in line)]
    line = (telling or lines or ["no output"])[-1]
    return line.removeprefix("keeper: ")
