"""Lines of many visitors that come at once are stored by one statement: one thread, one round trip, one commit for all.

Nothing waits to be gathered: a line that finds no statement under way goes at once, alone; what comes meanwhile goes
together with the next. Only the common case is stored here; what does not fit it, the caller posts by itself.
"""

import asyncio
import logging
from collections.abc import Mapping
from weakref import WeakKeyDictionary

from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError

from support import conversations
from support.consumers.base import in_thread
from support.conversations import Posted, VisitorLine

logger = logging.getLogger(__name__)

# Lines of one statement: a storm of reconnections becomes a few statements, none of which takes long.
MOST = 50
_Waiting = tuple[VisitorLine, "asyncio.Future[Posted | None]"]


class Gathering:
    """The lines of one event loop that wait for a statement. One is under way at a time; others being told of it are not waited for."""

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        self._stored_now: list[_Waiting] | None = None
        # The loop keeps only weak references to its tasks.
        self._under_way: set[asyncio.Task[None]] = set()

    async def post(self, line: VisitorLine) -> Posted | None:
        """Return the message once it is committed, or None where nothing was stored and the line is to be posted by itself.

        Raises OperationalError, InterfaceError or OSError where there is no database.
        """
        future: asyncio.Future[Posted | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((line, future))
        self._start()
        return await future

    def _start(self) -> None:
        if self._waiting and self._stored_now is None:
            self._stored_now = self._next()
            task = asyncio.ensure_future(self._store(self._stored_now))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    def _next(self) -> list[_Waiting]:
        """Take out the oldest lines, one a conversation; a second of the same waits for its turn."""
        taken: dict[int, _Waiting] = {}
        left: list[_Waiting] = []
        for each in self._waiting:
            if len(taken) == MOST or each[0].conversation_id in taken:
                left.append(each)
            else:
                taken[each[0].conversation_id] = each
        self._waiting = left
        return list(taken.values())

    async def _store(self, batch: list[_Waiting]) -> None:
        loop = asyncio.get_running_loop()

        def committed(found: Mapping[int, Posted]) -> None:
            loop.call_soon_threadsafe(self._settle, batch, found)

        try:
            await in_thread(conversations.post_together, [line for line, _ in batch], committed=committed)
        except (OperationalError, InterfaceError, OSError) as error:
            # The database is away: nobody need find that out by waiting a second time.
            self._fail(batch, error)
        except DatabaseError as error:
            # Somebody says again what had arrived, or one line is bad: each is posted by itself and fares as it deserves.
            if not isinstance(error, IntegrityError):
                logger.warning("lines not stored together", exc_info=True, extra={"lines": len(batch)})
        finally:
            self._settle(batch, {})

    def _settle(self, batch: list[_Waiting], found: Mapping[int, Posted]) -> None:
        for line, future in batch:
            if not future.done():
                future.set_result(found.get(line.conversation_id))
        if self._stored_now is batch:
            self._stored_now = None
            self._start()

    def _fail(self, batch: list[_Waiting], error: Exception) -> None:
        for _, future in batch:
            if not future.done():
                future.set_exception(error)


_gatherings: WeakKeyDictionary[asyncio.AbstractEventLoop, Gathering] = WeakKeyDictionary()


def of_loop() -> Gathering:
    """Return the gathering of the running loop's sockets."""
    return _gatherings.setdefault(asyncio.get_running_loop(), Gathering())
