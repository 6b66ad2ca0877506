"""Bodies end at their door's limit, whether their length was declared or not, and whoever sends them."""

import asyncio
import json
import socket

import pytest

from crm.core.bodies import BodyLimit
from tests.servers import RunningServer


def answer_to(path: str, pieces: list[bytes], declared: int | None = None) -> tuple[int, dict[bytes, bytes], bytes, int]:
    """Send the pieces to an application that reads them all; return status, headers, body, and how many pieces were taken."""
    waiting, sent = list(pieces), []

    async def application(_scope, receive, send):
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"read"})

    async def receive():
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    async def send(message):
        sent.append(message)

    headers = [] if declared is None else [(b"content-length", str(declared).encode())]
    limited = BodyLimit(application, doors=[("/v1/", 100)], otherwise=1_000)
    asyncio.run(limited({"type": "http", "path": path, "headers": headers}, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"], len(pieces) - len(waiting)


def test_a_body_within_the_limit_reaches_the_application() -> None:
    assert answer_to("/v1/batch", [b"x" * 60, b"x" * 40], 100)[0] == 200
    assert answer_to("/login/", [b"x" * 1_000])[0] == 200


def test_a_declared_length_far_above_the_limit_is_refused_before_anything_is_read() -> None:
    status, headers, body, taken = answer_to("/v1/batch", [b"x" * 101], 100_000_000)

    assert (status, taken, headers[b"connection"]) == (413, 0, b"close")
    assert json.loads(body)["code"] == "batch_too_large"
    assert json.loads(body)["message"]


def test_a_body_a_little_too_large_is_read_to_its_end_so_that_the_sender_sees_the_answer() -> None:
    assert answer_to("/v1/batch", [b"x" * 101, b"x" * 50], 151)[::3] == (413, 2)
    assert answer_to("/v1/batch", [b"x" * 101, b"x" * 50])[::3] == (413, 2)


def test_an_endless_body_is_cut() -> None:
    status, _headers, body, taken = answer_to("/api/v1/segments", [b"x" * 1_000_000] * 50)

    assert (status, taken) == (413, 18)
    assert json.loads(body)["code"] == "body_too_large"
    assert answer_to("/login/", [b"x" * 400] * 50)[1][b"content-type"].startswith(b"text/plain")


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_running_server_takes_no_more_than_a_few_megabytes_from_a_stranger(running_server: RunningServer) -> None:
    piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    taken = 0
    with socket.create_connection(("127.0.0.1", running_server.port), timeout=30) as stranger:
        stranger.sendall(b"POST /v1/batch HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while taken < 64_000_000:
                stranger.sendall(piece)
                taken += 65_536
        except OSError:
            pass

    # What both kernels hold on the way is on top of the limit.
    assert taken < 32_000_000
