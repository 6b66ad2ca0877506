"""What becomes of a mail that comes in: a visitor's message, once, or nothing.

The address names the conversation (support.mail.addresses); the ids of the thread do where a mail program dropped the
token. A mail proves nothing about who wrote it: it never verifies an identity, and another sender than the one we wrote
to is shown to staff. Nothing here answers by itself, so no loop can begin.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parseaddr

from django.conf import settings
from django.db import transaction

from crm.core.errors import CrmError
from support import attachments, conversations, tickets
from support.mail import addresses, quotes, reading
from support.mail.reading import Letter
from support.models import Conversation, ConversationMail, Message, Ticket
from support.models.conversation import Author
from support.models.mail import MailState
from support.models.ticket import TicketState

logger = logging.getLogger(__name__)

# Mails one conversation takes in an hour; beyond that the sender's server is asked to try later.
MOST_PER_HOUR = 30
# Characters of the whole mail kept beside what was newly written.
LONGEST_WHOLE = 20_000


class MailTooLarge(CrmError):
    code = "mail_too_large"
    status = 413
    message = "The mail is too large."


class MailTooMany(CrmError):
    code = "mail_too_many"
    status = 429
    message = "Too many mails for one conversation; try later."


@dataclass(frozen=True, slots=True)
class Received:
    """outcome: stored, repeat or ignored (then `why`: bounce, auto-submitted, precedence, auto-reply, list, loop or empty)."""

    outcome: str
    conversation_id: int
    why: str = ""


def receive(raw: bytes, *, to: Sequence[str], now: datetime, envelope_from: str | None = None) -> list[Received]:
    """Store the mail in the conversation of each of our addresses among `to`, or among its headers where `to` is empty.

    envelope_from: MAIL FROM where known. Safe to run twice with the same mail. Raises addresses.AddressUnknown where no
    address is ours, MailTooLarge and MailTooMany.
    """
    if len(raw) > settings.CRM_INBOUND_MAIL_BYTES:
        raise MailTooLarge
    letter = reading.read(raw, envelope_from=envelope_from)
    found = _conversations(letter, to or letter.recipients)
    return [_received(raw, letter, each, now) for each in found]


def _conversations(letter: Letter, to: Sequence[str]) -> list[Conversation]:
    found: dict[int, Conversation] = {}
    for address in to:
        if addresses.is_plain(address):
            conversation = _by_thread(letter)
        elif addresses.is_ours(address):
            conversation = addresses.conversation_at(address)
        else:
            continue
        if conversation is not None:
            found[conversation.pk] = conversation
    if not found:
        raise addresses.AddressUnknown
    return list(found.values())


def _by_thread(letter: Letter) -> Conversation | None:
    """Return the conversation of the mail of ours that this one answers. Its id holds 122 random bits, as good as a token."""
    known = {
        mail.message_id: mail.conversation
        for mail in ConversationMail.objects.filter(message_id__in=letter.answers).select_related("conversation__customer", "conversation__source")
    }
    return next((known[each] for each in letter.answers if each in known), None)


def _received(raw: bytes, letter: Letter, conversation: Conversation, now: datetime) -> Received:
    why = letter.automatic or ("loop" if _is_from_us(letter) else "")
    if why:
        logger.info("mail ignored", extra={"conversation": conversation.pk, "why": why})
        if letter.is_bounce and reading.failed_recipients(raw):
            _bounced(conversation, reading.original_ids(raw), now)
        return Received("ignored", conversation.pk, why)
    return _stored(letter, conversation, now)


def _is_from_us(letter: Letter) -> bool:
    return addresses.is_ours(letter.sender) or letter.sender == parseaddr(settings.DEFAULT_FROM_EMAIL)[1].lower()


def _stored(letter: Letter, conversation: Conversation, now: datetime) -> Received:
    text = conversations.cleaned(quotes.new_part(letter.text))
    # The mail's own id makes the message unique in its conversation; a server that was cut off sends the same one again.
    client_id = "mail-" + hashlib.sha256(letter.message_id.encode("utf-8", "surrogatepass")).hexdigest()[:48]
    with transaction.atomic():
        conversations.locked(conversation.pk)
        mine = Message.objects.filter(conversation=conversation, author=Author.VISITOR)
        if mine.filter(client_id__startswith=client_id).exists():
            return Received("repeat", conversation.pk)
        if mine.filter(kind="mail", sent_at__gt=now - timedelta(hours=1)).count() >= MOST_PER_HOUR:
            raise MailTooMany
        files, refused = _files(letter)
        if len(text) > conversations.LONGEST_TEXT:
            files.append(reading.File("mail.txt", text.encode()))
            text = text[: conversations.LONGEST_TEXT - 2].rstrip() + " …"
        if not text and not files and not refused:
            return Received("ignored", conversation.pk, "empty")
        conversations.await_person(conversation_id=conversation.pk, reason="mail", now=now)
        refused += _attach(conversation.pk, files, client_id, now)
        about = {
            "from": letter.sender,
            "subject": letter.subject,
            "message_id": letter.message_id,
            "is_known": letter.sender == addresses.contact_of(conversation).lower(),
            "refused": refused,
            "whole": conversations.cleaned(letter.text)[:LONGEST_WHOLE] if text and conversations.cleaned(letter.text) != text else "",
        }
        # The words come last, so that the list shows them and not a file's name.
        conversations.post(
            conversation_id=conversation.pk, author=Author.VISITOR, kind="mail", client_id=client_id, data={"mail": about}, now=now, cause="mail",
            text=text or letter.subject[: conversations.LONGEST_TEXT].strip() or "–",
        )  # fmt: skip
        _reopen_tickets(conversation.pk, now)
    return Received("stored", conversation.pk)


def _files(letter: Letter) -> tuple[list[reading.File], list[str]]:
    """Return the files that may be attached and the names of the others."""
    kept, refused = [], []
    for each in letter.files:
        try:
            attachments.checked(each.content)
            kept.append(each)
        except CrmError:
            refused.append(attachments.safe_label(each.name))
    return kept, refused


def _attach(conversation_id: int, files: list[reading.File], client_id: str, now: datetime) -> list[str]:
    refused = []
    for number, each in enumerate(files):
        try:
            attachments.attach(conversation_id=conversation_id, content=each.content, name=each.name, client_id=f"{client_id}-{number}", now=now)
        except CrmError:
            refused.append(attachments.safe_label(each.name))
    return refused


def _reopen_tickets(conversation_id: int, now: datetime) -> None:
    """What waited for the customer, or seemed done, is work again; of a merged ticket, the one that goes on."""
    rows = list(Ticket.objects.filter(conversation_id=conversation_id))
    for pk in {tickets.survivor_id(row) if row.merged_into_id else row.pk for row in rows}:
        if Ticket.objects.filter(pk=pk, state__in=[TicketState.PENDING, TicketState.SOLVED]).exists():
            tickets.change(ticket_id=pk, state=TicketState.OPEN, by_label="mail", now=now)


def _bounced(conversation: Conversation, ids: set[str], now: datetime) -> None:
    """Tell staff, once per mail, that it did not arrive."""
    with transaction.atomic():
        conversations.locked(conversation.pk)
        row = ConversationMail.objects.filter(conversation=conversation, message_id__in=ids).exclude(state=MailState.FAILED).first()
        if row is not None:
            fail(row, error="bounced", now=now)


def fail(row: ConversationMail, *, error: str, now: datetime) -> None:
    """Give a mail up and leave a private note about it, so that nobody believes the visitor has read it."""
    row.state, row.error = MailState.FAILED, error[:200]
    row.save(update_fields=["state", "error", "attempts"])
    conversations.post(
        conversation_id=row.conversation_id, author=Author.SYSTEM, kind="mail_failed", is_note=True, text=f"{row.to}: {error}",
        client_id=f"mail-failed-{row.pk}", data={"to": row.to, "error": error}, now=now, cause="mail",
    )  # fmt: skip
