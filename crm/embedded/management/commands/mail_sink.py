"""Run the local mail sink alone, beside a development server."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from crm.embedded import mailsink


class Command(BaseCommand):
    help = "Accept mail on a local port and keep it in a Maildir that /outbox/ shows. `up` runs this by itself."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=0, help="port to listen on; by default the one of last time, or any free one")

    def handle(self, *args: Any, port: int, **options: Any) -> None:
        chosen = port or mailsink.choose_port(settings.CRM_DATA_DIR)
        self.stdout.write(f"Mail for {mailsink.HOST}:{chosen} goes to {settings.CRM_OUTBOX_DIR}; end with Ctrl-C. Others find it with CRM_SMTP_PORT={chosen}.")
        mailsink.run(settings.CRM_OUTBOX_DIR, chosen)
