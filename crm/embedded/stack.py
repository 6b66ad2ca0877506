"""The programs `up` runs, in the order in which they start; production runs the same ones (docs/operations.md)."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from crm.embedded import mailsink
from crm.embedded.processes import Program

WEB, BEAT, SINK, MAIL_IN = "web", "beat", "mail", "mail-in"
# One worker process per queue, so that none can hold up another. The light ones run threads: two tasks at a time that
# share one copy of the encoder. Learning has a process per task, which gives its memory back when the model is trained.
WORKERS = ("live", "default", "bulk", "learning")
_POOLS: dict[str, tuple[str, ...]] = {
    "live": ("--pool=threads", "--concurrency=2"),
    "default": ("--pool=threads", "--concurrency=2"),
    "bulk": ("--pool=threads", "--concurrency=1"),
    "learning": ("--pool=prefork", "--concurrency=1", "--max-tasks-per-child=1"),
}


def environment(*, public_url: str, smtp_port: int | None, mail_in_port: int | None = None, allowed_host: str = "") -> dict[str, str]:
    """Return the environment of every child: ours, plus what only `up` knows."""
    chosen = dict(os.environ)
    chosen["PYTHONUNBUFFERED"] = "1"
    chosen.setdefault("CRM_PUBLIC_URL", public_url)
    # Several processes share the cores; each opening a thread per core would only make them fight.
    chosen.setdefault("OMP_NUM_THREADS", "1")
    chosen.setdefault("TOKENIZERS_PARALLELISM", "false")
    # glibc's default of eight arenas per core makes threaded workers keep several times the memory they use.
    chosen.setdefault("MALLOC_ARENA_MAX", "2")
    if os.geteuid() == 0:
        # Celery's four lines per worker; a container's root is what it is, and production runs a user (operations.md).
        chosen.setdefault("PYTHONWARNINGS", "ignore:You're running the worker with superuser")
    if smtp_port is not None:
        chosen["CRM_SMTP_PORT"] = str(smtp_port)
    if mail_in_port is not None:
        chosen["CRM_INBOUND_MAIL_PORT"] = str(mail_in_port)
    if allowed_host and "CRM_ALLOWED_HOSTS" not in chosen and "CRM_ALLOWED_HOSTS_FILE" not in chosen:
        chosen["CRM_ALLOWED_HOSTS"] = f"localhost,127.0.0.1,[::1],{allowed_host}"
    return chosen


def web(*, host: str, port: int, env: dict[str, str]) -> Program:
    command = (sys.executable, "-m", "uvicorn", "crm.asgi:application", "--host", host, "--port", str(port))
    # One visitor's open page must not keep the server from ending: after 5 s the rest is cut.
    options = ("--lifespan", "off", "--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", "5")
    return Program(WEB, command + options, env, grace_seconds=8)


def worker(queue: str, *, env: dict[str, str], before: Callable[[], None] | None = None) -> Program:
    """Return the worker of one queue.

    SIGTERM lets running tasks end. SIGQUIT, after the grace, hands them back to the queue, so a training stopped
    half-way starts again with the next `up`.
    """
    command = (sys.executable, "-m", "celery", "-A", "crm", "--quiet", "worker", "-Q", queue, "-n", f"{queue}@%h", "--loglevel=WARNING")
    # Each of these keeps the workers in touch with one another, which nothing here reads.
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    if queue == "learning":
        env = env | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 2) // 2)))}
    return Program(
        queue,
        command + _POOLS[queue] + quiet,
        env | {"PERENNIAL_SUPERVISOR": str(os.getpid())},
        grace_seconds=8,
        harder=signal.SIGQUIT,
        orphaned=signal.SIGQUIT,
        # A nightly training must not slow a chat reply down.
        niceness=10 if queue == "learning" else 0,
        before=before,
    )


def beat(*, env: dict[str, str]) -> Program:
    # No pid file and no schedule file: the lease in Redis says which Beat is active, the database what is due.
    return Program(BEAT, (sys.executable, "-m", "celery", "-A", "crm", "--quiet", "beat", "--loglevel=WARNING", "--pidfile="), env, grace_seconds=5)


def sink(*, folder: Path, port: int, env: dict[str, str]) -> Program:
    command = (sys.executable, "-m", "crm.embedded.mailsink", "--folder", str(folder), "--port", str(port))
    return Program(SINK, command, env, grace_seconds=3)


def mail_in(*, env: dict[str, str]) -> Program:
    """Return the SMTP door for visitors' answers; its port stands in the environment."""
    return Program(MAIL_IN, (sys.executable, "manage.py", "mail_receiver"), env, grace_seconds=5)


def manage(name: str, *arguments: str, env: dict[str, str]) -> Program:
    """Return a step of the start: a management command, its output prefixed with `name`."""
    return Program(name, (sys.executable, "manage.py", *arguments, "--skip-checks"), env, grace_seconds=10)


def uses_local_sink(settings: object) -> bool:
    """Return whether mail goes to the sink on this machine, that is, nobody has named a mail server."""
    return getattr(settings, "CRM_SMTP_HOST", "") == mailsink.HOST and not getattr(settings, "CRM_SMTP_PORT", 0)
