"""`manage.py up`: refuses wrong settings in one line, supervises what it starts, leaves nothing behind."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.servers import PROJECT_DIR, free_port
from tests.stack import OwnStack, eventually


class Up:
    """A running `manage.py up --no-demo` whose output can be read at any time."""

    def __init__(self, stack: OwnStack, folder: Path, *, port: int) -> None:
        self.stack = stack
        self.port = port
        self.log = folder / f"up-{port}-{time.monotonic_ns()}.log"
        self.started_at = time.monotonic()
        with self.log.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--no-demo", "--port", str(port)],
                cwd=PROJECT_DIR,
                env=stack.environment,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, text: str) -> None:
        eventually(lambda: text in self.output() or self.process.poll() is not None, f"{text!r} in the output", seconds=150)
        assert text in self.output(), self.output()

    def readiness(self) -> tuple[int, dict[str, dict[str, object]]]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=10) as response:
                return response.status, json.load(response)["parts"]
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)["parts"]

    def child(self, words: str) -> psutil.Process:
        """Return our direct child whose command line contains the words."""
        for process in psutil.Process(self.process.pid).children():
            if words in " ".join(process.cmdline()):
                return process
        raise AssertionError(f"no child {words!r} in:\n{self.output()}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(90)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnStack]:
    """A migrated data folder, so that no test waits for the migrations."""
    stack = OwnStack(tmp_path_factory.mktemp("up"))
    stack.prepare()
    stack.close()
    yield stack
    stack.close()


@pytest.fixture
def up(prepared: OwnStack, tmp_path: Path) -> Iterator[Up]:
    running = Up(prepared, tmp_path, port=free_port())
    yield running
    if running.process.poll() is None:
        running.process.kill()
        running.process.wait()
    prepared.close()


def refuse(stack: OwnStack, *arguments: str, **variables: str) -> str:
    """Run `up` with wrong settings and return the one line it prints."""
    done = subprocess.run(
        [sys.executable, "manage.py", "up", *arguments],
        cwd=PROJECT_DIR,
        env=stack.environment | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr.strip()


@pytest.mark.parametrize(
    ("arguments", "variables", "says"),
    [
        ((), {"PORT": "eighty"}, r"^PORT='eighty' is not a port; write a number from 1 to 65535"),
        (("--port", "70000"), {}, r"^--port='70000' is not a port"),
        (("--host", "no.such.host.invalid"), {}, r"^--host='no.such.host.invalid' is not an address of this machine"),
        ((), {"DATABASE_URL": "mysql://root@db/shop"}, r"^DATABASE_URL='mysql://root@db/shop' is not a PostgreSQL URL; write postgresql://"),
        (
            (),
            {"DATABASE_URL": "postgresql://u:secret@127.0.0.1:1/shop"},
            r"^DATABASE_URL: .*refused.*; correct it, start that server, or leave DATABASE_URL out",
        ),
        ((), {"DATABASE_URL": "postgresql://u:secret@[::1/shop"}, r"^DATABASE_URL is not a URL \(Invalid IPv6 URL\); correct it"),
        ((), {"REDIS_URL": "redis://u:secret@[::1/0"}, r"^REDIS_URL: Invalid IPv6 URL; correct it"),
        ((), {"CRM_TIME_ZONE": "Mars/Olympus"}, r"^CRM_TIME_ZONE='Mars/Olympus' is not a time zone; write one such as Asia/Shanghai"),
        ((), {"CRM_LANGUAGE": "klingon"}, r"^CRM_LANGUAGE='klingon' is not known; write one of en, zh-hans"),
        ((), {"CRM_CURRENCY": "euro"}, r"^CRM_CURRENCY='EURO' is not a currency; write an ISO 4217 code such as CNY"),
        ((), {"CRM_PUBLIC_URL": "crm.example"}, r"^CRM_PUBLIC_URL='crm.example' is not a web address; write one such as https://"),
        ((), {"PERENNIAL_DATA_DIR": __file__}, r"^PERENNIAL_DATA_DIR: cannot write to .*Not a directory.*; choose a writable folder"),
        ((), {"REDIS_URL": "http://redis"}, r"^REDIS_URL='http://redis' is not a Redis URL; write redis://"),
        ((), {"REDIS_URL": "redis://127.0.0.1:1/0"}, r"^REDIS_URL: .*refused.*; correct it, start that server, or leave REDIS_URL out"),
        ((), {"PERENNIAL_DATA_DIR": "/proc/nowhere"}, r"^PERENNIAL_DATA_DIR: cannot write to '/proc/nowhere'.*; choose a writable folder"),
        ((), {"PERENNIAL_DATA_DIR": "/proc/nowhere", "CRM_SECRET_KEY": "x" * 50}, r"^PERENNIAL_DATA_DIR: cannot write to '/proc/nowhere'"),
        ((), {"CRM_DEBUG": "perhaps"}, r"^CRM_DEBUG='perhaps' is not a yes/no value; write 1 or 0"),
        ((), {"CRM_PRODUCTION": "1"}, r"^CRM_SECRET_KEY is not set; write at least 50 random characters"),
    ],
)
def test_a_wrong_setting_is_named_with_its_fix(prepared: OwnStack, arguments: tuple[str, ...], variables: dict[str, str], says: str) -> None:
    line = refuse(
        prepared, "--no-demo", *(("--port", str(free_port())) if "PORT" not in variables and "--port" not in arguments else ()), *arguments, **variables
    )

    assert re.search(says, line), line
    assert "secret" not in line
    assert prepared.processes() == []


def test_a_taken_port_is_named(prepared: OwnStack) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        line = refuse(prepared, PORT=str(port))

    assert line.startswith(f"PORT={port} is already in use on 127.0.0.1;")
    assert prepared.processes() == []


@pytest.mark.slow
def test_a_start_serves_within_15_seconds_and_ends_without_a_trace(up: Up) -> None:
    started = time.monotonic()
    up.stack.manage("version")
    # Alone 2 s. The machine is shared with other test workers, and what they take is missing here as there.
    bare_seconds = time.monotonic() - started
    up.wait_for("is ready: ")
    served = re.search(r"pages are served at \S+ \(([\d.]+) s\)", up.output())
    assert served is not None
    status, parts = up.readiness()
    second = refuse(up.stack, "--port", str(free_port()))

    code = up.end(signal.SIGTERM)

    assert float(served.group(1)) < max(15.0, 8 * bare_seconds)
    assert second.startswith("PERENNIAL_DATA_DIR: another `manage.py up` already runs on ")
    assert status == 200
    assert set(parts) == {"database", "redis", "queue:default", "queue:live", "queue:bulk", "queue:learning", "beat", "models"}
    assert code == 0
    assert up.stack.processes() == []
    assert not (up.stack.data_dir / "postgres" / "postmaster.pid").exists()
    order = [up.output().index(text) for text in ("stopping", "everything has stopped")]
    assert order == sorted(order)


@pytest.mark.slow
def test_whatever_dies_is_named_and_comes_back(up: Up) -> None:
    up.wait_for("is ready: ")
    beat, live, web = up.child(" beat "), up.child("-Q live"), up.child("uvicorn")

    for process in (beat, live, web):
        process.kill()

    for name in ("beat", "live", "web"):
        up.wait_for(f"{name:<9}| ended with signal SIGKILL; starting it again in 0.5 s")
    eventually(lambda: _answers(up) and up.readiness()[0] == 200, "everything is ready again")
    assert up.child("-Q live").pid != live.pid

    postgres = int((up.stack.data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(postgres, signal.SIGKILL)
    up.wait_for("postgres | postgres ended with signal SIGKILL")
    eventually(lambda: up.readiness()[0] == 200, "the database is back")
    assert up.end() == 0
    assert up.stack.processes() == []


@pytest.mark.slow
def test_killing_up_itself_ends_all_its_children(up: Up) -> None:
    up.wait_for("pages are served at")

    assert up.end(signal.SIGKILL) == -signal.SIGKILL

    eventually(lambda: up.stack.processes() == [], "no process is left")
    assert not (up.stack.data_dir / "postgres" / "postmaster.pid").exists()


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["address  http", "postgres is running", "pages are served at"])
def test_ctrl_c_at_any_moment_of_the_start_leaves_no_process(up: Up, moment: str) -> None:
    up.wait_for(moment)

    code = up.end(signal.SIGINT)

    assert code == 0, up.output()
    assert up.stack.processes() == []


@pytest.mark.slow
def test_a_second_ctrl_c_stops_at_once_and_still_in_order(up: Up) -> None:
    up.wait_for("pages are served at")
    up.process.send_signal(signal.SIGINT)
    time.sleep(0.3)

    asked_at = time.monotonic()
    code = up.end(signal.SIGINT)

    assert code == 0, up.output()
    assert time.monotonic() - asked_at < 15
    assert up.stack.processes() == []


def _answers(up: Up) -> bool:
    try:
        up.readiness()
    except OSError:
        return False
    return True
