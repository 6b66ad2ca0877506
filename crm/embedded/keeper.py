"""The keeper: one small process per embedded service that starts it, restarts it, and ends it with its last user.

Run as `python -m crm.embedded.keeper <service> <data_dir>` by `crm.embedded.ensure`; imports no Django. It is the
service's parent, so it learns of its death at once. If the keeper itself is killed, the kernel passes the word on and
the service shuts down in order; the next `ensure` starts both again.

What it says goes to `<data>/log/<service>.log` together with the service's own log, on lines starting with "keeper:".
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from crm.embedded import lease, postgres, redis
from crm.embedded.accounts import becoming, needs_passage
from crm.embedded.errors import EmbeddedError
from crm.embedded.postgres import clean_environment
from crm.embedded.service import Service

BUILDERS = {postgres.NAME: postgres.service, redis.NAME: redis.service}

# How often the keeper looks whether anybody still uses the service: two locks tried, about 20 microseconds.
LOOK_SECONDS = 0.25
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
# A service that ran this long had started well; its next fall begins with the short pause again.
SETTLED_SECONDS = 30.0
STOP_SECONDS = 30.0


class Keeper:
    """Looks after one service until it is told to stop or nobody uses it any more."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.told_to_stop = False
        self._door: int | None = None

    def run(self) -> int:
        """Keep the service running; return the exit code, 1 when it could not be started at all."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        try:
            self.service.prepare()
        except EmbeddedError as error:
            say(str(error))
            return 1
        pause = FIRST_PAUSE_SECONDS
        ready_once = False
        while not self._finished():
            started = time.monotonic()
            child = self._spawn()
            is_ready = False
            while child.poll() is None:
                if not is_ready and self.service.ready():
                    is_ready = ready_once = True
                    say(f"{self.service.name} is ready, pid {child.pid}")
                if self._finished():
                    return self._stop(child)
                time.sleep(LOOK_SECONDS if is_ready else 0.02)
            # Ended by itself before it was ever of use: what it said in the log must be put right first. A later life
            # that fails to start is tried again: often the former one still holds a lock for a moment.
            if not ready_once and child.returncode >= 0:
                say(f"{self.service.name} ended at start with {describe(child.returncode)}")
                return 1
            if time.monotonic() - started > SETTLED_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            say(f"{self.service.name} ended with {describe(child.returncode)}; starting it again in {pause:.1f} s")
            self._wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        return 0

    def _spawn(self) -> subprocess.Popen[bytes]:
        passage = needs_passage(self.service.account, self.service.home, Path(self.service.command[0]))
        return subprocess.Popen(  # noqa: S603 - our own programs, no shell
            self.service.command,
            stdin=subprocess.DEVNULL,
            cwd="/",
            env=clean_environment(),
            preexec_fn=becoming(self.service.account, passage=passage, when_parent_dies=self.service.stop_signal),
        )

    def _stop(self, child: subprocess.Popen[bytes]) -> int:
        child.send_signal(self.service.stop_signal)
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            say(f"{self.service.name} did not end within {STOP_SECONDS:.0f} s; killing it")
            child.kill()
            child.wait()
        say(f"{self.service.name} stopped")
        return 0

    def _finished(self) -> bool:
        """Return whether to end now, because of a signal or because no lease is left.

        In the second case the door is closed behind the last user, and stays so until this process has ended: a new
        user waits for it and then starts afresh.
        """
        if self.told_to_stop:
            return True
        users = lease.try_exclusive(self.service.data_dir, f"{self.service.name}.users")
        if users is None:
            return False
        # Somebody at the door is about to take a lease; let him.
        self._door = lease.try_exclusive(self.service.data_dir, f"{self.service.name}.door")
        os.close(users)
        return self._door is not None

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.told_to_stop:
            time.sleep(0.05)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self.told_to_stop = True


def describe(returncode: int) -> str:
    """Return "exit code 3" or "signal SIGKILL" for a child's return code."""
    if returncode >= 0:
        return f"exit code {returncode}"
    with contextlib.suppress(ValueError):
        return f"signal {signal.Signals(-returncode).name}"
    return f"signal {-returncode}"


def say(text: str) -> None:
    sys.stderr.write(f"keeper: {datetime.now(UTC):%Y-%m-%d %H:%M:%S} {text}\n")
    sys.stderr.flush()


def main(arguments: list[str]) -> int:
    name, data_dir, *flags = arguments
    folder = Path(data_dir)
    own = _claim(folder, f"{name}.keeper")
    if own is None:
        return 3
    # The number is a convenience for `stop_all`; whether a keeper lives is told by the lock, never by this text.
    os.ftruncate(own, 0)
    os.write(own, f"{os.getpid()}\n".encode())
    try:
        return Keeper(BUILDERS[name](folder, volatile="--volatile" in flags)).run()
    except EmbeddedError as error:
        say(str(error))
        return 1
    finally:
        os.ftruncate(own, 0)


def _claim(folder: Path, name: str) -> int | None:
    """Return the keeper's own lock, or None when another keeper has it; a look from elsewhere holds it for microseconds."""
    for _attempt in range(20):
        own = lease.try_exclusive(folder, name)
        if own is not None:
            return own
        time.sleep(0.05)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
