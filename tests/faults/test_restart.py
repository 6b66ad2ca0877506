"""PostgreSQL or Redis restarted while pages are served: quick honest refusals, recovery without a restart, nothing lost."""

import base64
import http.client
import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis as redis_client

from crm import embedded
from crm.embedded import postgres, redis
from tests.servers import RunningServer
from tests.stack import OwnStack, eventually

pytestmark = pytest.mark.slow

# A refusal must come well before a client's own timeout; the pool waits 3 s for a connection.
PROMPT_SECONDS = 6.0


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnStack]:
    own = OwnStack(tmp_path_factory.mktemp("restart"))
    own.prepare()
    yield own
    own.close()


@pytest.fixture(scope="module")
def write_key(stack: OwnStack) -> str:
    return stack.manage("create_source", "Restarted shop").strip().splitlines()[-1]


@pytest.fixture(scope="module")
def server(stack: OwnStack) -> Iterator[RunningServer]:
    running = RunningServer(environment=stack.environment)
    running.start()
    yield running
    running.close()


@pytest.fixture(autouse=True)
def _services_run_again(stack: OwnStack) -> Iterator[None]:
    stack.start_services()
    yield
    stack.start_services()


def ask(server: RunningServer, path: str, *, body: object = None, headers: dict[str, str] | None = None) -> tuple[int, http.client.HTTPMessage, bytes, float]:
    """Return status, headers, body and seconds of one request on a fresh connection."""
    started = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        payload = None if body is None else json.dumps(body)
        connection.request("GET" if body is None else "POST", path, payload, {"Content-Type": "application/json"} | (headers or {}))
        response = connection.getresponse()
        content = response.read()
        return response.status, response.headers, content, time.monotonic() - started
    finally:
        connection.close()


def track(server: RunningServer, write_key: str, message_id: str) -> int:
    """Send one event as an SDK would and return the status, 0 when there was no answer."""
    event = {"messageId": message_id, "userId": "u-1", "event": "Product Viewed", "properties": {"product_id": "P1"}}
    key = base64.b64encode(f"{write_key}:".encode()).decode()
    try:
        return ask(server, "/v1/track", body=event, headers={"Authorization": f"Basic {key}"})[0]
    except OSError:
        return 0


def server_pid(stack: OwnStack) -> int:
    """Return the process id of PostgreSQL, 0 while there is none that is ready."""
    try:
        lines = (stack.data_dir / "postgres" / "postmaster.pid").read_text().splitlines()
        return int(lines[0]) if lines[7].strip() == "ready" else 0
    except (OSError, IndexError, ValueError):
        return 0


def stop(stack: OwnStack, name: str) -> None:
    embedded.leave(stack.data_dir, name)
    assert not (postgres if name == "postgres" else redis).service(stack.data_dir).ready()


def test_while_the_database_is_away_people_get_a_page_and_programs_get_json(stack: OwnStack, server: RunningServer, write_key: str) -> None:
    assert track(server, write_key, str(uuid.uuid4())) == 200
    stop(stack, "postgres")

    page = ask(server, "/login/", headers={"Cookie": "sessionid=abcdefghijklmnopqrstuvwxyz012345", "Accept": "text/html"})
    api = ask(
        server, "/v1/track", body={"userId": "u", "event": "e"}, headers={"Authorization": f"Basic {base64.b64encode(f'{write_key}:'.encode()).decode()}"}
    )
    live, ready = ask(server, "/healthz"), ask(server, "/readyz")

    assert (page[0], api[0], live[0], ready[0]) == (503, 503, 200, 503), server.output()[-3000:]
    assert page[1]["Retry-After"] == api[1]["Retry-After"] == "5"
    assert "Back in a moment" in page[2].decode()
    assert "恢复" in page[2].decode()
    answer = json.loads(api[2])
    assert answer["code"] == "unavailable"
    assert answer["message"]
    assert json.loads(ready[2])["parts"]["database"]["status"] == "red"
    assert max(page[3], api[3], live[3]) < PROMPT_SECONDS

    stack.start_services()

    eventually(lambda: ask(server, "/readyz")[2].find(b'"database": {"status": "ok"') > 0, "the database is seen again", seconds=20)
    assert ask(server, "/login/")[0] == 200
    assert track(server, write_key, str(uuid.uuid4())) == 200


