"""Give a dead worker's unfinished tasks back to their queue at once.

Kombu does that too, but only after the visibility timeout, an hour here, because it cannot know whether the worker is
still at it. `up` does know: it runs one worker per queue, and calls this when that worker is not running.
"""

from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads

from crm.celery import app


def hand_back(queue: str) -> int:
    """Return the number of tasks put back. Call it only while no worker serves the queue on this Redis."""
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        with channel.conn_or_acquire() as client:
            given_back = 0
            for tag, stored in client.hgetall(channel.unacked_key).items():
                _message, _exchange, routing_key = loads(bytes_to_str(stored))
                if routing_key == queue:
                    # At the end that is read next, kombu's default: it has waited longest.
                    channel.qos.restore_by_tag(bytes_to_str(tag), client)
                    given_back += 1
    return given_back
