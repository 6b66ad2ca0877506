"""What holds for every message and conversation: its limits, its refusals, and the lock all verbs begin with."""

from datetime import datetime, timedelta

from django.utils.translation import gettext_noop

from crm.core.errors import Conflict, CrmError, NotFound
from support.models import Conversation
from support.models.conversation import ConversationState

# Characters of one message; a longer text is a document, not a chat line.
LONGEST_TEXT = 4000
LONGEST_CLIENT_ID = 64
LONGEST_EMAIL = 254
# A visitor who writes within this time of closing continues the same conversation; later a new one begins.
SAME_SUBJECT = timedelta(hours=24)
# Messages returned by one `since`; a client that is further behind asks again.
PAGE = 200
# Cause of a change that concerns the visitor's page alone: staff has received or read what it wrote.
SEEN_BY_STAFF = "seen by staff"
OPEN_STATES = (ConversationState.BOT, ConversationState.QUEUED, ConversationState.ASSIGNED, ConversationState.SNOOZED)


class ConversationMissing(NotFound):
    code = "conversation_missing"
    message = gettext_noop("There is no such conversation.")


class TextEmpty(CrmError):
    code = "text_empty"
    message = gettext_noop("A message needs at least one visible character.")


class TextTooLong(CrmError):
    code = "text_too_long"
    message = f"A message may have at most {LONGEST_TEXT} characters."


class ClientIdBad(CrmError):
    code = "client_id_bad"
    message = f"A client id has at most {LONGEST_CLIENT_ID} characters, none of them U+0000."


class ConversationOver(Conflict):
    code = "conversation_over"
    message = gettext_noop("This conversation ended some time ago; a new one begins.")


class AlreadyTaken(Conflict):
    code = "already_taken"
    message = gettext_noop("Someone else has taken this conversation.")


class RatingBad(CrmError):
    code = "rating_bad"
    message = gettext_noop("A rating is a whole number from 1 to 5.")


class EmailBad(CrmError):
    code = "email_bad"
    message = gettext_noop("That is not an e-mail address one can write to.")


def locked(conversation_id: int) -> Conversation:
    """Return the conversation with its row locked to the end of the transaction."""
    found = Conversation.objects.select_for_update(of=("self",)).filter(pk=conversation_id).first()
    if found is None:
        raise ConversationMissing
    return found


def is_over(conversation: Conversation, now: datetime) -> bool:
    """Return whether it was closed so long ago that a new subject begins with the next line."""
    return conversation.state == ConversationState.CLOSED and conversation.closed_at is not None and conversation.closed_at < now - SAME_SUBJECT


def checked(text: str) -> str:
    """Return the text as it is stored. Raises TextEmpty or TextTooLong."""
    text = cleaned(text)
    if not text:
        raise TextEmpty
    if len(text) > LONGEST_TEXT:
        raise TextTooLong(length=len(text))
    return text


def cleaned(text: str) -> str:
    """Return the text without surrounding blanks and without what PostgreSQL or UTF-8 cannot store."""
    return text.replace("\x00", "").encode("utf-8", "ignore").decode("utf-8").strip()
