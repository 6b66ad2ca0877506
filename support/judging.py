"""Judging visitors' messages that nobody judged: those written to people, and those of before a model served.

So agents see an intent on every message, and the labelling queue and the weekly report cover whole conversations. Messages
people have labelled are left alone: a model that learnt from them would only be judged on its own lesson.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from crm.core.errors import CrmError
from support import intents, triage, understanding
from support.models import Conversation, Message
from support.models.conversation import Author, ReplyState

LOOKED_BACK = timedelta(days=60)
# At once: about 10 ms each.
MOST = 300


def catch_up(*, now: datetime) -> int:
    """Judge up to MOST messages of the last weeks, newest first; return how many. Two queries where nothing is to do.

    Changes what is noted with the messages, and what a conversation is about where nobody had said, never its course.
    Without a model nothing is done.
    """
    rows = list(
        Message.objects.filter(author=Author.VISITOR, kind="text", intent_version=None, example=None, sent_at__gte=now - LOOKED_BACK)
        .exclude(reply_state=ReplyState.DUE)
        .exclude(data__has_key="choice")
        .select_related("conversation")
        .order_by("-sent_at", "-pk")[:MOST]
    )
    if not rows:
        return 0
    try:
        judged = triage.judged([(row.text, row.language or row.conversation.language) for row in rows])
    except CrmError:
        return 0
    for row, found in zip(rows, judged, strict=True):
        named, meant = understanding.look(row.text, source_id=row.conversation.source_id, at=row.sent_at)
        row.intent, row.confidence, row.in_scope, row.intent_version = found.label, found.confidence, found.in_scope, found.version
        row.understood = understanding.noted(named, meant, found.weighed)
    Message.objects.bulk_update(rows, ["intent", "confidence", "in_scope", "intent_version", "understood"], batch_size=100)
    _name_conversations(rows)
    return len(rows)


def _name_conversations(rows: Sequence[Message]) -> None:
    """Let conversations be about the first thing these rows ask, where the assistant never came to say; rows: newest first."""
    about = {row.conversation_id: row.intent for row in rows if row.in_scope and row.intent not in intents.NOT_A_CHOICE and not row.conversation.intent}
    together: dict[str, list[int]] = defaultdict(list)
    for conversation_id, intent in about.items():
        together[intent].append(conversation_id)
    for intent, conversation_ids in together.items():
        Conversation.objects.filter(pk__in=conversation_ids, intent="").update(intent=intent)
