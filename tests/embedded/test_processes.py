"""The supervisor: passes output on, restarts with growing pauses, ends everything it started."""

import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from crm.embedded import processes
from crm.embedded.processes import Program, Supervisor
from tests.stack import eventually


class Said(list[tuple[str, str]]):
    def __call__(self, name: str, line: str) -> None:
        self.append((name, line))


def program(body: str, *, name: str = "child", grace_seconds: float = 5.0) -> Program:
    return Program(name, (sys.executable, "-u", "-c", textwrap.dedent(body)), {"PYTHONUTF8": "1"}, grace_seconds=grace_seconds)


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def supervisor(said: Said, tmp_path: Path) -> Supervisor:
    return Supervisor(say=said, directory=tmp_path)


def turn_until(supervisor: Supervisor, said: Said, line: str) -> None:
    def seen() -> bool:
        supervisor.turn(0.05)
        return any(line in text for _name, text in said)

    eventually(seen, line)


def test_a_step_returns_its_exit_code_and_its_output_with_its_name(supervisor: Supervisor, said: Said) -> None:
    code = supervisor.run(program("import sys; print('one'); print('two', file=sys.stderr); print('三', end=''); sys.exit(3)"), interrupted=lambda: False)

    assert code == 3
    assert said == [("child", "one"), ("child", "two"), ("child", "三")]


def test_an_interrupted_step_is_ended(supervisor: Supervisor, said: Said) -> None:
    calls = iter([False, False, True])

    code = supervisor.run(program("import time; print('begun'); time.sleep(60)"), interrupted=lambda: next(calls, True))

    assert code is None


def test_a_line_that_never_ends_is_passed_on_in_pieces(supervisor: Supervisor, said: Said) -> None:
    supervisor.run(program("print('x' * 100_000)"), interrupted=lambda: False)

    assert "".join(text for _name, text in said) == "x" * 100_000
    assert len(said) > 1


def test_a_child_that_ends_is_named_and_started_again_after_a_growing_pause(supervisor: Supervisor, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "FIRST_PAUSE_SECONDS", 0.1)
    supervisor.start(program("import sys; sys.exit(7)"))
    turn_until(supervisor, said, "starting it again in 2.0 s")

    supervisor.stop(["child"], hurry=lambda: False)

    assert [text for _name, text in said][:3] == [
        "ended with exit code 7; starting it again in 0.5 s",
        "ended with exit code 7; starting it again in 1.0 s",
        "ended with exit code 7; starting it again in 2.0 s",
    ]


def test_what_a_dead_child_leaves_running_is_ended_before_its_successor_starts(supervisor: Supervisor, said: Said) -> None:
    supervisor.start(
        program(
            """
            import subprocess, sys
            left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
            print(f"left {left.pid}")
            """
        )
    )
    turn_until(supervisor, said, "starting it again")
    left = int(next(text for _name, text in said if text.startswith("left ")).split()[1])

    eventually(lambda: not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE, "the grandchild is gone")
    supervisor.stop(["child"], hurry=lambda: False)


def test_stop_waits_for_the_orderly_end(supervisor: Supervisor, said: Said) -> None:
    supervisor.start(
        program(
            """
            import signal, sys, time
            def end(*_):
                time.sleep(0.3)
                print("tidied up")
                sys.exit(0)
            signal.signal(signal.SIGTERM, end)
            print("ready")
            time.sleep(60)
            """
        )
    )
    turn_until(supervisor, said, "ready")

    supervisor.stop(["child"], hurry=lambda: False)

    assert said[-1] == ("child", "tidied up")


@pytest.mark.parametrize("hurry", [False, True])
def test_a_child_that_ignores_the_request_is_killed(supervisor: Supervisor, said: Said, hurry: bool) -> None:
    supervisor.start(program("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready'); time.sleep(60)", grace_seconds=0.5))
    turn_until(supervisor, said, "ready")
    pid = supervisor.pid("child")
    asked_at = time.monotonic()

    supervisor.stop(["child"], hurry=lambda: hurry)

    assert pid is not None
    assert not psutil.pid_exists(pid)
    # Killed at once in a hurry, after its grace otherwise.
    assert (time.monotonic() - asked_at > 0.5) is not hurry
