"""Make the portraits of past months from the facts of their first days."""

import argparse
import time
from typing import Any

from django.core.management.base import BaseCommand

from crm.core import clock


class Command(BaseCommand):
    help = "Make the portraits of past months, so that 'since last month' and the flow between stages work from the first day."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--months", type=int, default=6, help="this month and how many before, counted together (default: 6)")

    def handle(self, *args: Any, **options: Any) -> None:
        from customers import portrait, snapshots

        as_of, began = clock.now(), time.monotonic()
        made = 0
        for month in snapshots.rebuild(as_of=as_of, months=options["months"]):
            made += month.customers
            self.stdout.write(f"{month.as_of:%Y-%m-%d} {month.customers:>9} customers {time.monotonic() - began:>7.1f} s")
        if made:
            portrait.refresh(as_of=as_of, cause=snapshots.CAUSE)
        self.stdout.write(
            f"{made} rows, portraits refreshed, {time.monotonic() - began:.1f} s" if made else "Nothing to make: there is no history before this month."
        )
