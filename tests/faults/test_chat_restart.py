"""Two hundred numbered lines each way, half of them Chinese, while everything under the chat is killed or emptied once.

The web server dies twice (-9), Redis is flushed once, and PostgreSQL's postmaster is killed (-9) once.
"""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import redis as redis_client
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from crm import embedded
from crm.embedded import postgres, redis
from tests.servers import RunningServer
from tests.stack import OwnStack, eventually

pytestmark = [pytest.mark.slow, pytest.mark.asyncio]
LINES = 200
ORIGIN = "https://tea.example"

# A visitor's chat that an agent has taken, and what each side needs to open its socket.
SCENE = """
import json
from django.conf import settings
from django.test import Client
from crm.core import clock
from crm.core.models import Source, User
from support import conversations, visitors
from support.visitors import Visitor
source = Source.objects.create(name="Tea", write_key="wk_fault", allowed_origins=["https://tea.example"])
agent = User.objects.create_user("mei", password="x", role="agent")
talk = conversations.open(source_id=source.pk, visitor_id="0123456789abcdef0123456789abcdef", now=clock.now())
conversations.assign(conversation_id=talk.pk, agent=agent, by=agent, now=clock.now())
client = Client()
client.force_login(agent)
print(json.dumps({"pk": talk.pk, "public_id": str(talk.public_id), "token": visitors.issue(Visitor(source.pk, talk.visitor_id)),
    "cookie": f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"}))
"""


class DurableStack(OwnStack):
    """Its PostgreSQL confirms only what is on the disk, as in production: it will be killed."""

    def start_services(self) -> None:
        embedded.ensure_database_url(self.data_dir)
        embedded.ensure_redis_url(self.data_dir, volatile=True)

    def database_pid(self) -> int:
        """Return the postmaster's process id, 0 while there is none that is ready."""
        try:
            lines = (self.data_dir / "postgres" / "postmaster.pid").read_text().splitlines()
            return int(lines[0]) if lines[7].strip() == "ready" else 0
        except (OSError, IndexError, ValueError):
            return 0

    def crash_database(self) -> None:
        """Kill PostgreSQL and return once its keeper has brought it back."""
        crashed = self.database_pid()
        os.kill(crashed, signal.SIGKILL)
        eventually(lambda: self.database_pid() not in {0, crashed}, "another PostgreSQL runs")


@pytest.fixture(scope="module")
def fault_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DurableStack]:
    own = DurableStack(tmp_path_factory.mktemp("faults"))
    own.prepare()
    yield own
    own.close()


@pytest.fixture(scope="module")
def fault_server(fault_stack: DurableStack) -> Iterator[RunningServer]:
    running = RunningServer(environment=fault_stack.environment)
    running.start()
    yield running
    running.close()


