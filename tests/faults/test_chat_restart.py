"""Two hundred numbered lines each way while the web server is killed twice and Redis is emptied once."""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from asgiref.sync import SyncToAsync, sync_to_async
from django.conf import settings
from django.db import connections
from django.test import Client
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from crm.core import clock
from support import conversations, visitors
from support.models import Conversation
from support.visitors import Visitor
from tests.factories import SourceFactory, UserFactory
from tests.servers import RunningServer

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True), pytest.mark.asyncio]
LINES = 200


@pytest.fixture(autouse=True, scope="module")
def _close_threads(django_db_blocker: Any) -> Iterator[None]:
    """asgiref's thread keeps its connection, and with it the test database, open."""
    yield
    with django_db_blocker.unblock():
        SyncToAsync.single_thread_executor.submit(connections.close_all).result()


VISITOR = "0123456789abcdef0123456789abcdef"


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


async def test_both_ends_show_every_line_once_and_in_order(running_server: RunningServer) -> None:
    source = await sync_to_async(SourceFactory)(allowed_origins=["https://tea.example"])
    agent = await sync_to_async(UserFactory)(role="agent")
    talk = await sync_to_async(conversations.open)(source_id=source.pk, visitor_id=VISITOR, now=clock.now())
    await sync_to_async(conversations.assign)(conversation_id=talk.pk, agent=agent, by=agent, now=clock.now())
    client = Client()
    await sync_to_async(client.force_login)(agent)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    socket_url = running_server.url.replace("http://", "ws://")
    asked, answered = [f"visitor {number}" for number in range(1, LINES + 1)], [f"客服 {number}" for number in range(1, LINES + 1)]
    hello = {"type": "hello", "token": visitors.issue(Visitor(source.pk, VISITOR)), "conversation": str(talk.public_id)}
    visitor = End(f"{socket_url}/ws/visitor/", {"Origin": "https://tea.example"}, asked, hello, None)
    desk = End(f"{socket_url}/ws/inbox/", {"Origin": running_server.url, "Cookie": f"{settings.SESSION_COOKIE_NAME}={cookie}"}, answered, None, talk.pk)
    done = asyncio.Event()
    ends = [asyncio.create_task(end.run(done)) for end in (visitor, desk)]

    for share, fault in ((0.8, "kill"), (0.5, "flush"), (0.3, "kill")):
        await until(lambda share=share: min(len(visitor.unsent), len(desk.unsent)) < LINES * share)
        if fault == "kill":
            await asyncio.to_thread(running_server.kill)
            await asyncio.to_thread(running_server.start)
        else:
            await asyncio.to_thread(redis.from_url(settings.REDIS_URL).flushall)
    await until(lambda: not visitor.unsent and not desk.unsent)
    last = (await Conversation.objects.aget()).last_seq
    await until(lambda: visitor.told == last == desk.told)
    done.set()
    await asyncio.gather(*ends)

    stored = [row async for row in talk.messages.order_by("seq").values_list("seq", "text")]
    said = [text for _, text in stored if not text.endswith("here now.")]
    assert [seq for seq, _ in stored] == list(range(1, last + 1))
    for end in (visitor, desk):
        assert end.repeats == 0
        assert [end.seen[seq] for seq in sorted(end.seen)] == [text for _, text in stored]
    assert [text for text in said if text.startswith("visitor")] == asked
    assert [text for text in said if text.startswith("客服")] == answered


async def until(reached: Any, *, seconds: float = 180) -> None:
    async with asyncio.timeout(seconds):
        while not reached():
            await asyncio.sleep(0.1)
