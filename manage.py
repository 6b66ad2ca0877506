#!/usr/bin/env python
"""Command-line entry; starts the embedded PostgreSQL and Redis for commands that need them."""

import os
import sys

# Commands that must work with no database, or that look after the services themselves.
STANDALONE = {"up", "help", "check", "makemessages", "compilemessages", "collectstatic", "mail_sink", "startapp"}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm.settings")
    from django.core.management import execute_from_command_line

    from crm.embedded.errors import EmbeddedError

    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    try:
        from crm import embedded, settings  # noqa: F401 - reading the settings is what finds a bad one

        if command not in STANDALONE and not command.startswith("-"):
            embedded.ensure()
    except Exception as error:
        # BadSetting comes from the very package whose import may have failed, so it is known by its name.
        if isinstance(error, EmbeddedError) or type(error).__name__ == "BadSetting":
            sys.exit(_refuse(str(error)))
        raise
    execute_from_command_line(sys.argv)


def _refuse(line: str) -> int:
    """Print the one line that names the setting and the fix; return the exit code for wrong settings."""
    sys.stderr.write(f"{line}\n")
    return 2


if __name__ == "__main__":
    main()
