#!/usr/bin/env python
"""Command-line entry; starts the embedded PostgreSQL and Redis for commands that need them."""

import os
import sys

# Commands that must work with no database, or that look after the services themselves.
STANDALONE = {"up", "help", "check", "makemessages", "compilemessages", "collectstatic", "mail_sink", "startapp"}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm.settings")
    from django.core.management import execute_from_command_line

    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    if command not in STANDALONE and not command.startswith("-"):
        from crm import embedded

        embedded.ensure()
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
