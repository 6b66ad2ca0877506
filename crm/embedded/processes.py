"""Child processes under supervision: prefixed output, restart with growing pauses, an orderly end.

One thread and one `select` loop: no reader threads, so it is safe to run Python between fork and exec, which is how a
child asks the kernel for a signal in case this process is killed.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from crm.embedded.accounts import die_with_parent
from crm.embedded.keeper import describe

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
# A child that ran this long had started well; its next fall begins with the short pause again.
SETTLED_SECONDS = 60.0
LONGEST_LINE_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. name: prefix of its output lines.

    grace_seconds: from SIGTERM to `harder`.  harder: the signal between SIGTERM and SIGKILL, where the program knows one.
    orphaned: what it gets when its supervisor is killed.  niceness: added to the process priority, 0-19, higher is
    politer.  before: called before each start, in the supervisor.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    grace_seconds: float = 8.0
    harder: signal.Signals = signal.SIGKILL
    orphaned: signal.Signals = signal.SIGTERM
    niceness: int = 0
    before: Callable[[], None] | None = None


@dataclass(slots=True)
class Child:
    """A program and its present process, if any."""

    program: Program
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    pause: float = FIRST_PAUSE_SECONDS
    start_again_at: float = 0.0
    unfinished: bytes = b""
    groups: set[int] = field(default_factory=set)


class Supervisor:
    """Runs children. Call `turn` over and over; nothing happens between the calls."""

    def __init__(self, *, say: Callable[[str, str], None], directory: Path, inherit: Callable[[], Iterable[int]] = tuple) -> None:
        """say(name, line): prints.  directory: the children's working directory.  inherit: descriptors they keep open."""
        self._say = say
        self._directory = directory
        self._inherit = inherit
        self._selector = selectors.DefaultSelector()
        self._children: dict[str, Child] = {}

    def start(self, program: Program) -> None:
        """Start a program that shall run until `stop`."""
        child = Child(program)
        self._children[program.name] = child
        self._spawn(child)

    def run(self, program: Program, *, interrupted: Callable[[], bool]) -> int | None:
        """Run a program to its end and return its exit code; when `interrupted` turns true, end it and return None."""
        child = Child(program)
        process = self._spawn(child)
        while process.poll() is None:
            if interrupted():
                self._end([child], hurry=lambda: False)
                return None
            self._read(0.1)
        self._drain(child)
        return process.returncode

    def turn(self, seconds: float = 0.25) -> None:
        """Pass on output for up to `seconds`, then look after every child once."""
        self._read(seconds)
        now = time.monotonic()
        for child in self._children.values():
            if child.process is None:
                if now >= child.start_again_at:
                    self._spawn(child)
            elif child.process.poll() is not None:
                self._on_end(child, child.process.returncode, now)

    def pid(self, name: str) -> int | None:
        """Return the process id of the named program, None while it is between two lives."""
        process = self._children[name].process
        return process.pid if process is not None and process.poll() is None else None

    def stop(self, names: Iterable[str], *, hurry: Callable[[], bool]) -> None:
        """End the named programs together and return when no process of theirs is left.

        Each gets SIGTERM, after its grace `harder`, then SIGKILL; once `hurry` turns true, SIGKILL at once.
        """
        children = [self._children.pop(name) for name in names if name in self._children]
        self._end(children, hurry=hurry)

    def _spawn(self, child: Child) -> subprocess.Popen[bytes]:
        program = child.program
        if program.before is not None:
            program.before()
        parent = os.getpid()

        def prepare() -> None:
            die_with_parent(parent, program.orphaned)
            # A fresh start for the child: ours are handled by the command that runs the supervisor.
            signal.pthread_sigmask(signal.SIG_SETMASK, set())
            if program.niceness:
                os.nice(program.niceness)

        process = subprocess.Popen(  # noqa: S603 - our own programs, no shell
            program.command,
            cwd=self._directory,
            env=dict(program.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            pass_fds=tuple(self._inherit()),
            # A group of its own: Ctrl-C reaches only us, and we can end its children with it.
            start_new_session=True,
            preexec_fn=prepare,
        )
        child.process = process
        child.started_at = time.monotonic()
        child.unfinished = b""
        child.groups.add(process.pid)
        if process.stdout is not None:
            os.set_blocking(process.stdout.fileno(), False)
            self._selector.register(process.stdout, selectors.EVENT_READ, child)
        return process

    def _on_end(self, child: Child, code: int, now: float) -> None:
        self._drain(child)
        # Its own children (a worker's pool) must not live on beside the new one.
        _signal_groups([child], signal.SIGKILL)
        child.groups.clear()
        if now - child.started_at > SETTLED_SECONDS:
            child.pause = FIRST_PAUSE_SECONDS
        self._say(child.program.name, f"ended with {describe(code)}; starting it again in {child.pause:.1f} s")
        child.process = None
        child.start_again_at = now + child.pause
        child.pause = min(child.pause * 2, LONGEST_PAUSE_SECONDS)

    def _end(self, children: list[Child], *, hurry: Callable[[], bool]) -> None:
        alive = [child for child in children if child.process is not None]
        started = time.monotonic()
        for child in alive:
            _signal(child, signal.SIGTERM)
        pressed: set[str] = set()
        while any(child.process.poll() is None for child in alive if child.process is not None):
            self._read(0.05)
            waited = time.monotonic() - started
            for child in alive:
                if child.process is None or child.process.poll() is not None:
                    continue
                if hurry() or waited > 2 * child.program.grace_seconds:
                    _signal_groups([child], signal.SIGKILL)
                elif waited > child.program.grace_seconds and child.program.name not in pressed:
                    pressed.add(child.program.name)
                    self._say(child.program.name, f"still busy after {child.program.grace_seconds:.0f} s; sending {child.program.harder.name}")
                    _signal(child, child.program.harder)
        _signal_groups(alive, signal.SIGKILL)
        for child in alive:
            self._drain(child)

    def _read(self, seconds: float) -> None:
        events = self._selector.select(seconds) if self._selector.get_map() else time.sleep(seconds) or []
        for key, _mask in events:
            self._take(key.data, key.fileobj)

    def _take(self, child: Child, stream: object) -> bool:
        """Pass on one piece of output; return False at its end."""
        try:
            piece = os.read(stream.fileno(), 65_536)  # type: ignore[attr-defined]
        except BlockingIOError:
            return False
        if not piece:
            self._print_rest(child)
            self._selector.unregister(stream)  # type: ignore[arg-type]
            stream.close()  # type: ignore[attr-defined]
            return False
        *lines, child.unfinished = (child.unfinished + piece).split(b"\n")
        if len(child.unfinished) > LONGEST_LINE_BYTES:
            lines.append(child.unfinished)
            child.unfinished = b""
        for line in lines:
            self._print(child, line)
        return True

    def _drain(self, child: Child) -> None:
        """Pass on what the ended process left in its pipe, and close it even if a grandchild still holds it."""
        stream = child.process.stdout if child.process is not None else None
        if stream is None or stream.closed:
            return
        while self._take(child, stream):
            pass
        if not stream.closed:
            self._print_rest(child)
            self._selector.unregister(stream)
            stream.close()

    def _print_rest(self, child: Child) -> None:
        """Print what came without a line end: nothing more will."""
        self._print(child, child.unfinished)
        child.unfinished = b""

    def _print(self, child: Child, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        if text:
            self._say(child.program.name, text)


def _signal(child: Child, number: signal.Signals) -> None:
    if child.process is not None and child.process.poll() is None:
        child.process.send_signal(number)


def _signal_groups(children: Iterable[Child], number: signal.Signals) -> None:
    """Send a signal to everything left in the children's process groups."""
    for child in children:
        for group in child.groups:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, number)
