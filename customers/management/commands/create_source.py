"""manage.py create_source: make a shop or site that may send facts, and print its write key."""

import secrets
from argparse import ArgumentParser
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError

from crm.core import audit
from crm.core.models import Source


class Command(BaseCommand):
    help = "Makes a source (a shop or site that sends facts) and prints its write key."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="Name of the shop or site, unique")
        parser.add_argument(
            "--origin", action="append", default=[], help="Origin its pages may send from, such as https://shop.example; may be repeated. None: any"
        )
        parser.add_argument("--currency", default=settings.CRM_CURRENCY, help="ISO code of amounts that arrive without one")
        parser.add_argument("--locale", default="en", choices=[code for code, _ in settings.LANGUAGES], help="Language of its customers")

    def handle(self, *args: object, **options: object) -> None:
        del args
        origins = [_origin(str(value)) for value in options["origin"]]  # type: ignore[attr-defined]
        currency = str(options["currency"]).upper()
        if len(currency) != 3 or not currency.isalpha():
            raise CommandError(f"--currency={currency!r} is not an ISO 4217 code; write one such as EUR.")
        try:
            source = Source.objects.create(
                name=str(options["name"]).strip(), write_key=f"wk_{secrets.token_urlsafe(24)}", identity_secret=secrets.token_urlsafe(32),
                allowed_origins=origins, currency=currency, locale=str(options["locale"]),
            )  # fmt: skip
        except IntegrityError:
            raise CommandError(f"There is already a source named {options['name']!r}; choose another name.") from None
        audit.record(actor=None, action="source.create", target=source)
        self.stdout.write(source.write_key)


def _origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path not in {"", "/"}:
        raise CommandError(f"--origin={value!r} is not an origin; write scheme and host, such as https://shop.example.")
    return f"{parts.scheme}://{parts.netloc}".lower()
