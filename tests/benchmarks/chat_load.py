"""A thousand visitors' sockets on one process: fifty messages a second stored, numbered, delivered; and idle sockets' memory.

    python -m tests.benchmarks chat_load                    1,000 sockets, 20 s at 50 messages/s, 2,000 idle sockets
    IDLE_SOCKETS=5000 SOCKETS=1000 SECONDS=60 python -m tests.benchmarks chat_load

Every message is written by a visitor and heard by the same conversation's second socket, as a phone beside a desktop:
frame -> row with the next seq -> commit -> hint through Redis -> read -> frame. Latency is from the writer's send to the
listener's frame. Sender, server, PostgreSQL and Redis share the machine, and its cores are printed.
"""

import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import websockets

from crm.core import clock
from crm.core.models import Source
from support import conversations, visitors
from support.models import Message
from tests.benchmarks.chat import SETTINGS
from tests.servers import free_port

SOCKETS, RATE, SECONDS = int(os.environ.get("SOCKETS", "1000")), int(os.environ.get("RATE", "50")), int(os.environ.get("SECONDS", "20"))
IDLE_SOCKETS = int(os.environ.get("IDLE_SOCKETS", "2000"))
# Sockets opened at once while building up.
AT_ONCE = 50


def run() -> Iterator[str]:
    """Yield two or three lines."""
    wanted = max(SOCKETS, IDLE_SOCKETS) + 200
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    source = Source.objects.create(name=f"load {uuid.uuid4().hex[:8]}", write_key=uuid.uuid4().hex)
    known = [_waiting_visitor(source) for _ in range(SOCKETS // 2)]
    yield from _with_server(lambda port, pid: _load(port, pid, known))
    stored = Message.objects.filter(author="visitor", conversation__source=source).count()
    yield f"{'':34} {stored:,} rows stored"
    for kind in ("product", "bare"):
        yield from _with_server(lambda port, pid, kind=kind: _idle(port, pid, kind, known[0]))


def _with_server(measure) -> list[str]:
    port = free_port()
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "uvicorn", "tests.benchmarks.chat_app:application", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--log-level", "warning", "--lifespan", "off", "--ws-per-message-deflate", "false"]
    server = subprocess.Popen(command, cwd=root, env={**os.environ, **SETTINGS})
    try:
        return asyncio.run(_measured(port, server.pid, measure))
    finally:
        server.terminate()
        server.wait(15)


async def _measured(port: int, pid: int, measure) -> list[str]:
    for _ in range(300):
        try:
            async with websockets.connect(f"ws://127.0.0.1:{port}/bare/probe"):
                break
        except OSError:
            await asyncio.sleep(0.1)
    return await measure(port, pid)


def _waiting_visitor(source: Source) -> tuple[str, str]:
    """Return token and conversation of a visitor who waits for a person, as tests.benchmarks.chat has them."""
    visitor = visitors.enter(source=source, now=clock.now())
    conversation = conversations.open(source_id=source.pk, visitor_id=visitor.visitor_id, now=clock.now())
    conversations.hand_over(conversation_id=conversation.pk, reason="asked", now=clock.now(), cause="demo")
    return visitors.issue(visitor), str(conversation.public_id)


async def _open(port: int, known: tuple[str, str]):
    token, conversation = known
    socket = await websockets.connect(
        f"ws://127.0.0.1:{port}/ws/visitor/", origin=f"http://127.0.0.1:{port}", compression=None, ping_interval=None, open_timeout=60
    )
    await socket.send(json.dumps({"type": "hello", "token": token, "conversation": conversation, "after": 1_000_000_000}))
    while json.loads(await asyncio.wait_for(socket.recv(), 60))["type"] != "messages":
        pass
    return socket


async def _opened(port: int, known: list[tuple[str, str]]) -> list:
    sockets = []
    for start in range(0, len(known), AT_ONCE):
        sockets += await asyncio.gather(*(_open(port, each) for each in known[start : start + AT_ONCE]))
    return sockets


async def _load(port: int, pid: int, known: list[tuple[str, str]]) -> list[str]:
    pairs = list(zip(await _opened(port, known), await _opened(port, known), strict=True))
    sent: dict[str, float] = {}
    heard: dict[str, float] = {}
    orders: list[tuple[int, int]] = []

    async def listen(socket, other: bool) -> None:
        last = 0
        async for raw in socket:
            frame = json.loads(raw)
            for item in frame.get("items", ()):
                if other and item["client_id"] in sent:
                    heard.setdefault(item["client_id"], time.perf_counter())
                    if item["seq"] <= last:
                        orders.append((last, item["seq"]))
                    last = item["seq"]

    listening = [asyncio.create_task(listen(socket, other)) for pair in pairs for socket, other in zip(pair, (False, True), strict=True)]
    server = psutil.Process(pid)
    used = sum(server.cpu_times()[:2])
    began = time.perf_counter()
    for number in range(RATE * SECONDS):
        await asyncio.sleep(max(0.0, began + number / RATE - time.perf_counter()))
        client_id = uuid.uuid4().hex
        sent[client_id] = time.perf_counter()
        await pairs[number % len(pairs)][0].send(json.dumps({"type": "send", "client_id": client_id, "text": f"message {number} 你好"}))
    wall = time.perf_counter() - began
    used = sum(server.cpu_times()[:2]) - used
    for _ in range(100):
        if len(heard) == len(sent):
            break
        await asyncio.sleep(0.1)
    for task in listening:
        task.cancel()
    await asyncio.gather(*(socket.close() for pair in pairs for socket in pair), return_exceptions=True)
    took = sorted(1000 * (heard[name] - sent[name]) for name in heard)
    cuts = statistics.quantiles(took, n=100)
    head = f"chat, {2 * len(pairs):,} sockets, {len(sent) / wall:,.0f} messages/s"
    figures = f"p50 {cuts[49]:.1f} ms   p95 {cuts[94]:.1f} ms   p99 {cuts[98]:.1f} ms"
    return [
        f"{head:<34} lost {len(sent) - len(heard)}   out of order {len(orders)}   {figures}   target p95 <= 36 ms",
        f"{'':<34} server {1000 * used / len(sent):.1f} ms of one core per message   cores {os.cpu_count()}   load average {os.getloadavg()[0]:.1f}",
    ]


async def _idle(port: int, pid: int, kind: str, known: tuple[str, str]) -> list[str]:
    process = psutil.Process(pid)

    async def one(number: int):
        if kind == "bare":
            return await websockets.connect(f"ws://127.0.0.1:{port}/bare/{number}", compression=None, ping_interval=None, open_timeout=60)
        return await _open(port, known)

    warm = [await one(number) for number in range(20)]
    before = process.memory_info().rss
    sockets = []
    for start in range(0, IDLE_SOCKETS, AT_ONCE):
        sockets += await asyncio.gather(*(one(number) for number in range(start, min(start + AT_ONCE, IDLE_SOCKETS))))
    await asyncio.sleep(2)
    each = (process.memory_info().rss - before) / len(sockets) / 1024
    await asyncio.gather(*(socket.close() for socket in sockets + warm), return_exceptions=True)
    return [f"{f'idle sockets, {kind}':<34} {len(sockets):,} open   {each:.1f} KB each   target <= 25 KB over bare"]
