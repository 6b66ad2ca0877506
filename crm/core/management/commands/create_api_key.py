"""Make a partner's API key and print it this once."""

import argparse
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from crm.core import audit, clock
from crm.core.api import keys
from crm.core.models import Source


class Command(BaseCommand):
    help = "Create an API key for a partner's program and print it; it cannot be shown again."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", help="who holds the key")
        parser.add_argument("--scope", action="append", required=True, metavar="SCOPE", help=f"repeat for each: {', '.join(keys.SCOPES)}")
        parser.add_argument("--source", action="append", default=[], metavar="NAME", help="limit the key to this source; repeat for more")
        parser.add_argument("--days", type=int, default=0, help="days until it expires (default: never)")

    def handle(self, *args: Any, **options: Any) -> None:
        sources = list(Source.objects.filter(name__in=options["source"]))
        missing = set(options["source"]) - {source.name for source in sources}
        if missing:
            raise CommandError(f"There is no source named {', '.join(sorted(missing))}; see `manage.py create_source`.")
        expires_at = clock.now() + timedelta(days=options["days"]) if options["days"] > 0 else None
        try:
            key, text = keys.create(name=options["name"], scopes=options["scope"], sources=sources, expires_at=expires_at)
        except keys.ScopeUnknown as error:
            raise CommandError(error.text) from error
        audit.record(actor=None, actor_label="command line", action="api_key.create", target=key, data={"scopes": key.scopes})
        self.stdout.write(text)
