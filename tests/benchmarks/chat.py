"""Chat messages stored, numbered and delivered, against a bare group echo on the same channel layer and server.

Twenty visitors each keep one message under way. Ours: frame -> row with the next seq -> commit -> hint -> read -> frame.
"""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import websockets

from crm.core import clock
from crm.core.models import Source
from support import conversations, visitors
from tests.benchmarks.timing import line, paired
from tests.servers import free_port

VISITORS, EACH = 20, 40
# The limits per address and widget are out of the way: every visitor here comes from one address.
SETTINGS = {"CRM_DATABASE_POOL_SIZE": "16", "CRM_CHAT_ADDRESS_SOCKETS": "100000", "CRM_CHAT_ADDRESS_RATE": "10000", "CRM_CHAT_WIDGET_RATE": "10000"}


def run() -> Iterator[str]:
    """Yield one line."""
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
        asyncio.run(_until_up(port))
        result = paired(
            ours=lambda number: asyncio.run(_all(port, known, number, _talk)),
            bare=lambda number: asyncio.run(_all(port, known, number, _echo)),
            units=VISITORS * EACH,
        )
    finally:
        server.terminate()
        server.wait(15)
    yield line(f"chat, {VISITORS} visitors at once", result, unit="messages/s", target=">= 0.50")


def _waiting_visitor(source: Source) -> tuple[str, str]:
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


async def _all(port: int, known: list[tuple[str, str]], number: int, one) -> None:
    await asyncio.gather(*(one(port, who, f"{number}-{place}") for place, who in enumerate(known)))


async def _echo(port: int, _known: tuple[str, str], name: str) -> None:
    async with websockets.connect(f"ws://127.0.0.1:{port}/bare/{name}") as socket:
        for number in range(EACH):
            text = f"message {number} of {name}"
            await socket.send(text)
            assert await socket.recv() == text


async def _talk(port: int, known: tuple[str, str], name: str) -> None:
    # A widget that comes back names its conversation and what it has, and is not sent the history again.
    token, conversation = known
    async with websockets.connect(f"ws://127.0.0.1:{port}/ws/visitor/", origin=f"http://127.0.0.1:{port}") as socket:
        await socket.send(json.dumps({"type": "hello", "token": token, "conversation": conversation, "after": 1_000_000_000}))
        await socket.recv()
        for number in range(EACH):
            client_id = f"{name}-{number}-{uuid.uuid4().hex[:8]}"
            await socket.send(json.dumps({"type": "send", "client_id": client_id, "text": f"message {number} of {name}"}))
            while True:
                frame = json.loads(await asyncio.wait_for(socket.recv(), 20))
                if any(item.get("client_id") == client_id for item in frame.get("items", frame.get("messages", []))):
                    break
