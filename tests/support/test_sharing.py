"""Limits hold over several web processes, and each counts alone while Redis is away."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.conf import settings
from redis import asyncio as redis

from support import limits, sharing

pytestmark = [pytest.mark.asyncio, pytest.mark.django_db]


class Process:
    """What one web process keeps; 1 a second, so 15 at once."""

    def __init__(self) -> None:
        self.sends, self.sockets = limits.Buckets(per_second=1), limits.OpenSockets()
        self.sharing = sharing.Sharing(buckets={"sends": self.sends}, sockets=self.sockets)

    def passed(self, name: str, count: int) -> int:
        return sum(self.sends.take(name) for _ in range(count))


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


@pytest.fixture
async def client() -> AsyncIterator[Any]:
    made = redis.from_url(settings.REDIS_URL)
    yield made
    await made.aclose()


async def test_what_passed_in_one_process_is_gone_in_the_others(client: Any, name: str) -> None:
    one, two, three = Process(), Process(), Process()
    assert one.passed(name, 10) == 10
    assert two.passed(name, 1) == 1
    await one.sharing.exchange(client, now=30.0)
    await two.sharing.exchange(client, now=30.0)

    assert two.passed(name, 20) in {4, 5}

    # A process that has not heard of the name yet lets through what it asks for once, and knows everything then.
    assert three.passed(name, 1) == 1
    await two.sharing.exchange(client, now=31.0)
    await three.sharing.exchange(client, now=31.0)
    assert three.passed(name, 20) == 0


async def test_nobody_is_drained_twice_and_other_names_not_at_all(client: Any, name: str) -> None:
    one, two = Process(), Process()
    one.passed(name, 5)
    two.passed(name, 1)
    two.passed(f"other-{name}", 1)
    for _ in range(3):
        await one.sharing.exchange(client, now=30.0)
        await two.sharing.exchange(client, now=30.0)

    assert two.passed(name, 20) in {9, 10}
    assert two.passed(f"other-{name}", 20) in {14, 15}


async def test_an_old_window_is_forgotten(client: Any, name: str) -> None:
    one, two = Process(), Process()
    one.passed(name, 15)
    await one.sharing.exchange(client, now=30.0)
    two.passed(name, 1)

    await two.sharing.exchange(client, now=30.0 + limits.BURST_SECONDS)

    assert two.passed(name, 20) in {14, 15}


async def test_sockets_of_an_address_are_counted_together_and_a_dead_process_is_forgotten(client: Any, name: str) -> None:
    one, two = Process(), Process()
    for process in (one, two):
        assert all(process.sockets.enter(name, most=20) for _ in range(8))
    await one.sharing.exchange_sockets(client, now=100.0)
    await two.sharing.exchange_sockets(client, now=101.0)

    assert [two.sockets.enter(name, most=20) for _ in range(5)] == [True, True, True, True, False]

    await two.sharing.exchange_sockets(client, now=102.0 + sharing.STALE_SECONDS)
    assert two.sockets.enter(name, most=20)


async def test_while_redis_is_away_each_process_counts_for_itself(name: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(sharing, "EVERY_SECONDS", 0.01)
    process = Process()
    process.sockets.elsewhere = {name: 20}
    process.sharing.serve_from(asyncio.get_running_loop())
    await asyncio.sleep(0.3)

    assert process.passed(name, 20) == 15
    assert process.sockets.enter(name, most=20)
    assert process.sharing._task is not None
    assert not process.sharing._task.done()
