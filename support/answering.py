"""A member of staff writes: the check against a colleague who was quicker, @mentions, and the draft that is done with."""

import re
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_noop

from crm.core.errors import Conflict
from crm.core.models import User
from support import conversations, teams
from support.models import Draft, Mention, Message
from support.models.conversation import Author

# A name as it is typed after @: letters of any script, digits, and the marks user names may hold.
_MENTION = re.compile(r"(?<![\w@])@([\w.+-]{1,150})")
MOST_MENTIONS = 10


class ReplyOvertaken(Conflict):
    code = "reply_overtaken"
    message = gettext_noop("Somebody else has answered in the meantime. Read it, then send yours again if it is still needed.")


def write(
    *,
    conversation_id: int,
    agent: User,
    text: str,
    now: datetime,
    is_note: bool = False,
    client_id: str = "",
    seen: int | None = None,
    data: dict[str, object] | None = None,
) -> conversations.Posted:
    """Post a reply or a private note as `agent` and return it.

    seen: highest number the agent's page showed. A reply is refused with ReplyOvertaken when a colleague has answered
    above it, unless None. The same client_id again returns the row it brought before.
    Raises what conversations.post raises, and ConversationMissing where the agent may not see the conversation.
    """
    teams.check(user=agent, conversation_id=conversation_id)
    with transaction.atomic():
        conversations.locked(conversation_id)
        if seen is not None and not is_note:
            known = client_id and Message.objects.filter(conversation_id=conversation_id, author=Author.AGENT, client_id=client_id).exists()
            if not known:
                _check_overtaken(conversation_id, agent, seen)
        posted = conversations.post(
            conversation_id=conversation_id, author=Author.AGENT, agent=agent, text=text, client_id=client_id, is_note=is_note, data=data, now=now
        )
        if posted.is_new and is_note:
            _mention(posted.message, agent, now)
        if posted.is_new:
            Draft.objects.filter(conversation_id=conversation_id, user=agent).delete()
        return posted


def _check_overtaken(conversation_id: int, agent: User, seen: int) -> None:
    others = Message.objects.filter(conversation_id=conversation_id, seq__gt=seen, author=Author.AGENT, is_note=False).exclude(agent=agent)
    first = others.select_related("agent").order_by("seq").first()
    if first is not None:
        raise ReplyOvertaken(by=str(first.agent or ""), seq=first.seq)


def mentioned(text: str) -> set[str]:
    """Return the names after @ in the text, in lower case and without the full stop that ends a sentence."""
    return {name.rstrip(".").lower() for name in _MENTION.findall(text)[:MOST_MENTIONS]}


def _mention(note: Message, by: User, now: datetime) -> None:
    names = mentioned(note.text)
    if not names:
        return
    # Only who may see the conversation is called: a mention must not tell others that it exists.
    called = [user for user in teams.staff_for(note.conversation.team_id) if user.pk != by.pk and names & {user.username.lower(), user.first_name.lower()}]
    Mention.objects.bulk_create([Mention(message=note, user=user, at=now) for user in called], ignore_conflicts=True)


def read_mentions(*, conversation_id: int, user: User, now: datetime) -> int:
    """Mark the user's mentions in the conversation as read; returns how many were not."""
    return Mention.objects.filter(message__conversation=conversation_id, user=user, read_at=None).update(read_at=now)
