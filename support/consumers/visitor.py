"""The visitor's socket: it says hello with a token, hears what is above the number it was told about, and writes."""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError

from crm.core import clock
from crm.core.errors import CrmError
from crm.core.models import User
from support import conversations, crowds, frames, language, limits, live, visitors, wire
from support.consumers import gathering
from support.consumers.base import EXPIRED, FLOOD, FOREIGN, SILENT, TYPING_EVERY, UNKNOWN, ChatConsumer, in_thread
from support.models import Conversation, Message

logger = logging.getLogger(__name__)

# Seconds a socket may stay silent about who it is.
HELLO_WITHIN = 10
# Seconds between two looks at whether the token a socket said hello with was revoked or its widget switched off.
RECHECK_EVERY = 60


class VisitorConsumer(ChatConsumer):
    """A visitor's socket. Who it is comes from the token in its first frame, where it belongs from the row."""

    parse = staticmethod(frames.visitor_frame)

    async def connect(self) -> None:
        live.serve_from(asyncio.get_running_loop())
        crowds.shared.serve_from(asyncio.get_running_loop())
        self.gathering = gathering.of_loop()
        self.bucket = limits.TokenBucket(burst=limits.FRAME_BURST, per_second=limits.FRAMES_PER_SECOND)
        self.sends = limits.TokenBucket(burst=limits.SEND_BURST, per_second=limits.SENDS_PER_SECOND)
        self.visitor: visitors.Visitor | None = None
        self.checked_at = self.token_ends_at = 0.0
        self.is_counted = False
        self.language = "en"
        self.conversation_id: int | None = None
        # Highest number the client was told about; only `messages` frames move it. And how it was told that things stand.
        self.told = 0
        self.told_state: wire.State | None = None
        self.typing_told_at = 0.0
        headers = {name: value for name, value in self.scope["headers"] if name in {b"origin", b"host", b"accept-language"}}
        self.origin, self.host, browser = (headers.get(name, b"").decode("latin-1") for name in (b"origin", b"host", b"accept-language"))
        self.browser_language = language.preferred(browser)
        if visitors.origin_of(self.origin) is None:
            await self.close(code=FOREIGN)
            return
        self.address = str((self.scope.get("client") or ("",))[0])
        if not crowds.open_sockets.enter(self.address, most=settings.CRM_CHAT_ADDRESS_SOCKETS):
            await self.close(code=FLOOD)
            return
        self.is_counted = True
        await self.accept()
        self.deadline = asyncio.get_running_loop().call_later(HELLO_WITHIN, self._too_late)

    def _too_late(self) -> None:
        self.closing = asyncio.ensure_future(self.close(code=SILENT))

    def may_speak(self) -> bool:
        return bool(self.bucket.take()) and crowds.address_frames.take(self.address)

    async def disconnect(self, _code: int) -> None:
        if self.is_counted:
            self.is_counted = False
            crowds.open_sockets.leave(self.address)
        if deadline := getattr(self, "deadline", None):
            deadline.cancel()
        if self.conversation_id is not None:
            await self.channel_layer.group_discard(live.chat_group(self.conversation_id), self.channel_name)

    async def handle(self, frame: frames.Frame) -> None:
        if isinstance(frame, frames.Hello):
            await self._hello(frame)
            return
        if self.visitor is None:
            raise frames.BadFrame
        if not await self._is_welcome():
            return
        self._check_pace(frame)
        match frame:
            case frames.Send():
                await self._send(frame)
            case frames.Since():
                await self._since(frame)
            case frames.Typing():
                await self._typing()
            case frames.Read():
                if self.conversation_id is not None:
                    await in_thread(conversations.mark_read, conversation_id=self.conversation_id, seq=frame.seq, by_visitor=True, now=clock.now())
            case frames.Got():
                if self.conversation_id is not None:
                    await in_thread(conversations.mark_got, conversation_id=self.conversation_id, seq=frame.seq, by_visitor=True, now=clock.now())
            case frames.Person():
                await self._join(await in_thread(self._asked_for_person))
                await self._deliver()
            case frames.Rate():
                if self.conversation_id is not None:
                    await in_thread(conversations.rate, conversation_id=self.conversation_id, csat=frame.score, comment=frame.comment, now=clock.now())
            case frames.Email():
                if self.conversation_id is not None:
                    await in_thread(conversations.leave_address, conversation_id=self.conversation_id, email=frame.email, now=clock.now())
            case frames.Ping():
                await self.send(text_data='{"type":"pong"}')

    async def _is_welcome(self) -> bool:
        """Return whether the token still holds, and close the socket where it does not. A query once a minute."""
        if time.monotonic() > self.token_ends_at:
            await self.close(code=EXPIRED)
            return False
        if time.monotonic() - self.checked_at > RECHECK_EVERY:
            self.checked_at = time.monotonic()
            if not await in_thread(self._still_admitted, self.visitor):
                await self.close(code=UNKNOWN)
                return False
        return True

    def _check_pace(self, frame: frames.Frame) -> None:
        """Count the frame against its widget and, if it leaves something behind, against everybody it may crowd out. Raises TooFast."""
        assert self.visitor is not None  # noqa: S101  (handle() lets nobody else through)
        may_pass = crowds.widget_frames.take(str(self.visitor.source_id))
        if may_pass and isinstance(frame, (frames.Send, frames.Person, frames.Rate, frames.Email)):
            may_pass = self.sends.take() and crowds.may_write(address=self.address, source_id=self.visitor.source_id)
        if not may_pass:
            raise visitors.TooFast

    async def _hello(self, frame: frames.Hello) -> None:
        try:
            visitor = visitors.read(frame.token, now=clock.now())
            conversation = await in_thread(self._entered, visitor, frame.lang)
        except visitors.OriginForeign:
            await self.close(code=FOREIGN)
            return
        except CrmError:
            await self.close(code=UNKNOWN)
            return
        if self.visitor is not None and (visitor.source_id, visitor.visitor_id) != (self.visitor.source_id, self.visitor.visitor_id):
            await self.close(code=UNKNOWN)
            return
        self.deadline.cancel()
        self.visitor, self.checked_at = visitor, time.monotonic()
        self.token_ends_at = self.checked_at + visitors.TOKEN_SECONDS
        # Join first, read second: what is posted in between is hinted as well as read, and sent once. How things stand
        # was read before; what has changed since then comes with the messages.
        if not await self._join(conversation):
            await self._say_state(conversation)
        same = conversation is not None and frame.conversation == str(conversation.public_id)
        self.told = min(frame.after, conversation.last_seq) if same and conversation else 0
        await self._deliver(always=True)

    def _entered(self, visitor: visitors.Visitor, lang: str) -> Conversation | None:
        source = visitors.admitted(visitor)
        visitors.check_origin(source=source, origin=self.origin, own_host=self.host)
        # What the page is shown in comes before what the browser prefers: the shop, or the visitor, has chosen it.
        self.language = language.known(lang or self.browser_language or source.locale)
        return self._current(visitor)

    @staticmethod
    def _still_admitted(visitor: visitors.Visitor) -> bool:
        try:
            visitors.admitted(visitor)
        except visitors.TokenBad:
            return False
        return True

    @staticmethod
    def _current(visitor: visitors.Visitor) -> Conversation | None:
        found = conversations.current(source_id=visitor.source_id, visitor_id=visitor.visitor_id, customer_id=visitor.customer_id)
        if found is not None:
            conversations.adopt(conversation=found, customer_id=visitor.customer_id)
        return _with_agent(found)

    async def _join(self, conversation: Conversation | None) -> bool:
        """Listen to this conversation and say how it stands; returns False, having done neither, where it was heard already."""
        joined = conversation.pk if conversation else None
        if joined == self.conversation_id:
            return False
        if self.conversation_id is not None:
            await self.channel_layer.group_discard(live.chat_group(self.conversation_id), self.channel_name)
        self.conversation_id, self.told = joined, 0
        if conversation is not None:
            await self.channel_layer.group_add(live.chat_group(conversation.pk), self.channel_name)
        await self._say_state(conversation)
        return True

    async def _say_state(self, conversation: Conversation | None, *, again: bool = True) -> None:
        """Say how things stand; without `again`, only what was not said before."""
        state = wire.state(conversation)
        if again or state != self.told_state:
            self.told_state = state
            await self.say(state)

    async def _send(self, frame: frames.Send) -> None:
        heard = self.conversation_id
        posted = await self._posted_with_others(frame) or await self._posted_alone(frame)
        await self.say({"type": "ack", "client_id": frame.client_id, "seq": posted.message.seq})
        if posted.is_new and posted.message.seq == self.told + 1 and self.conversation_id == heard:
            # The usual case needs no query: this socket knew everything up to its own message. In a conversation it has
            # only just joined an answer may have come before it listened.
            await self._tell([wire.item(posted.message)], upto=posted.message.seq)
        else:
            await self._deliver()

    async def _posted_with_others(self, frame: frames.Send) -> conversations.Posted | None:
        if self.conversation_id is None:
            return None
        line = conversations.visitor_line(
            conversation_id=self.conversation_id,
            text=conversations.checked(frame.text),
            client_id=frame.client_id,
            data={"choice": frame.choice} if frame.choice else None,
            now=clock.now(),
        )
        return await self.gathering.post(line)

    async def _posted_alone(self, frame: frames.Send) -> conversations.Posted:
        posted, conversation = await in_thread(self._posted, frame)
        if conversation is not None:
            await self._join(conversation)
        return posted

    def _posted(self, frame: frames.Send) -> tuple[conversations.Posted, Conversation | None]:
        """Return the message and, when the socket was not in its conversation yet, that conversation."""
        assert self.visitor is not None  # noqa: S101  (handle() lets nobody else through)
        return visitors.write(
            self.visitor,
            conversation_id=self.conversation_id,
            text=frame.text,
            client_id=frame.client_id,
            choice=frame.choice,
            language=self.language,
            now=clock.now(),
        )

    def _asked_for_person(self) -> Conversation:
        assert self.visitor is not None  # noqa: S101
        now = clock.now()
        conversation = conversations.for_visitor(
            source_id=self.visitor.source_id, visitor_id=self.visitor.visitor_id, customer_id=self.visitor.customer_id, language=self.language, now=now
        )
        return conversations.hand_over(conversation_id=conversation.pk, reason="asked", now=now, cause="chat")

    async def _since(self, frame: frames.Since) -> None:
        if self.conversation_id is None:
            await self._join(await in_thread(self._current, self.visitor))
        # A client that says it is further than it was told is not believed.
        self.told = min(frame.seq, self.told) if self.conversation_id is not None else 0
        await self._deliver(always=True)

    async def _deliver(self, *, always: bool = False) -> None:
        """Send how things stand, if that changed, and everything above what the client was told about, in pages.

        always: also says that there is nothing.
        """
        if self.conversation_id is None and always:
            await self._tell([], upto=0)
        while self.conversation_id is not None:
            conversation, rows = await in_thread(_stands, self.conversation_id, self.told)
            if conversation is None:
                await self._join(None)
                return
            await self._say_state(conversation, again=False)
            last = max(conversation.last_seq, rows[-1].seq if rows else 0)
            if last <= self.told and not always:
                return
            full = len(rows) == conversations.PAGE
            await self._tell([wire.item(row) for row in rows], upto=rows[-1].seq if full else max(last, self.told))
            if not full:
                return

    async def _tell(self, items: list[wire.Item], *, upto: int) -> None:
        before, self.told = self.told, upto
        await self.say({"type": "messages", "after": before, "upto": upto, "items": items})

    async def _typing(self) -> None:
        if self.conversation_id is not None and time.monotonic() - self.typing_told_at > TYPING_EVERY:
            self.typing_told_at = time.monotonic()
            await self.channel_layer.group_send(live.INBOX, {"type": "chat.typing", "conversation": self.conversation_id, "by": "visitor"})

    async def chat_hint(self, event: dict[str, Any]) -> None:
        if event["conversation"] == self.conversation_id and event["seq"] > self.told:
            await self._guarded(partial(self._hinted, event))

    async def _hinted(self, event: dict[str, Any]) -> None:
        # A page that never says anything hears no more than one that does.
        if not await self._is_welcome():
            return
        if event.get("item") is not None and event["seq"] == self.told + 1:
            # The usual case needs no query: this socket knew everything up to the message that came with the hint.
            await self._tell([event["item"]], upto=event["seq"])
        else:
            await self._deliver()

    async def chat_change(self, event: dict[str, Any]) -> None:
        if event["conversation"] == self.conversation_id:
            await self._guarded(self._tell_state)

    async def chat_typing(self, event: dict[str, Any]) -> None:
        if event["conversation"] == self.conversation_id and event["by"] == "agent":
            await self.send(text_data='{"type":"typing"}')

    async def _tell_state(self) -> None:
        conversation, _rows = await in_thread(_stands, self.conversation_id, None)
        if conversation is not None:
            await self._say_state(conversation, again=False)

    async def _guarded(self, step: Callable[[], Any]) -> None:
        try:
            await step()
        except (DatabaseError, OSError):
            # The client's timer asks again in a few seconds; the socket lives.
            logger.warning("hint not followed", exc_info=True)


def _stands(conversation_id: int, seq: int | None) -> tuple[Conversation | None, list[Message]]:
    """Return the conversation, with whoever answers it, and the visitor's rows above `seq` if there can be any."""
    # Read before the rows: a message posted in between is then fetched but not yet counted, and asked for again.
    found = _with_agent(conversations.as_it_stands(conversation_id))
    if found is None or seq is None or found.last_seq <= seq:
        return found, []
    return found, conversations.since(conversation_id=conversation_id, after_seq=seq)


def _with_agent(conversation: Conversation | None) -> Conversation | None:
    if conversation is not None and conversation.agent_id:
        conversation.agent = User.objects.filter(pk=conversation.agent_id).first()
    return conversation
