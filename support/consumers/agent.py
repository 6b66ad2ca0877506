"""Staff's socket: it tells what changed where; the page fetches the rendered rows."""

import asyncio
import time
from typing import Any

from crm.core import clock
from crm.core.access.roles import may
from crm.core.models import User
from support import answering, conversations, frames, limits, live, teams, wire
from support.consumers.base import TYPING_EVERY, UNKNOWN, ChatConsumer, in_thread

# Seconds between two looks at whether a member of staff is still logged in and may still see the inbox.
RECHECK_EVERY = 60


class AgentConsumer(ChatConsumer):
    """A member of staff's socket: it tells what changed where, the page fetches the rendered rows."""

    parse = staticmethod(frames.agent_frame)

    async def connect(self) -> None:
        live.serve_from(asyncio.get_running_loop())
        self.bucket = limits.TokenBucket(burst=limits.FRAME_BURST, per_second=limits.FRAMES_PER_SECOND)
        self.user: User | None = None
        self.typing_told_at = 0.0
        user = self.scope.get("user")
        if not await in_thread(may, user, "support.view"):
            await self.close(code=UNKNOWN)
            return
        self.user, self.checked_at, self.view = user, time.monotonic(), teams.SocketView(user)
        await self.channel_layer.group_add(live.INBOX, self.channel_name)
        await self.accept()

    async def disconnect(self, _code: int) -> None:
        if self.user is not None:
            await self.channel_layer.group_discard(live.INBOX, self.channel_name)

    async def handle(self, frame: frames.Frame) -> None:
        if self.user is None:
            raise frames.BadFrame
        if not await self._is_welcome():
            return
        if isinstance(frame, (frames.Send, frames.Since, frames.Typing, frames.Read, frames.Got)) and not await self._may_see({frame.conversation}):
            raise conversations.ConversationMissing
        match frame:
            case frames.Send():
                if not may(self.user, "support.reply"):
                    raise frames.BadFrame
                posted = await in_thread(
                    answering.write,
                    conversation_id=frame.conversation,
                    agent=self.user,
                    text=frame.text,
                    client_id=frame.client_id,
                    is_note=frame.note,
                    now=clock.now(),
                )
                await self.say({"type": "ack", "conversation": frame.conversation, "client_id": frame.client_id, "seq": posted.message.seq})
            case frames.Since():
                rows = await in_thread(conversations.since, conversation_id=frame.conversation, after_seq=frame.seq, with_notes=True)
                items = [{**wire.item(row), "client_id": row.client_id, "note": row.is_note} for row in rows]
                upto = rows[-1].seq if rows else frame.seq
                await self.say({"type": "messages", "conversation": frame.conversation, "after": frame.seq, "upto": upto, "items": items})
            case frames.Read():
                await in_thread(conversations.mark_read, conversation_id=frame.conversation, seq=frame.seq, by_visitor=False, now=clock.now())
            case frames.Got():
                await in_thread(conversations.mark_got, conversation_id=frame.conversation, seq=frame.seq, by_visitor=False, now=clock.now())
            case frames.Typing():
                if time.monotonic() - self.typing_told_at > TYPING_EVERY:
                    self.typing_told_at = time.monotonic()
                    event = {"type": "chat.typing", "conversation": frame.conversation, "by": "agent"}
                    await self.channel_layer.group_send(live.chat_group(frame.conversation), event)
            case frames.Ping():
                await self.send(text_data='{"type":"pong"}')

    async def _is_welcome(self) -> bool:
        """Return whether the person is still logged in and may see the inbox, and close the socket where not.

        A socket outlives a logout and a changed role; looked at again every minute in which it says or hears anything.
        """
        if time.monotonic() - self.checked_at > RECHECK_EVERY:
            assert self.user is not None  # noqa: S101  (only who was let in is in the group of the inbox)
            if not await in_thread(_still_allowed, self.user.pk, self.scope["session"].session_key):
                await self.close(code=UNKNOWN)
                return False
            await in_thread(self.user.refresh_from_db)
            self.checked_at = time.monotonic()
        return True

    async def _may_see(self, conversation_ids: set[int]) -> set[int]:
        """Return those the teams of this person allow; a query only for what was not looked up in the last seconds."""
        unknown = self.view.unknown(conversation_ids)
        if unknown:
            await in_thread(self.view.learn, unknown)
        return {each for each in conversation_ids if self.view.may_see(each)}

    async def chat_news(self, event: dict[str, Any]) -> None:
        if not await self._is_welcome():
            return
        for each in event["news"]:
            if not each["seq"]:
                # Its team may be what changed.
                self.view.forget(each["conversation"])
        allowed = await self._may_see({each["conversation"] for each in event["news"]})
        for each in event["news"]:
            if each["conversation"] not in allowed:
                continue
            if each["seq"]:
                await self.say({"type": "hint", "conversation": each["conversation"], "seq": each["seq"], "author": each["author"]})
            else:
                await self.say({"type": "change", "conversation": each["conversation"]})

    async def chat_typing(self, event: dict[str, Any]) -> None:
        if await self._may_see({event["conversation"]}):
            await self.say({"type": "typing", "conversation": event["conversation"]})

    async def chat_present(self, event: dict[str, Any]) -> None:
        """Somebody opened, left or writes in a conversation."""
        if await self._may_see({event["conversation"]}):
            await self.say({"type": "present", "conversation": event["conversation"], "people": event["people"]})


def _still_allowed(user_id: int, session_key: str | None) -> bool:
    from django.contrib.sessions.models import Session

    user = User.objects.filter(pk=user_id, is_active=True).first()
    alive = Session.objects.filter(session_key=session_key, expire_date__gt=clock.now()).exists()
    return alive and may(user, "support.view")
