"""Which visitors have left before they saw what staff wrote, and the mail each of them gets.

The messages' rows say what is owed, so nothing is lost with a process: a sweep finds lines that no page of the visitor
has received, keeps one mail for all of them, and hands it to the mail server until that takes it. A server that dies
between taking it and saying so gets it again, with the same Message-ID.
"""

import logging
import smtplib
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from crm.core import clock, smtp
from crm.core.errors import CrmError
from support import conversations
from support.mail import addresses, composing
from support.mail.receiving import fail
from support.models import Conversation, ConversationMail, Message
from support.models.conversation import Author
from support.models.mail import MailState

logger = logging.getLogger(__name__)

# A page that has received a line and closed without anybody looking at it: after this long it is mailed as well.
UNREAD_AFTER = timedelta(minutes=30)
# Lines older than this stay in the chat: nobody expects them by mail any more.
BACK = timedelta(days=2)
AT_ONCE = 50
# Pauses after each failure; then the mail is given up and staff is told.
PAUSES = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 360, 720))
# A mail being handed over is left alone for this long.
LEASE = timedelta(minutes=2)
_KINDS = ("text", "file")


def sweep(*, now: datetime) -> int:
    """Mail every visitor what they have not seen and try failed mails again; returns how many mails were taken by the server."""
    if not addresses.is_on():
        return 0
    for conversation_id in owed(now=now):
        prepare(conversation_id=conversation_id, now=now)
    waiting = ConversationMail.objects.filter(state=MailState.WAITING, next_at__lte=now).order_by("pk").values_list("pk", flat=True)
    taken, moment = 0, clock.going_on(now)
    for pk in waiting[:AT_ONCE]:
        try:
            taken += hand_over(mail_id=pk, now=moment())
        except ServerAway:
            # The others would only wait for it as long, and the worker has other work.
            break
    return taken


def owed(*, now: datetime) -> list[int]:
    """Return the conversations whose visitor can be written to and has not seen what staff wrote. One query.

    A line is due when no page of the visitor's has received it for CRM_CHAT_MAIL_AFTER_SECONDS, or nobody has looked at
    it for UNREAD_AFTER. History of the demo shop is never mailed.
    """
    away = timedelta(seconds=settings.CRM_CHAT_MAIL_AFTER_SECONDS)
    missed = Q(sent_at__lte=now - away, conversation__visitor_got_seq__lt=F("seq")) | Q(
        sent_at__lte=now - UNREAD_AFTER, conversation__visitor_read_seq__lt=F("seq")
    )
    reachable = ~Q(conversation__visitor_email="") | (Q(conversation__is_verified=True) & Q(conversation__customer__email__gt=""))
    mailed = ConversationMail.objects.filter(conversation=OuterRef("conversation"), upto_seq__gte=OuterRef("seq"))
    rows = Message.objects.filter(missed, reachable, author=Author.AGENT, is_note=False, kind__in=_KINDS, sent_at__gt=now - BACK, conversation__is_demo=False)
    return list(rows.exclude(Exists(mailed)).order_by().values_list("conversation_id", flat=True).distinct()[:AT_ONCE])


def prepare(*, conversation_id: int, now: datetime) -> ConversationMail | None:
    """Keep one mail for all lines of staff that were neither read nor mailed yet; None where another worker was quicker."""
    with transaction.atomic():
        talk = conversations.locked(conversation_id)
        mailed = ConversationMail.objects.filter(conversation=talk).order_by("-upto_seq").values_list("upto_seq", flat=True).first() or 0
        numbers = list(_lines(talk, max(mailed, talk.visitor_read_seq), talk.last_seq).values_list("seq", flat=True))
        to = addresses.contact_of(talk)
        if not numbers or not to:
            return None
        message_id = f"<{uuid.uuid4()}@{addresses.base()[1]}>"
        return ConversationMail.objects.create(
            conversation=talk, message_id=message_id, to=to, from_seq=numbers[0], upto_seq=numbers[-1], next_at=now, created_at=now
        )


def _lines(talk: Conversation, after: int, upto: int) -> "QuerySet[Message]":
    return Message.objects.filter(conversation=talk, author=Author.AGENT, is_note=False, kind__in=_KINDS, seq__gt=after, seq__lte=upto).order_by("seq")


def hand_over(*, mail_id: int, now: datetime) -> bool:
    """Give the mail to the server unless another worker is at it; returns whether the server took it. No transaction meanwhile.

    Raises ServerAway, with the attempt noted, where the server cannot be spoken to at all.
    """
    claimed = ConversationMail.objects.filter(pk=mail_id, state=MailState.WAITING, next_at__lte=now).update(next_at=now + LEASE)
    if not claimed:
        return False
    row = ConversationMail.objects.select_related("conversation__source", "conversation__customer").get(pk=mail_id)
    talk = row.conversation
    lines = list(_lines(talk, row.from_seq - 1, row.upto_seq).select_related("agent"))
    said = Message.objects.filter(conversation=talk, is_note=False, seq__lt=row.from_seq).exclude(author=Author.SYSTEM)
    before = list(said.order_by("-seq")[: composing.QUOTED])[::-1]
    row.attempts += 1
    try:
        mail = composing.compose(row=row, lines=lines, before=before, answers=_thread(row), at=now)
        error = _submit(mail.as_bytes(), sender=addresses.reply_address(talk), to=row.to)
    except (ValueError, LookupError):
        # No mail can be written to what the shop, or a list somebody imported, calls an address. The others' mails go on.
        error = _Failure("no address", is_final=True)
    if error is None:
        row.state, row.sent_at, row.error = MailState.SENT, now, ""
    elif error.is_final or row.attempts > len(PAUSES):
        with transaction.atomic():
            conversations.locked(talk.pk)
            fail(row, error=error.text, now=now)
        return False
    else:
        row.error, row.next_at = error.text[:200], now + PAUSES[row.attempts - 1]
    row.save(update_fields=["state", "sent_at", "error", "attempts", "next_at"])
    if error is not None and error.is_away:
        raise ServerAway
    return error is None


def _thread(row: ConversationMail) -> list[str]:
    """Return the ids of the mails of both sides before this one, oldest first, so that mail programs show one thread."""
    ours = ConversationMail.objects.filter(conversation=row.conversation, pk__lt=row.pk).values_list("created_at", "message_id")
    theirs = Message.objects.filter(conversation=row.conversation, kind="mail").values_list("sent_at", "data__mail__message_id")
    return [str(each) for _, each in sorted([*ours, *theirs]) if each and each.isascii() and "@no-id>" not in each]


class ServerAway(CrmError):
    code = "mail_server_away"
    status = 503
    message = "The mail server cannot be spoken to."


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a mail was not taken. is_final: trying again is useless. is_away: it is not about this mail."""

    text: str
    is_final: bool = False
    is_away: bool = False


def _submit(raw: bytes, *, sender: str, to: str) -> _Failure | None:
    """Speak to the mail server; None where it took the mail. Answers of 5xx are final, everything else is worth another try."""
    try:
        with smtp.connected() as conversation:
            conversation.sendmail(sender, [to], raw)
    except smtplib.SMTPRecipientsRefused as error:
        code = max(code for code, _ in error.recipients.values())
        return _Failure(f"refused ({code})", is_final=code >= 500)
    except smtplib.SMTPResponseException as error:
        # A server that does not want us at all (login, greeting) is a matter of settings, and mended some day.
        return _Failure(f"{type(error).__name__} {error.smtp_code}", is_final=isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= 500)
    except (smtplib.SMTPException, OSError) as error:
        return _Failure(type(error).__name__, is_away=True)
    return None
