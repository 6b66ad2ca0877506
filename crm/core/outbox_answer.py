"""Answers a caught mail as its recipient's mail program would: for trying e-mail continuity where no mail server is.

The answer goes through the same SMTP door as a provider's would, with the ids of the thread and the mail quoted below.
"""

import smtplib
from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid, parseaddr

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_noop

from crm.core.errors import CrmError
from crm.core.outbox import Mail


class NotTaken(CrmError):
    code = "not_taken"
    status = 502
    message = gettext_noop("The receiver of mails did not take the answer.")


def is_possible(mail: Mail) -> bool:
    """Return whether the mail asks for answers at the address our receiver takes them for."""
    wanted = settings.CRM_INBOUND_MAIL_ADDRESS.lower()
    local, _, domain = parseaddr(_header(mail, "Reply-To"))[1].lower().rpartition("@")
    own, _, own_domain = wanted.rpartition("@")
    return bool(wanted and settings.CRM_INBOUND_MAIL_PORT) and domain == own_domain and local.partition("+")[0] == own


def send(mail: Mail, *, text: str, at: datetime) -> None:
    """Hand the answer over. Raises NotTaken."""
    sender, to = parseaddr(_header(mail, "To"))[1], parseaddr(_header(mail, "Reply-To"))[1]
    answer = EmailMessage(policy=policy.SMTP.clone(cte_type="7bit"))
    answer["From"], answer["To"], answer["Subject"] = sender, to, f"Re: {mail.line.subject}"
    answer["Date"], answer["Message-ID"] = format_datetime(at), make_msgid(domain=sender.rpartition("@")[2] or "localhost")
    if original := _header(mail, "Message-ID"):
        answer["In-Reply-To"], answer["References"] = original, f"{_header(mail, 'References')} {original}".strip()
    when = f"{timezone.localtime(mail.line.at):%Y-%m-%d %H:%M}"
    quoted = "\n".join(f"> {line}" for line in mail.text.splitlines())
    answer.set_content(f"{text}\n\nOn {when}, {mail.line.sender} wrote:\n{quoted}\n")
    try:
        with smtplib.SMTP(settings.CRM_INBOUND_MAIL_HOST, settings.CRM_INBOUND_MAIL_PORT, timeout=10) as smtp:
            smtp.send_message(answer, from_addr=sender, to_addrs=[to])
    except (smtplib.SMTPException, OSError) as error:
        raise NotTaken from error


def _header(mail: Mail, name: str) -> str:
    return next((value for header, value in mail.headers if header.lower() == name.lower()), "")