class End:
    """One end of the chat as our pages behave: resend what is not confirmed, ask for what is above the known number."""

    def __init__(self, url: str, headers: dict[str, str], lines: list[str], hello: dict[str, Any] | None, conversation: int | None) -> None:
        self.url, self.headers, self.hello = url, headers, hello
        # Agents name the conversation in every frame, visitors are in theirs.
        self.place = {"conversation": conversation} if conversation else {}
        self.unsent = {f"{self.url[-8:]}-{number}": line for number, line in enumerate(lines)}
        self.seen: dict[int, str] = {}
        self.repeats = 0
        self.told = 0
        self.heard = asyncio.Event()

    async def run(self, done: asyncio.Event) -> None:
        while not done.is_set():
            with contextlib.suppress(OSError, WebSocketException, asyncio.TimeoutError, ConnectionError):
                async with connect(self.url, additional_headers=self.headers, origin=None, open_timeout=5, close_timeout=1) as socket:
                    await self._talk(socket, done)
            await asyncio.sleep(0.2)

    async def _talk(self, socket: Any, done: asyncio.Event) -> None:
        if self.hello:
            await self._say(socket, self.hello | {"after": self.told})
        else:
            await self._say(socket, {"type": "since", "seq": self.told})
        listening = asyncio.create_task(self._listen(socket))
        try:
            while not done.is_set() and not listening.done():
                # In order and one at a time, as the pages do; slower than the flood limit allows.
                for client_id, text in list(self.unsent.items())[:1]:
                    self.heard.clear()
                    await self._say(socket, {"type": "send", "client_id": client_id, "text": text})
                    with contextlib.suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(self.heard.wait(), 3)
                await asyncio.sleep(0.11)
                if not self.unsent:
                    await self._say(socket, {"type": "since", "seq": self.told})
                    await asyncio.sleep(0.5)
        finally:
            listening.cancel()

    async def _say(self, socket: Any, frame: dict[str, Any]) -> None:
        await socket.send(json.dumps(frame | (self.place if frame["type"] != "hello" else {})))

    async def _listen(self, socket: Any) -> None:
        async for raw in socket:
            frame = json.loads(raw)
            match frame["type"]:
                case "ack":
                    self.unsent.pop(frame["client_id"], None)
                    self.heard.set()
                case "hint" if frame["seq"] > self.told:
                    await self._say(socket, {"type": "since", "seq": self.told})
                case "messages" if frame["after"] <= self.told:
                    for item in frame["items"]:
                        known = item["seq"] in self.seen
                        self.repeats += known and self.seen[item["seq"]] != item["text"]
                        self.seen[item["seq"]] = item["text"]
                    self.told = max(self.told, frame["upto"])
                case "messages":
                    await self._say(socket, {"type": "since", "seq": self.told})


async def test_both_ends_show_every_line_once_and_in_order(fault_stack: DurableStack, fault_server: RunningServer) -> None:
    scene = json.loads(fault_stack.manage("shell", "--no-imports", "-c", SCENE).strip().splitlines()[-1])
    socket_url = fault_server.url.replace("http://", "ws://")
    asked = [f"visitor {number}" if number % 2 else f"顾客第 {number} 句" for number in range(1, LINES + 1)]
    answered = [f"客服第 {number} 句" if number % 2 else f"agent {number}" for number in range(1, LINES + 1)]
    hello = {"type": "hello", "token": scene["token"], "conversation": scene["public_id"]}
    visitor = End(f"{socket_url}/ws/visitor/", {"Origin": ORIGIN}, asked, hello, None)
    desk = End(f"{socket_url}/ws/inbox/", {"Origin": fault_server.url, "Cookie": scene["cookie"]}, answered, None, scene["pk"])
    done = asyncio.Event()
    ends = [asyncio.create_task(end.run(done)) for end in (visitor, desk)]

    for share, fault in ((0.85, "web"), (0.65, "redis"), (0.45, "database"), (0.25, "web")):
        await until(lambda share=share: min(len(visitor.unsent), len(desk.unsent)) < LINES * share)
        match fault:
            case "web":
                await asyncio.to_thread(fault_server.kill)
                await asyncio.to_thread(fault_server.start)
            case "redis":
                with redis_client.Redis.from_url(redis.url(fault_stack.data_dir)) as client:
                    await asyncio.to_thread(client.flushall)
            case "database":
                await asyncio.to_thread(fault_stack.crash_database)
    await until(lambda: not visitor.unsent and not desk.unsent)
    with psycopg.connect(postgres.url(fault_stack.data_dir)) as connection:
        stored = connection.execute("SELECT seq, author, text FROM support_message WHERE conversation_id = %s ORDER BY seq", [scene["pk"]]).fetchall()
    last = stored[-1][0]
    await until(lambda: visitor.told == last == desk.told)
    done.set()
    await asyncio.gather(*ends)

    assert [seq for seq, _, _ in stored] == list(range(1, last + 1))
    for end in (visitor, desk):
        assert end.repeats == 0
        assert [end.seen[seq] for seq in sorted(end.seen)] == [text for _, _, text in stored]
    assert [text for _, author, text in stored if author == "visitor"] == asked
    assert [text for _, author, text in stored if author == "agent"] == answered


async def until(reached: Any, *, seconds: float = 180) -> None:
    async with asyncio.timeout(seconds):
        while not reached():
            await asyncio.sleep(0.1)
