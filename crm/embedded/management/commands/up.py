"""Start everything on this machine: PostgreSQL, Redis, web, workers, Beat and a mail sink, with a demo shop to look at.

    manage.py up [--port 8000] [--host 127.0.0.1] [--no-demo] [--reset-demo]

Exit codes: 0 after an orderly end, 1 when a step of the start failed, 2 when a setting makes the start impossible.
"""

import os
import signal
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from crm.embedded import checks
from crm.embedded.console import Console
from crm.embedded.errors import EmbeddedError
from crm.embedded.running import Options, Running


class Command(BaseCommand):
    help = "Start everything on this machine and show the demo shop; Ctrl-C ends it all in order."
    # The checks of interest here are `crm.embedded.checks`; Django's own are `manage.py check`, part of `make lint`.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", help="port of the web server (default: $PORT, else 8000)")
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for all (default: %(default)s)")
        parser.add_argument("--no-demo", action="store_true", help="begin with an empty shop")
        parser.add_argument("--reset-demo", action="store_true", help="remove the demo shop and build it anew")

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console()
        running: Running | None = None
        try:
            given = options["port"]
            name, text = ("--port", str(given)) if given else ("PORT", os.environ.get("PORT") or "8000")
            port = checks.port_number(text, name=name)
            checks.folder_is_writable(settings.CRM_DATA_DIR)
            checks.port_is_free(options["host"], port, name=name)
            chosen = Options(host=options["host"], port=port, demo=not options["no_demo"], reset_demo=options["reset_demo"])
            running = Running(chosen, console)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, running.on_signal)
            code = running.run()
        except EmbeddedError as error:
            sys.stderr.write(f"{error}\n")
            code = 2
        finally:
            if running is not None:
                running.end()
        sys.exit(code)
