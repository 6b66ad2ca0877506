"""A real web server as a child process, to be killed and started again by the test that uses it."""

import contextlib
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

PROJECT_DIR = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0


def free_port() -> int:
    """Return a port of 127.0.0.1 nobody listens on, below the range from which the kernel takes outgoing ports.

    Drawn by chance: tests beside one another that count up from near numbers meet before either has begun to listen.
    """
    for _ in range(1_000):
        candidate = 18_000 + secrets.randbelow(14_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", candidate))
            return candidate
    raise AssertionError("no free port between 18000 and 32000")


class RunningServer:
    """uvicorn with `crm.asgi`; keeps its port over restarts so that open pages find it again."""

    def __init__(self, *, environment: dict[str, str], port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = environment | {"CRM_PUBLIC_URL": self.url, "CRM_API_RATE_PER_MINUTE": "100000"}
        self._process: subprocess.Popen[bytes] | None = None
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the server object

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def start(self) -> None:
        """Start the server unless it runs, and return once it answers /healthz."""
        if self._process is not None and self._process.poll() is None:
            return
        command = [sys.executable, "-m", "uvicorn", "crm.asgi:application", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--lifespan", "off", "--no-access-log", "--timeout-graceful-shutdown", "3"]
        self._process = subprocess.Popen(
            command, cwd=PROJECT_DIR, env=self.environment, stdin=subprocess.DEVNULL, stdout=self._output, stderr=subprocess.STDOUT
        )
        until = time.monotonic() + START_SECONDS
        while True:
            assert self._process.poll() is None, f"the server ended at start:\n{self.output()}"
            assert time.monotonic() < until, f"the server did not answer in {START_SECONDS:.0f} s:\n{self.output()}"
            try:
                with urllib.request.urlopen(f"{self.url}/healthz", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)

    def stop(self) -> None:
        """End the server in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server as a crash would, in the middle of whatever it does."""
        self._end(signal.SIGKILL)

    def output(self) -> str:
        """Return everything the server has printed."""
        self._output.seek(0)
        return self._output.read().decode(errors="replace")

    def close(self) -> None:
        """End the server and forget its output."""
        self.stop()
        self._output.close()

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
