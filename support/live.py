"""Hints to open sockets that there is something to fetch. A hint may be lost; the rows and `since` make that harmless."""

import asyncio
import logging
from collections.abc import Coroutine

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

from support.wire import Item

logger = logging.getLogger(__name__)

# Every member of staff with an open inbox. One team until teams exist.
INBOX = "inbox"
# Seconds in which hints to the inbox are gathered after one was sent; the first of a quiet time goes at once.
GATHER_SECONDS = 0.05
# {"conversation": id, "seq": newest number or 0 for a change of state, "author": of that message}
News = dict[str, int | str]


def chat_group(conversation_id: int) -> str:
    """Return the group of a conversation's visitor sockets."""
    return f"chat.{conversation_id}"


def hint_message(conversation_id: int, seq: int, *, author: str, item: Item | None) -> None:
    """Tell the visitor's sockets and the inbox that message `seq` exists.

    item: the message for the visitor. A socket that knows everything before it passes it on without asking the
    database; any other asks, as it would if the hint were lost.
    """
    news: News = {"conversation": conversation_id, "seq": seq, "author": author}
    _send({"type": "chat.hint", **news, "item": item}, news)


def hint_change(conversation_id: int, *, to_inbox: bool = True) -> None:
    """Tell them that the conversation's state changed; `to_inbox` False: the visitor's sockets alone."""
    news: News = {"conversation": conversation_id, "seq": 0, "author": ""}
    _send({"type": "chat.change", "conversation": conversation_id}, news, to_inbox=to_inbox)


def hint_present(conversation_id: int, people: list[dict[str, object]]) -> None:
    """Tell the inbox who has the conversation open; the page asks again every few seconds anyway."""
    message: dict[str, object] = {"type": "chat.present", "conversation": conversation_id, "people": people}
    if _loop is not None and _loop.is_running():
        _loop.call_soon_threadsafe(_spawn_delivery, INBOX, message)
    else:
        async_to_sync(_deliver)(INBOX, message)


def _spawn_delivery(group: str, message: dict[str, object]) -> None:
    _spawn(_deliver(group, message))


# The event loop of this process's sockets, once there is one; set by the consumers.
_loop: asyncio.AbstractEventLoop | None = None


def serve_from(loop: asyncio.AbstractEventLoop) -> None:
    """Have hints of this process leave through its sockets' own loop, whose connection to Redis is open already."""
    global _loop
    if _loop is not loop:
        _loop = loop
        _inbox_news.clear()


def _send(message: dict[str, object], news: News, *, to_inbox: bool = True) -> None:
    """Hint the conversation's own sockets with `message` and the inbox with `news`."""
    group = chat_group(int(news["conversation"]))
    if _loop is not None and _loop.is_running():
        # Nobody waits for a hint: the row is committed, and the thread has other rows to write.
        _loop.call_soon_threadsafe(_begin, group, message, news if to_inbox else None)
    else:
        async_to_sync(_deliver_both)(group, message, news if to_inbox else None)


def _begin(group: str, message: dict[str, object], news: News | None) -> None:
    global _gathering
    _spawn(_deliver(group, message))
    if news is None:
        return
    key = (news["conversation"], news["seq"] == 0)
    known = _inbox_news.get(key)
    if known is None or int(known["seq"]) <= int(news["seq"]):
        _inbox_news[key] = news
    if _gathering is not _loop:
        _gathering = _loop
        _spawn(_tell_inbox_in_turns())


async def _tell_inbox_in_turns() -> None:
    """Tell the inbox now, then gather what comes in the next moment: a busy process tells it 20 times a second at most."""
    global _gathering
    try:
        while _inbox_news:
            await _tell_inbox()
            await asyncio.sleep(GATHER_SECONDS)
    finally:
        _gathering = None


async def _tell_inbox() -> None:
    news = list(_inbox_news.values())
    _inbox_news.clear()
    if news:
        await _deliver(INBOX, {"type": "chat.news", "news": news})


# The loop in which hints are being gathered just now.
_gathering: asyncio.AbstractEventLoop | None = None
# (conversation, is it a change of state) -> the newest hint not told to the inbox yet.
_inbox_news: dict[tuple[object, bool], News] = {}
# The loop keeps only weak references to its tasks.
_under_way: set["asyncio.Future[None]"] = set()


def _spawn(work: Coroutine[None, None, None]) -> None:
    task = asyncio.ensure_future(work)
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)


async def _deliver_both(group: str, message: dict[str, object], news: News | None) -> None:
    await _deliver(group, message)
    if news is not None:
        await _deliver(INBOX, {"type": "chat.news", "news": [news]})


async def _deliver(group: str, message: dict[str, object]) -> None:
    try:
        await get_channel_layer().group_send(group, message)
    except Exception:
        # Redis is away: both ends ask for what is new every few seconds, so nothing is lost but promptness.
        logger.warning("live hint not delivered", exc_info=True, extra={"group": group})
