"""The embedded PostgreSQL and Redis: shared by whoever needs them, gone with the last one, restarted when they fall."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import psycopg
import pytest
import redis as redis_client

from crm import embedded
from crm.embedded import lease, places, postgres, redis
from tests.servers import PROJECT_DIR
from tests.stack import eventually


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "var"
    yield folder
    embedded.stop_all(folder)


def processes_of(data_dir: Path) -> list[psutil.Process]:
    """Return every process whose command line names the folder: keepers, servers and their children."""
    return [process for process in psutil.process_iter(["cmdline"]) if str(data_dir) in " ".join(process.info["cmdline"] or [])]


def server_pid(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def ask(url: str, sql: str) -> object:
    """Return the first value of the answer, None when the statement gives no rows."""
    with psycopg.connect(url, connect_timeout=5, autocommit=True) as connection:
        cursor = connection.execute(sql)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def a_user(data_dir: Path, body: str = "time.sleep(60)") -> subprocess.Popen[str]:
    """Start another program that uses both services; it prints a line once it has them."""
    script = textwrap.dedent(
        f"""
        import pathlib, time
        from crm import embedded
        embedded.ensure_database_url(pathlib.Path({str(data_dir)!r}), volatile=True)
        embedded.ensure_redis_url(pathlib.Path({str(data_dir)!r}), volatile=True)
        print("has them", flush=True)
        {body}
        """
    )
    return subprocess.Popen([sys.executable, "-c", script], cwd=PROJECT_DIR, stdout=subprocess.PIPE, text=True)


def test_first_start_creates_the_database_with_the_vector_extension_at_hand(data_dir: Path) -> None:
    url = embedded.ensure_database_url(data_dir, volatile=True)

    assert url == postgres.url(data_dir)
    assert str(ask(url, "SHOW server_version")).startswith("18.")
    assert ask(url, "SELECT current_database()") == "perennial"
    assert ask(url, "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'") == 1
    # Code-point order, the same on every machine whatever its locale.
    assert ask(url, "SELECT string_agg(v, '' ORDER BY v) FROM (VALUES ('b'), ('é'), ('A'), ('茶')) AS t(v)") == "Abé茶"


def test_redis_refuses_rather_than_forgets(data_dir: Path) -> None:
    with redis_client.Redis.from_url(embedded.ensure_redis_url(data_dir)) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("appendfsync") == {"appendfsync": "everysec"}


def test_a_second_call_joins_the_running_server(data_dir: Path) -> None:
    embedded.ensure_database_url(data_dir, volatile=True)
    first = server_pid(data_dir)

    embedded.ensure_database_url(data_dir, volatile=True)

    assert server_pid(data_dir) == first


def test_rows_and_queued_work_survive_an_orderly_stop(data_dir: Path) -> None:
    url = embedded.ensure_database_url(data_dir)
    ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    with redis_client.Redis.from_url(embedded.ensure_redis_url(data_dir)) as client:
        client.lpush("queue", "work")

    embedded.stop_all(data_dir)
    assert processes_of(data_dir) == []
    assert not (data_dir / "postgres" / "postmaster.pid").exists()

    assert ask(embedded.ensure_database_url(data_dir), "SELECT answer FROM kept") == 42
    with redis_client.Redis.from_url(embedded.ensure_redis_url(data_dir)) as client:
        assert client.lrange("queue", 0, -1) == [b"work"]


def test_programs_starting_at_once_share_one_server(data_dir: Path) -> None:
    users = [a_user(data_dir) for _ in range(4)]
    try:
        assert [user.stdout.readline() for user in users if user.stdout] == ["has them\n"] * 4

        keepers = [process for process in processes_of(data_dir) if "crm.embedded.keeper" in " ".join(process.cmdline())]
        assert sorted(process.cmdline()[3] for process in keepers) == ["postgres", "redis"]
    finally:
        for user in users:
            user.kill()
            user.communicate()


def test_the_last_user_takes_the_services_along_even_when_killed(data_dir: Path) -> None:
    first, second = a_user(data_dir), a_user(data_dir)
    for user in (first, second):
        assert user.stdout is not None
        assert user.stdout.readline() == "has them\n"

    first.kill()
    first.communicate()
    time.sleep(1)
    assert postgres.service(data_dir).ready(), "one user is left, so the server must be"

    second.kill()
    second.communicate()
    eventually(lambda: processes_of(data_dir) == [], "all processes gone")
    assert not (data_dir / "postgres" / "postmaster.pid").exists()


def test_two_copies_run_side_by_side(data_dir: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    try:
        here, there = embedded.ensure_database_url(data_dir, volatile=True), embedded.ensure_database_url(other, volatile=True)
        ask(here, "CREATE TABLE mine AS SELECT 1")

        assert ask(there, "SELECT to_regclass('mine')") is None
    finally:
        embedded.stop_all(other)


def test_a_folder_too_deep_for_a_socket_gets_a_short_private_one(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    socket_folder = places.socket_dir(postgres.home(deep), postgres.SOCKET_NAME)
    try:
        assert ask(embedded.ensure_database_url(deep, volatile=True), "SELECT 1") == 1

        assert len(str(socket_folder / postgres.SOCKET_NAME)) <= places.LONGEST_SOCKET_PATH_BYTES
        assert socket_folder.stat().st_mode & 0o077 == 0
    finally:
        embedded.stop_all(deep)
        socket_folder.rmdir()


def test_a_socket_folder_laid_out_by_somebody_else_is_refused(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    trap = tmp_path / "trap"
    trap.symlink_to(real)

    with pytest.raises(embedded.EmbeddedError, match="is a link"):
        places.make_private(trap, uid=os.geteuid(), gid=os.getegid())


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_a_server_that_is_killed_comes_back(data_dir: Path, name: str) -> None:
    start = embedded.ensure_database_url if name == "postgres" else embedded.ensure_redis_url
    service = (postgres if name == "postgres" else redis).service(data_dir)
    start(data_dir)
    keeper = embedded.keeper_pid(data_dir, name)
    assert keeper is not None
    (server,) = psutil.Process(keeper).children()

    server.kill()

    eventually(lambda: not server.is_running() and service.ready(), f"{name} is back")
    assert embedded.keeper_pid(data_dir, name) == keeper
    assert f"{name} ended with signal SIGKILL" in places.log_path(data_dir, name).read_text()


def test_a_killed_keeper_takes_its_server_along_and_ensure_starts_both_again(data_dir: Path) -> None:
    embedded.ensure_database_url(data_dir, volatile=True)
    keeper = embedded.keeper_pid(data_dir, "postgres")
    assert keeper is not None
    old = server_pid(data_dir)

    os.kill(keeper, signal.SIGKILL)
    eventually(lambda: not psutil.pid_exists(old), "the server noticed")

    assert ask(embedded.ensure_database_url(data_dir, volatile=True), "SELECT 1") == 1
    assert server_pid(data_dir) != old


def test_an_interrupted_first_start_leaves_nothing_that_looks_finished(data_dir: Path) -> None:
    draft = data_dir / "postgres.draft"
    draft.mkdir(parents=True)
    (draft / "PG_VERSION").write_text("18\n")

    assert ask(embedded.ensure_database_url(data_dir, volatile=True), "SELECT 1") == 1
    assert not draft.exists()


def test_data_of_another_version_is_refused_in_one_line(data_dir: Path) -> None:
    (data_dir / "postgres").mkdir(parents=True)
    (data_dir / "postgres" / "PG_VERSION").write_text("15\n")

    with pytest.raises(embedded.EmbeddedError, match=r"written by PostgreSQL 15 and this is 18") as caught:
        embedded.ensure_database_url(data_dir)

    assert "\n" not in str(caught.value)
    assert not lease.is_held(data_dir, "postgres.keeper")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root switches to another user")
def test_root_runs_the_servers_as_somebody_else_without_touching_its_own_folders(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    data_dir = closed / "var"
    try:
        assert ask(embedded.ensure_database_url(data_dir, volatile=True), "SELECT 1") == 1

        server = psutil.Process(server_pid(data_dir))
        assert server.uids().effective != 0
        # CAP_DAC_OVERRIDE, bit 1, to pass through the closed folder, and nothing else.
        status = Path(f"/proc/{server.pid}/status").read_text()
        assert "CapEff:\t0000000000000002" in status
        assert closed.stat().st_mode & 0o777 == 0o700
    finally:
        embedded.stop_all(data_dir)


@pytest.mark.parametrize(
    ("memory", "free", "cache", "log"),
    [(1_024, 5_000, "256MB", "1024MB"), (24_576, 30_000, "1536MB", "3000MB"), (262_144, 900_000, "2048MB", "6144MB")],
)
def test_the_database_takes_its_share_of_the_machine_within_limits(memory, free, cache, log, tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    limit.write_text(f"{memory << 20}\n")
    monkeypatch.setattr(postgres, "CONTAINER_LIMITS", (tmp_path / "absent", limit))
    monkeypatch.setattr(postgres.os, "sysconf", lambda name: 1 << 40 if name == "SC_PHYS_PAGES" else 4_096)
    monkeypatch.setattr(postgres.shutil, "disk_usage", lambda _folder: SimpleNamespace(free=free << 20))

    assert postgres.sized(tmp_path / "not" / "made" / "yet") == {"shared_buffers": cache, "max_wal_size": log}


def test_a_container_without_a_limit_has_the_machine_s_memory(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    limit.write_text("max\n")
    monkeypatch.setattr(postgres, "CONTAINER_LIMITS", (limit,))
    monkeypatch.setattr(postgres.os, "sysconf", lambda name: 8 << 18 if name == "SC_PHYS_PAGES" else 4_096)

    assert postgres.sized(tmp_path)["shared_buffers"] == "512MB"
