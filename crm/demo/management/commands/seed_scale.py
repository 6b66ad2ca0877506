"""Fill the database with a generated shop of any size, for measuring."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from crm.core import clock
from crm.core.errors import CrmError
from crm.demo.scale import seed


class Command(BaseCommand):
    help = "Fill the database with a generated shop of any size, the same every time, for measuring. Not for a shop in use."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--customers", type=int, default=100_000)
        parser.add_argument("--orders", type=int, help="default: ten per customer")
        parser.add_argument("--events", type=int, help="default: twenty per customer")
        parser.add_argument("--seed", type=int, default=7)
        parser.add_argument("--force", action="store_true", help="even where there are other customers")

    def handle(self, *args: Any, **options: Any) -> None:
        people = options["customers"]
        orders = 10 * people if options["orders"] is None else options["orders"]
        events = 20 * people if options["events"] is None else options["events"]
        if people < 1 or orders < 1 or events < 1 or options["seed"] < 0:
            raise CommandError("Numbers of customers, orders and events must be 1 or more, the seed 0 or more.", returncode=2)
        until = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
        try:
            made = seed.seed(customers=people, orders=orders, events=events, until=until, number=options["seed"], force=options["force"], say=self.stdout.write)
        except CrmError as error:
            raise CommandError(error.text) from error
        for name, count in made.items():
            self.stdout.write(f"{count:>12,} {name}")
