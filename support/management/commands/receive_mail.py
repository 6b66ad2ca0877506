"""Take one mail from standard input: the door for a mail server that pipes (Postfix, Exim, maildrop)."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import Error as DatabaseError

from crm.core import clock
from support.mail import addresses, receiving

# What a mail server understands (sysexits.h): refuse for good, or keep it and try again.
DATA_BAD, NO_USER, TRY_AGAIN = 65, 67, 75


class Command(BaseCommand):
    help = (
        "Put a mail given on standard input into its conversation: `manage.py receive_mail --to ADDRESS < mail.eml`. "
        f"Exit codes are a mail server's: 0 taken or ignored, {DATA_BAD} too large, {NO_USER} unknown address, {TRY_AGAIN} try again later."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--to", action="append", default=[], help="recipient of the envelope; by default the mail's own headers say it")
        parser.add_argument("--from", dest="envelope_from", default=None, help="sender of the envelope; the empty one marks a bounce")

    def handle(self, *args: Any, to: list[str], envelope_from: str | None, **options: Any) -> None:
        raw = sys.stdin.buffer.read(settings.CRM_INBOUND_MAIL_BYTES + 1)
        try:
            found = receiving.receive(raw, to=to, envelope_from=envelope_from, now=clock.now())
        except receiving.MailTooLarge as error:
            self._end(error.text, DATA_BAD)
        except addresses.AddressUnknown as error:
            self._end(error.text, NO_USER)
        except (receiving.MailTooMany, DatabaseError, OSError) as error:
            self._end(str(error), TRY_AGAIN)
        else:
            for each in found:
                self.stdout.write(f"{each.outcome}{f' ({each.why})' if each.why else ''}: conversation {each.conversation_id}")

    def _end(self, why: str, code: int) -> None:
        self.stderr.write(why)
        sys.exit(code)