def test_no_acknowledged_event_is_lost_while_the_database_restarts(stack: OwnStack, server: RunningServer, write_key: str) -> None:
    acknowledged: list[str] = []
    refused: list[int] = []
    finished = threading.Event()

    def send() -> None:
        while not finished.is_set():
            message_id = str(uuid.uuid4())
            status = track(server, write_key, message_id)
            if status == 200:
                acknowledged.append(message_id)
            else:
                refused.append(status)
                time.sleep(0.2)

    senders = [threading.Thread(target=send) for _ in range(3)]
    for sender in senders:
        sender.start()
    try:
        eventually(lambda: len(acknowledged) > 20, "events flow")
        # What a crash looks like: no farewell, and the keeper starts it again.
        crashed = server_pid(stack)
        os.kill(crashed, signal.SIGKILL)
        # Not "until one was refused": the pool may bridge a quick restart without anyone noticing.
        eventually(lambda: server_pid(stack) not in {0, crashed}, "another server runs")
        before = len(acknowledged)
        eventually(lambda: len(acknowledged) > before + 20, "events flow again")
    finally:
        finished.set()
        for sender in senders:
            sender.join()

    with psycopg.connect(postgres.url(stack.data_dir)) as connection:
        rows = connection.execute("SELECT message_id FROM customers_activity WHERE message_id = ANY(%s)", [acknowledged]).fetchall()
    stored = [row[0] for row in rows]
    assert sorted(map(str, stored)) == sorted(acknowledged)
    assert set(refused) <= {0, 503}, f"only honest refusals: {sorted(set(refused))}\n{server.output()[-3000:]}"


def test_while_redis_is_away_facts_are_still_taken_and_it_recovers(stack: OwnStack, server: RunningServer, write_key: str) -> None:
    stop(stack, "redis")

    ready = ask(server, "/readyz")
    message_id = str(uuid.uuid4())
    status = track(server, write_key, message_id)

    parts = json.loads(ready[2])["parts"]
    assert ready[0] == 503
    assert parts["database"]["status"] == "ok"
    assert parts["redis"]["status"] == "red"
    # Either is honest: stored and acknowledged, or refused for a repeat. A 500 is not.
    assert status in {200, 503}, server.output()[-3000:]

    stack.start_services()

    eventually(lambda: json.loads(ask(server, "/readyz")[2])["parts"]["redis"]["status"] == "ok", "redis is seen again", seconds=20)
    assert track(server, write_key, message_id) == 200
    with psycopg.connect(postgres.url(stack.data_dir)) as connection:
        row = connection.execute("SELECT count(*) FROM customers_activity WHERE message_id = %s", [message_id]).fetchone()
    assert row == (1,)


def test_queued_work_survives_the_death_of_redis(tmp_path: Path) -> None:
    own = OwnStack(tmp_path)
    try:
        embedded.ensure_redis_url(own.data_dir)
        with redis_client.Redis.from_url(redis.url(own.data_dir)) as client:
            client.rpush("queue", "task")
        time.sleep(1.5)  # "everysec": what was acknowledged longer ago is on the disk
        keeper = embedded.keeper_pid(own.data_dir, "redis")
        assert keeper is not None
        (server,) = psutil.Process(keeper).children()

        server.kill()

        eventually(lambda: not server.is_running() and redis.service(own.data_dir).ready(), "redis is back")
        with redis_client.Redis.from_url(redis.url(own.data_dir)) as client:
            assert client.lrange("queue", 0, -1) == [b"task"]
    finally:
        own.close()
