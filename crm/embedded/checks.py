"""What `up` makes sure of before it starts anything; each finding is one line naming the setting and the fix."""

import errno
import socket
import uuid
from pathlib import Path

from crm.embedded.errors import EmbeddedError

CONNECT_SECONDS = 3


class CannotStart(EmbeddedError):
    """A setting makes a start impossible."""


def port_number(text: str, *, name: str) -> int:
    """Return the port number in the text. Raises CannotStart naming the option or variable it came from."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= 65535:
        raise CannotStart(f"{name}={text!r} is not a port; write a number from 1 to 65535.")
    return number


def port_is_free(host: str, port: int, *, name: str) -> None:
    """Raise CannotStart when the web server could not listen there."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError):
        raise CannotStart(f"--host={host!r} is not an address of this machine; write 127.0.0.1, or 0.0.0.0 for all of its addresses.") from None
    with socket.socket(family, kind, protocol) as probe:
        # As the web server does: a port whose last connections still linger is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise CannotStart(f"{name}={port} is already in use on {host}; end the program that uses it, or choose another with --port or PORT.") from None
            if error.errno == errno.EACCES:
                raise CannotStart(f"{name}={port} needs administrator rights; choose a port above 1023 with --port or PORT.") from None
            raise CannotStart(
                f"--host={host!r} is not an address of this machine ({error.strerror}); write 127.0.0.1, or 0.0.0.0 for all of its addresses."
            ) from None


def folder_is_writable(folder: Path) -> None:
    """Raise CannotStart when no file can be created in the data folder, which is made if it is missing."""
    probe = folder / f".write-test-{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        raise CannotStart(f"PERENNIAL_DATA_DIR: cannot write to {str(folder)!r} ({error.strerror}); choose a writable folder.") from None


def database_answers() -> None:
    """Raise CannotStart when the database of the settings cannot be used; for a DATABASE_URL given by the user."""
    from django.db import connection
    from django.db.utils import Error

    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW server_version_num")
            version = int(cursor.fetchone()[0])
            cursor.execute("SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'")
            has_vector = bool(cursor.fetchone()[0])
    except Error as error:
        # The first line says what failed; psycopg adds guesses below it.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CannotStart(f"DATABASE_URL: {reason}; correct it, start that server, or leave DATABASE_URL out to use the embedded PostgreSQL.") from None
    if version < 150_000:
        raise CannotStart(f"DATABASE_URL: that server is PostgreSQL {version // 10_000}; use version 15 or later, or leave DATABASE_URL out.")
    if not has_vector:
        raise CannotStart("DATABASE_URL: that server lacks the extension pgvector; install it there, or leave DATABASE_URL out.")


def redis_answers(url: str) -> None:
    """Raise CannotStart when the Redis of the settings cannot be used; for a REDIS_URL given by the user."""
    import redis

    try:
        with redis.Redis.from_url(url, socket_connect_timeout=CONNECT_SECONDS, socket_timeout=CONNECT_SECONDS) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        raise CannotStart(f"REDIS_URL: {error}; correct it, start that server, or leave REDIS_URL out to use the embedded Redis.".replace("\n", " ")) from None
