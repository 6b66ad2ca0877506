"""Run the SMTP door for visitors' answers by mail."""

import asyncio
import contextlib
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from support.mail import door


class Command(BaseCommand):
    help = "Take visitors' answers by mail on a local port and put them into their conversations. `up` runs this by itself."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=settings.CRM_INBOUND_MAIL_HOST, help="address to listen on; by default CRM_INBOUND_MAIL_HOST")
        parser.add_argument(
            "--port", type=int, default=settings.CRM_INBOUND_MAIL_PORT, help="port to listen on; by default CRM_INBOUND_MAIL_PORT, 0 takes any free one"
        )

    def handle(self, *args: Any, host: str, port: int, **options: Any) -> None:
        if not settings.CRM_INBOUND_MAIL_ADDRESS:
            raise CommandError("CRM_INBOUND_MAIL_ADDRESS is not set; write the address that answers go to, such as reply@shop.example.")

        def say(chosen: int) -> None:
            self.stdout.write(f"Mail to {settings.CRM_INBOUND_MAIL_ADDRESS} is taken at {host}:{chosen}")
            self.stdout.flush()

        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(door.serve(host, port, ready=say))
