"""The way to the mail server: where it listens, and a conversation opened as the settings say.

What is said then is its caller's: a campaign must know which step failed, a chat's mail only whether to try again.
"""

import contextlib
import smtplib
import ssl
from collections.abc import Iterator

from django.conf import settings


class NoMailServer(OSError):
    """No server is set and the local sink does not run (or has not yet written down where)."""


def port() -> int:
    """Return the mail server's port: the one set, else where the local sink listens. Raises NoMailServer."""
    if settings.CRM_SMTP_PORT:
        return int(settings.CRM_SMTP_PORT)
    try:
        return int((settings.CRM_DATA_DIR / "run" / "mail_sink.port").read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise NoMailServer("no CRM_SMTP_PORT, and the local mail sink is not running") from error


def connect() -> smtplib.SMTP:
    """Return a conversation that is greeted, encrypted and logged in where the settings want it. Raises OSError or smtplib.SMTPException."""
    smtp = smtplib.SMTP(settings.CRM_SMTP_HOST, port(), timeout=settings.CRM_SMTP_TIMEOUT_SECONDS)
    try:
        smtp.ehlo_or_helo_if_needed()
        if settings.CRM_SMTP_TLS:
            smtp.starttls(context=ssl.create_default_context())
            smtp.ehlo()
        if settings.CRM_SMTP_USER:
            smtp.login(settings.CRM_SMTP_USER, settings.CRM_SMTP_PASSWORD)
    except (smtplib.SMTPException, OSError):
        smtp.close()
        raise
    return smtp


def hang_up(smtp: smtplib.SMTP) -> None:
    """End the conversation, politely where the other side still listens."""
    with contextlib.suppress(smtplib.SMTPException, OSError):
        smtp.quit()
    smtp.close()


@contextlib.contextmanager
def connected() -> Iterator[smtplib.SMTP]:
    """A conversation that ends with the block. Raises as `connect`."""
    smtp = connect()
    try:
        yield smtp
    finally:
        hang_up(smtp)
