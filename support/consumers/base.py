"""What the sockets of both sides share: threads that talk to PostgreSQL, limits, one constant error, dispatch by table."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import orjson
from channels.consumer import get_handler_name
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, connection

from crm.core.errors import CrmError
from support import frames

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")

# Threads that talk to PostgreSQL for all sockets of this process. Each keeps one connection of the 16 a web process has
# (CRM_DATABASE_POOL_SIZE); 6 leave room for its pages and keep it busy,
# as a commit waits for the disk while another thread works. Channels' own default is a single thread for everything.
THREADS = 6
pool = ThreadPoolExecutor(THREADS, thread_name_prefix="chat")

# Seconds in which repeated typing frames are told once.
TYPING_EVERY = 2
# Close codes; docs/support.md names them.
FLOOD, UNKNOWN, EXPIRED, FOREIGN, SILENT = 4429, 4401, 4402, 4403, 4408


async def in_thread(function: Callable[..., Answer], *args: Any, **kwargs: Any) -> Answer:
    """Run a function that uses the database in this module's threads.

    Channels' own way asks the database before every call whether the connection still lives, a round trip as dear as
    the call itself. Here a broken connection is noticed by its error, thrown away, and the call made once more; the
    domain's verbs are safe to run twice.
    """
    return await asyncio.get_running_loop().run_in_executor(pool, partial(_attempted, partial(function, *args, **kwargs)))


def _attempted(call: Callable[[], Answer]) -> Answer:
    try:
        return call()
    except (InterfaceError, OperationalError):
        connection.close()
        return call()


class ChatConsumer(AsyncWebsocketConsumer):
    """What both sides share: limits, one constant error, dispatch by table, and surviving a database restart."""

    parse: Callable[[str | None], frames.Frame]

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Call the handler of an event from the server or the layer.

        Channels' own version first visits a thread to close old database connections of a thread these consumers never
        use; that alone took a sixth of the process's time under load.
        """
        handler = getattr(self, get_handler_name(message))
        await handler(message)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if not self.may_speak():
            await self.close(code=FLOOD)
            return
        try:
            frame = type(self).parse(text_data if bytes_data is None else None)
            await self.handle(frame)
        except frames.BadFrame:
            await self.send(text_data=frames.BAD_FRAME)
        except CrmError as error:
            await self.say({"type": "error", "code": error.code, "client_id": getattr(frame, "client_id", "")})
        except (DatabaseError, OSError):
            # PostgreSQL restarts: the client keeps what it could not send and asks again.
            logger.warning("chat frame not handled", exc_info=True)
            await self.say({"type": "error", "code": "unavailable", "client_id": getattr(frame, "client_id", "")})

    def may_speak(self) -> bool:
        """Count one frame, of whatever kind, and return whether it may be heard."""
        return bool(self.bucket.take())

    async def say(self, payload: object) -> None:
        await self.send(text_data=orjson.dumps(payload).decode())

    async def handle(self, frame: frames.Frame) -> None:
        raise NotImplementedError
