"""A data folder with its own PostgreSQL and Redis, for tests that kill or restart them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from crm import embedded
from tests.servers import PROJECT_DIR

# Long enough for a machine that is busy with the other test workers.
PATIENCE_SECONDS = 60.0
# What the test run sets for its own servers; a stack of its own must not hear of them.
_OF_THE_TEST_RUN = ("DATABASE_URL", "REDIS_URL", "PERENNIAL_DATA_DIR", "PERENNIAL_TEST_DIR", "DJANGO_SETTINGS_MODULE", "PORT")

# Leaves a mark that training was tried, so that `up` does not spend the test's time on it.
TRAINED = """
from django.utils import timezone
from crm.core.learning import registry
from crm.core.models import ModelVersion
now = timezone.now()
for task in registry.tasks():
    ModelVersion.objects.create(task=task.name, version=1, state="failed", data_hash="", as_of=now, trained_at=now)
"""


class OwnStack:
    """A folder below the test's temporary one. Nothing runs until something is asked of it."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "var"
        self.environment = {key: value for key, value in os.environ.items() if key not in _OF_THE_TEST_RUN} | {
            "PERENNIAL_DATA_DIR": str(self.data_dir),
            "PYTHONUNBUFFERED": "1",
        }

    def start_services(self) -> None:
        """Start both services, or again after the test has stopped them."""
        embedded.ensure_database_url(self.data_dir, volatile=True)
        embedded.ensure_redis_url(self.data_dir, volatile=True)

    def manage(self, *arguments: str) -> str:
        """Run a management command and return what it printed; fails the test when it fails."""
        done = subprocess.run([sys.executable, "manage.py", *arguments], cwd=PROJECT_DIR, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def prepare(self) -> None:
        """Migrate, and mark the models as tried."""
        self.start_services()
        self.manage("migrate", "--verbosity=0", "--skip-checks")
        self.manage("shell", "--no-imports", "-c", TRAINED)

    def close(self) -> None:
        embedded.stop_all(self.data_dir)

    def processes(self) -> list[psutil.Process]:
        """Return every process that was started with this data folder in its environment or command line."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.pid != os.getpid() and (
                    process.environ().get("PERENNIAL_DATA_DIR") == str(self.data_dir) or str(self.data_dir) in " ".join(process.cmdline())
                ):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return found


def eventually(condition: Callable[[], object], what: str, *, seconds: float = PATIENCE_SECONDS) -> None:
    """Return once the condition holds; fails the test when it does not come true in time."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"did not come true in {seconds:.0f} s: {what}"
        time.sleep(0.05)
