"""What a visitor's line belongs to: those before it that were left to it, the question it answers, those that carry it on.

The first and the last are asked again under the conversation's lock, so that of two workers with a line each one takes up
what the other leaves.
"""

from itertools import dropwhile, takewhile

from support.models import Message
from support.models.conversation import Author, ReplyState
from support.models.labels import OUT_OF_SCOPE

# Lines of one hurried question that are read together.
MOST_OPEN_LINES = 10


def lines_before(message: Message) -> str:
    """Return the lines the visitor wrote just before this one that were left to it, '' where there are none. One query."""
    before = Message.objects.filter(conversation_id=message.conversation_id, seq__lt=message.seq, is_note=False).order_by("-seq")
    found: list[str] = []
    for author, text, state in before.values_list("author", "text", "reply_state")[:MOST_OPEN_LINES]:
        if author != Author.VISITOR or state != ReplyState.DONE:
            break
        found.append(text)
    return "\n".join(reversed(found))


def choice_in(message: Message) -> str:
    """Return the intent the visitor picked where the assistant's last question offered it; anything else a page sends is no choice."""
    chosen = str(message.data.get("choice", ""))
    if not chosen:
        return ""
    asked = _last_question(message)
    offered = asked.data.get("choices") or [] if asked else []
    return chosen if chosen in {OUT_OF_SCOPE, *(str(each["label"]) for each in offered)} and offered else ""


def asked_back(message: Message) -> str:
    """Return the visitor's lines to which the assistant's last question before this one asked back. Two queries."""
    asked = _last_question(message)
    return lines_before(asked) if asked else ""


def _last_question(message: Message) -> Message | None:
    return Message.objects.filter(conversation_id=message.conversation_id, author=Author.BOT, kind="clarify", seq__lt=message.seq).order_by("-seq").first()


def is_carried_on(message: Message) -> bool:
    """Return whether a later line of the visitor speaks for this one too. One query.

    One just after it that still waits for its reply will be read together with it; one that got an answer or a question back
    was more than small talk, and what it asks is what the visitor asks now.
    """
    after = Message.objects.filter(conversation_id=message.conversation_id, seq__gt=message.seq, is_note=False).order_by("seq")
    lines = list(after.values_list("author", "reply_state", "kind"))
    waits = any(state == ReplyState.DUE for _author, state, _kind in takewhile(_is_visitors, lines))
    since = dropwhile(lambda line: not _is_visitors(line), lines)
    return waits or any(author == Author.BOT and kind != "text" for author, _state, kind in since)


def _is_visitors(line: tuple[str, str, str]) -> bool:
    return line[0] == Author.VISITOR
