"""What `up` prints: one line per event, prefixed with the part it comes from, in colour on a terminal."""

import os
import sys
import time
from pathlib import Path
from typing import TextIO

# Bright enough on dark and on light terminals.
_COLOURS = ("36", "35", "33", "32", "34", "31")
WIDTH = 9


class Console:
    """Prints prefixed lines. Never fails: a closed terminal must not keep the stack from ending in order."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._colour = self._stream.isatty() and "NO_COLOR" not in os.environ
        self._numbers: dict[str, int] = {}
        self._started = time.monotonic()

    def say(self, name: str, line: str) -> None:
        number = self._numbers.setdefault(name, len(self._numbers))
        prefix = f"{name:<{WIDTH}}|"
        if self._colour:
            prefix = f"\x1b[{_COLOURS[number % len(_COLOURS)]}m{prefix}\x1b[0m"
        self._write(f"{prefix} {line}\n")

    def up(self, line: str) -> None:
        """Print a line of our own, with the seconds since the start."""
        self.say("up", f"{line} ({time.monotonic() - self._started:.1f} s)")

    def plain(self, text: str) -> None:
        self._write(f"{text}\n")

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for the rest of the process' life


class KeeperLog:
    """Follows a service's log and returns what its keeper has said since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = path.stat().st_size if path.exists() else 0

    def news(self) -> list[str]:
        try:
            if self._path.stat().st_size < self._position:
                self._position = 0  # set aside by a new keeper because it had grown large
            with self._path.open("rb") as stream:
                stream.seek(self._position)
                whole, _, _ = stream.read().rpartition(b"\n")
        except OSError:
            return []
        if not whole:
            return []
        self._position += len(whole) + 1
        lines = whole.decode(errors="replace").splitlines()
        # "keeper: 2026-06-15 12:00:00 text"
        return [line.split(" ", 3)[3] for line in lines if line.startswith("keeper: ") and line.count(" ") >= 3]
