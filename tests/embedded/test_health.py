"""/healthz, /readyz and the signs of life behind them."""

import json
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
import redis as redis_client
from django.conf import settings
from django.db import OperationalError
from django.test import Client

from crm.core import clock, heartbeat
from crm.core.beat import LEASE_SECONDS, OWNER_KEY, Scheduler
from crm.core.learning import registry
from crm.core.models import ModelVersion

pytestmark = pytest.mark.django_db


@pytest.fixture
def redis() -> Iterator[redis_client.Redis]:
    with heartbeat.client() as connection:
        connection.flushdb()
        yield connection
        connection.flushdb()


@pytest.fixture
def everything_lives(redis: redis_client.Redis) -> None:
    now = clock.now()
    for queue in settings.CRM_QUEUES:
        redis.set(heartbeat.queue_key(queue), now.isoformat(), ex=60)
    redis.set(heartbeat.BEAT_KEY, now.isoformat(), ex=60)
    for task in registry.tasks():
        ModelVersion.objects.create(task=task.name, version=1, state="failed", data_hash="", as_of=now, trained_at=now)


def readiness(client: Client) -> tuple[int, dict[str, dict[str, Any]]]:
    response = client.get("/readyz")
    assert response["Cache-Control"] == "no-store"
    return response.status_code, json.loads(response.content)["parts"]


def test_liveness_asks_nobody(client: Client, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        response = client.get("/healthz")

    assert (response.status_code, json.loads(response.content)) == (200, {"status": "ok"})


@pytest.mark.usefixtures("everything_lives")
def test_ready_when_every_part_is_green(client: Client, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(4):
        status, parts = readiness(client)

    assert status == 200
    assert set(parts) == {"database", "redis", "beat", "models", *(f"queue:{queue}" for queue in settings.CRM_QUEUES)}
    assert {part["status"] for part in parts.values()} == {"ok"}
    assert parts["queue:live"]["seconds_ago"] < 30


@pytest.mark.usefixtures("everything_lives")
@pytest.mark.parametrize("part", ["queue:default", "queue:live", "queue:bulk", "queue:learning", "beat"])
def test_one_silent_process_makes_the_installation_not_ready(client: Client, redis: redis_client.Redis, part: str) -> None:
    redis.delete(heartbeat.BEAT_KEY if part == "beat" else heartbeat.queue_key(part.removeprefix("queue:")))

    status, parts = readiness(client)

    assert status == 503
    assert [name for name, value in parts.items() if value["status"] == "red"] == [part]
    assert parts[part]["reason"] == "no sign of life"


@pytest.mark.usefixtures("everything_lives")
def test_a_model_never_tried_is_red_and_named(client: Client) -> None:
    name = registry.tasks()[0].name
    ModelVersion.objects.filter(task=name).delete()

    status, parts = readiness(client)

    assert status == 503
    assert parts["models"]["untrained"] == [name]


@pytest.mark.usefixtures("everything_lives")
def test_a_serving_model_whose_files_are_gone_is_red_and_named(client: Client) -> None:
    name = registry.tasks()[0].name
    ModelVersion.objects.filter(task=name).update(state="champion", path=f"{name}/gone", files={"model.safetensors": "0" * 64})

    status, parts = readiness(client)

    assert status == 503
    assert parts["models"]["damaged"] == [name]


@pytest.mark.usefixtures("everything_lives")
def test_a_database_that_is_away_is_said_without_its_address(client: Client) -> None:
    with patch("crm.health.connection.cursor", side_effect=OperationalError("connection to db.internal:5432 failed")):
        response = client.get("/readyz")

    assert response.status_code == 503
    assert json.loads(response.content)["parts"]["database"] == {"status": "red", "reason": "OperationalError"}
    assert b"db.internal" not in response.content


def test_a_worker_writes_the_keys_of_its_queues_and_stops_with_it(redis: redis_client.Redis) -> None:
    calls: list[tuple[float, Any, tuple[Any, ...]]] = []
    cancelled: list[bool] = []
    timer = SimpleNamespace(
        call_repeatedly=lambda seconds, call, given: calls.append((seconds, call, given)) or SimpleNamespace(cancel=lambda: cancelled.append(True))
    )
    consumer = SimpleNamespace(app=SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(consume_from={"live": 1, "bulk": 1}))), timer=timer)
    step = heartbeat.WorkerHeartbeat(consumer)

    step.start(consumer)

    seen = heartbeat.last_seen(redis, [heartbeat.queue_key(queue) for queue in ("live", "bulk", "default")])
    assert [at is not None and clock.now() - at < timedelta(seconds=10) for at in seen.values()] == [True, True, False]
    assert 0 < redis.ttl(heartbeat.queue_key("live")) <= heartbeat.FRESH_SECONDS
    assert calls[0][0] * 2 < heartbeat.FRESH_SECONDS, "one late beat must not look like death"
    step.stop(consumer)
    assert cancelled == [True]


@pytest.fixture
def schedulers(redis: redis_client.Redis) -> Iterator[list[Scheduler]]:
    from crm.celery import app

    made = [Scheduler(app=app, lazy=True) for _ in range(2)]
    yield made
    for scheduler in made:
        scheduler._redis.close()


def test_of_two_beats_one_stands_by_until_the_other_ends(redis: redis_client.Redis, schedulers: list[Scheduler]) -> None:
    first, second = schedulers
    sent: list[str] = []
    with patch("django_celery_beat.schedulers.DatabaseScheduler.tick", autospec=True, side_effect=lambda self, *_a, **_k: sent.append(self._name) or 5.0):
        first.tick()
        second.tick()
        first.tick()
        assert sent == [first._name] * 2

        first.close()
        second.tick()

    assert sent[-1] == second._name
    assert redis.get(OWNER_KEY) == second._name
    assert 0 < redis.ttl(OWNER_KEY) <= LEASE_SECONDS
    assert heartbeat.last_seen(redis, [heartbeat.BEAT_KEY])[heartbeat.BEAT_KEY] is not None


def test_a_beat_without_redis_waits_instead_of_falling(schedulers: list[Scheduler]) -> None:
    scheduler = schedulers[0]
    with patch.object(scheduler._redis, "set", side_effect=redis_client.ConnectionError("refused")):
        assert scheduler.tick() > 0
