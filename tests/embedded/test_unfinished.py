"""A task whose worker died is given back to its own queue, and only to that."""

from collections.abc import Iterator

import pytest

from crm.celery import app
from crm.embedded import unfinished


@pytest.fixture
def _real_queues() -> Iterator[None]:
    # Not monkeypatch: Celery's settings cannot be deleted again, only set.
    app.conf.task_always_eager = False
    with app.connection_for_write() as connection:
        connection.default_channel.client.flushdb()
        yield
        connection.default_channel.client.flushdb()
    app.conf.task_always_eager = True


@pytest.mark.usefixtures("_real_queues")
def test_tasks_of_a_dead_worker_return_to_the_front_of_their_queue() -> None:
    with app.connection_for_write() as connection:
        for queue, task_id in (("bulk", "first"), ("bulk", "second"), ("live", "other")):
            app.send_task("crm.core.tasks.beat_tick", task_id=task_id, queue=queue, connection=connection)
    # Taken and never acknowledged: a process killed at work leaves its messages just so.
    taken = app.connection_for_read()
    channel = taken.channel()
    for queue in ("bulk", "live"):
        channel.basic_get(queue, no_ack=False)
    channel.qos._delivered.clear()

    assert unfinished.hand_back("bulk") == 1
    assert unfinished.hand_back("bulk") == 0

    with app.connection_for_read() as reader:
        client = reader.default_channel.client
        assert client.llen("bulk") == 2
        assert client.llen("live") == 0
        first = reader.default_channel.basic_get("bulk", no_ack=True)
        assert first.headers["id"] == "first"
    taken.release()
