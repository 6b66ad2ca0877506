"""E-mail over a real SMTP conversation, step by step, because only the steps tell what a failure means.

A failure before the message's bytes leave can be repeated; one after it cannot, so it is Lost. smtplib's own send_message
hides which of the two happened. One connection serves a whole batch and is opened again when the server closed it.
"""

import re
import smtplib
from datetime import UTC, datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from types import TracebackType
from typing import Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _

from campaigns.channels.endings import Deferred, Lost, Refused, ServerUnavailable
from campaigns.messages import Message
from crm.core import clock
from crm.core import smtp as mail_door

# 7-bit bodies pass servers that do not offer 8BITMIME; headers are encoded per RFC 2047.
POLICY = policy.SMTP.clone(cte_type="7bit", max_line_length=76)
# Enhanced codes 5.1.x speak of the address; 5.2.1 is a closed mailbox (RFC 3463).
_ADDRESS_CODES = (b"5.1.", b"5.2.1")
_NAMED_ADDRESS = re.compile(r"(?P<name>[^<>]*)<(?P<address>[^<>]+)>")
_LEADING_DOT = re.compile(rb"^\.", re.MULTILINE)
# Servers close idle or busy connections politely after this many messages; reopening first costs less than a failure.
MESSAGES_PER_CONNECTION = 500


def compose(*, to: str, message: Message, message_id: str, campaign_id: int | None, at: datetime) -> EmailMessage:
    """Return the finished mail. Raises Refused for an address that cannot be written to."""
    try:
        validate_email(to)
        recipient = Address(addr_spec=to)
    except (ValidationError, ValueError, IndexError):
        raise Refused(reason="invalid_address") from None
    if not to.isascii():
        # Would need SMTPUTF8 at every server on the way.
        raise Refused(reason="invalid_address")
    mail = EmailMessage(policy=POLICY)
    name, address = sender()
    mail["From"] = Address(display_name=name, addr_spec=address)
    mail["To"] = recipient
    mail["Subject"] = message.subject
    mail["Date"] = format_datetime(at.astimezone(UTC))
    mail["Message-ID"] = message_id
    # RFC 2369 and RFC 8058: mail programs show their own unsubscribe button and POST to the address.
    mail["List-Unsubscribe"] = f"<{message.unsubscribe_url}>"
    mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    # RFC 3834: automatic answers (out of office) should not come back.
    mail["Auto-Submitted"] = "auto-generated"
    if campaign_id is not None:
        mail["X-Campaign"] = str(campaign_id)
    mail.set_content(message.text)
    mail.add_alternative(message.html, subtype="html")
    # After the content, which replaces every Content- header.
    mail["Content-Language"] = "zh-Hans" if message.language.startswith("zh") else message.language
    return mail


def message_id(public_id: object) -> str:
    """Return the Message-ID of a delivery: its public id at the sender's domain."""
    return f"<{public_id}@{sender()[1].rpartition('@')[2]}>"


def sender() -> tuple[str, str]:
    """Return the sender's display name and address; a comma in the name needs no quotation marks."""
    written = _NAMED_ADDRESS.fullmatch(settings.DEFAULT_FROM_EMAIL.strip())
    return (written["name"].strip(' "'), written["address"].strip()) if written else parseaddr(settings.DEFAULT_FROM_EMAIL)


class EmailSession:
    """A conversation with the mail server; opened on the first message, closed when the batch ends."""

    def __init__(self) -> None:
        self._smtp: smtplib.SMTP | None = None
        self._sent = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close()

    def hand_over(self, *, to: str, message: Message, message_id: str, campaign_id: int | None) -> None:
        """Return when the server answered 250 to the message. Raises as the channel protocol says."""
        mail = compose(to=to, message=message, message_id=message_id, campaign_id=campaign_id, at=clock.now())
        raw = mail.as_bytes()
        smtp = self._agreed(to)
        # From here on a broken connection means: nobody knows.
        try:
            # A line that begins with a dot gets a second one (RFC 5321, 4.5.2); the policy already wrote CR LF.
            smtp.send(_LEADING_DOT.sub(b"..", raw) + b".\r\n")
            code, answer = smtp.getreply()
        except (smtplib.SMTPException, OSError) as error:
            self._close()
            raise Lost from error
        self._sent += 1
        _judge(code, answer, expected=250)

    def _agreed(self, to: str) -> smtplib.SMTP:
        """Return a connection whose server waits for the message's bytes.

        A server may have closed a connection we kept; nothing has been sent then, so one fresh connection is tried.
        """
        for is_last in (self._smtp is None, True):
            smtp = self._ready()
            try:
                self._envelope(smtp, to)
            except (Deferred, Refused):
                self._reset()
                raise
            except (smtplib.SMTPException, OSError) as error:
                self._close()
                if is_last:
                    raise Deferred(f"The connection broke ({type(error).__name__}).") from error
            else:
                break
        return smtp

    def _envelope(self, smtp: smtplib.SMTP, to: str) -> None:
        _judge(*smtp.mail(sender()[1]), expected=250)
        code, answer = smtp.rcpt(to)
        _judge(code, answer, expected=250, of_address=True)
        _judge(*smtp.docmd("DATA"), expected=354)

    def _ready(self) -> smtplib.SMTP:
        if self._smtp is not None and self._sent >= MESSAGES_PER_CONNECTION:
            self._close()
        if self._smtp is None:
            self._smtp, self._sent = _connect(), 0
        return self._smtp

    def _reset(self) -> None:
        if self._smtp is None:
            return
        try:
            self._smtp.rset()
        except (smtplib.SMTPException, OSError):
            self._close()

    def _close(self) -> None:
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            mail_door.hang_up(smtp)


def _connect() -> smtplib.SMTP:
    try:
        return mail_door.connect()
    except mail_door.NoMailServer as error:
        raise ServerUnavailable(_("No mail server is set (CRM_SMTP_PORT) and the local mail sink is not running.")) from error
    except (smtplib.SMTPException, OSError) as error:
        raise ServerUnavailable(_("The mail server cannot be used (%(error)s).") % {"error": type(error).__name__}) from error


def _judge(code: int, answer: bytes, *, expected: int, of_address: bool = False) -> None:
    """Return when the answer is the expected one (251 is as good as 250); otherwise raise what it means."""
    if code == expected or (expected == 250 and code == 251):
        return
    # A number outside 4xx and 5xx is a server talking nonsense; not sent, so worth another try.
    if 500 <= code < 600:
        is_address = of_address or answer.startswith(_ADDRESS_CODES)
        raise Refused(reason="address_refused" if is_address else "message_refused", code=code)
    raise Deferred(code=code)
