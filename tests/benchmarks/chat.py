"""Chat messages stored, numbered and delivered, against a bare group echo on the same channel layer and server.

Twenty visitors each keep one message under way. Ours: frame -> row with the next seq -> commit -> hint -> read -> frame.
The sockets are open before the clock starts; what opening one costs is a line of its own.
"""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import websockets
from websockets.asyncio.client import ClientConnection as Socket
from websockets.typing import Origin

from crm.core import clock
from crm.core.models import Source
from support import conversations, visitors
from tests.benchmarks.timing import line, paired
from tests.servers import free_port

VISITORS, EACH, OPENINGS = 20, 100, 5
# The limits per address and widget are out of the way: every visitor here comes from one address.
SETTINGS = {"CRM_DATABASE_POOL_SIZE": "16", "CRM_CHAT_ADDRESS_SOCKETS": "100000", "CRM_CHAT_ADDRESS_RATE": "10000", "CRM_CHAT_WIDGET_RATE": "10000"}


# Token and conversation.
Known = tuple[str, str]


def run() -> Iterator[str]:
    """Yield two lines."""
    port = free_port()
    source = Source.objects.create(name=f"bench {uuid.uuid4().hex[:8]}", write_key=uuid.uuid4().hex)
    known = [_waiting_visitor(source) for _ in range(VISITORS)]
    root = Path(__file__).resolve().parents[2]
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "tests.benchmarks.chat_app:application",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--log-level",
        "warning",
        "--lifespan",
        "off",
    ]
    server = subprocess.Popen(command, cwd=root, env={**os.environ, **SETTINGS})
    try:
        with asyncio.Runner() as runner:
            runner.run(_until_up(port))
            talking, echoing = runner.run(_opened(port, known))
            result = paired(
                ours=lambda number: runner.run(_all(_talk, talking, number)),
                bare=lambda number: runner.run(_all(_echo, echoing, number)),
                units=VISITORS * EACH,
            )
            yield line(f"chat, {VISITORS} visitors at once", result, unit="messages/s", target=">= 0.50")
            result = paired(
                ours=lambda _number: runner.run(_open_often(port, known, _visitor_socket)),
                bare=lambda _number: runner.run(_open_often(port, known, _bare_socket)),
                units=VISITORS * OPENINGS,
            )
            yield line(f"chat, {VISITORS} coming back at once", result, unit="sockets/s")
    finally:
        server.terminate()
        server.wait(15)


def _waiting_visitor(source: Source) -> Known:
    """Return token and conversation of a visitor who waits for a person, so that no assistant's answer is part of the measure."""
    visitor = visitors.enter(source=source, now=clock.now())
    conversation = conversations.open(source_id=source.pk, visitor_id=visitor.visitor_id, now=clock.now())
    conversations.hand_over(conversation_id=conversation.pk, reason="asked", now=clock.now())
    return visitors.issue(visitor), str(conversation.public_id)


async def _until_up(port: int) -> None:
    for _ in range(300):
        try:
            async with websockets.connect(f"ws://127.0.0.1:{port}/bare/probe"):
                return
        except OSError:
            await asyncio.sleep(0.1)
    raise RuntimeError("the benchmark's server did not start")


async def _opened(port: int, known: list[Known]) -> tuple[list[Socket], list[Socket]]:
    talking = [await _visitor_socket(port, who) for who in known]
    return talking, [await _bare_socket(port, who) for who in known]


async def _visitor_socket(port: int, who: Known) -> Socket:
    # A widget that comes back names its conversation and what it has, and is not sent the history again.
    token, conversation = who
    socket = await websockets.connect(f"ws://127.0.0.1:{port}/ws/visitor/", origin=Origin(f"http://127.0.0.1:{port}"), ping_interval=None)
    await socket.send(json.dumps({"type": "hello", "token": token, "conversation": conversation, "after": 1_000_000_000}))
    while json.loads(await socket.recv())["type"] != "messages":
        pass
    return socket


async def _bare_socket(port: int, who: Known) -> Socket:
    return await websockets.connect(f"ws://127.0.0.1:{port}/bare/{who[1]}", ping_interval=None)


async def _open_often(port: int, known: list[Known], open_one: Callable[[int, Known], Awaitable[Socket]]) -> None:
    async def often(who: Known) -> None:
        for _ in range(OPENINGS):
            await (await open_one(port, who)).close()

    await asyncio.gather(*map(often, known))


async def _all(one: Callable[[Socket, str], Awaitable[None]], sockets: list[Socket], number: int) -> None:
    await asyncio.gather(*(one(socket, f"{number}-{place}") for place, socket in enumerate(sockets)))


async def _echo(socket: Socket, name: str) -> None:
    for number in range(EACH):
        text = f"message {number} of {name}"
        await socket.send(text)
        assert await socket.recv() == text


async def _talk(socket: Socket, name: str) -> None:
    for number in range(EACH):
        client_id = f"{name}-{number}-{uuid.uuid4().hex[:8]}"
        await socket.send(json.dumps({"type": "send", "client_id": client_id, "text": f"message {number} of {name}"}))
        while True:
            frame = json.loads(await asyncio.wait_for(socket.recv(), 20))
            if any(item.get("client_id") == client_id for item in frame.get("items", [])):
                break
