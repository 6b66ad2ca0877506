"""Gives a pytest run its own PostgreSQL and Redis; named in pyproject's addopts as `-p crm.embedded.pytest_plugin`.

A `-p` plugin because Django's settings are read before any conftest is: the addresses must be in the environment by
the time this module has been imported. Each xdist worker gets its own database (pytest-django adds its name), its own
Redis database number and its own data folder, so models, mails and uploads of two workers never meet.

DATABASE_URL and REDIS_URL in the environment point the run at other servers. A second run beside the first gets the
next free folder: `<data>/test`, `<data>/test-2`, ...
"""

import os
import shutil
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from crm import embedded
from crm.embedded import catalogues, lease, postgres, redis

# Of this run, for the controller's workers to inherit.
FOLDER_VARIABLE = "PERENNIAL_TEST_DIR"
PROJECT_DIR = embedded.PROJECT_DIR
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")


def _claim_folder() -> Path:
    """Return this run's folder; the controller takes the first one that no other run holds."""
    inherited = os.environ.get(FOLDER_VARIABLE)
    if inherited:
        return Path(inherited)
    base = Path(os.environ.get("PERENNIAL_DATA_DIR") or PROJECT_DIR / "var").expanduser().resolve()
    for number in range(1, 100):
        folder = base / ("test" if number == 1 else f"test-{number}")
        claim = lease.try_exclusive(folder, "pytest")
        if claim is not None:
            # Kept open, and so locked, until the process ends; children must not keep it.
            os.environ[FOLDER_VARIABLE] = str(folder)
            return folder
    raise pytest.UsageError(f"All test folders below {base} are in use; end the other runs.")


def _redis_number() -> int:
    return 2 + int(WORKER.removeprefix("gw")) if WORKER else 1


FOLDER = _claim_folder()
_given_database, _given_redis = os.environ.get("DATABASE_URL"), os.environ.get("REDIS_URL")
OWN_POSTGRES = not _given_database or _given_database == postgres.url(FOLDER)
OWN_REDIS = not _given_redis or _given_redis.startswith(redis.url(FOLDER).partition("?")[0])

if OWN_POSTGRES:
    os.environ["DATABASE_URL"] = postgres.url(FOLDER)
if OWN_REDIS:
    os.environ["REDIS_URL"] = redis.url(FOLDER, database=_redis_number())
elif _given_redis and not _given_redis.startswith("unix:"):
    os.environ["REDIS_URL"] = urlunsplit(urlsplit(_given_redis)._replace(path=f"/{_redis_number()}"))
WORKER_FOLDER = FOLDER / (WORKER or "main")
shutil.rmtree(WORKER_FOLDER, ignore_errors=True)
os.environ["PERENNIAL_DATA_DIR"] = str(WORKER_FOLDER)
# Not setdefault: importing the package `crm` above has already set the everyday settings.
os.environ["DJANGO_SETTINGS_MODULE"] = "crm.settings.testing"
# Test machines have few cores and several workers: one thread each is quicker than all fighting for all cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def pytest_configure(config: pytest.Config) -> None:
    if config.option.help or config.option.version or config.option.collectonly:
        return
    catalogues.compile_all()
    try:
        if OWN_POSTGRES:
            embedded.ensure_database_url(FOLDER, volatile=True)
        if OWN_REDIS:
            embedded.ensure_redis_url(FOLDER, volatile=True)
    except embedded.EmbeddedError as error:
        raise pytest.UsageError(str(error)) from error
    import redis as redis_client

    with redis_client.Redis.from_url(os.environ["REDIS_URL"]) as client:
        client.flushdb()
