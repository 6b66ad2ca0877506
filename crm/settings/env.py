"""Typed readers for environment variables; every setting of the project is read through one of these.

Any variable NAME may instead be given as NAME_FILE, the path of a file that holds the value (container secrets).
A value that cannot be read raises BadSetting, whose text is one line naming the variable and the fix.
"""

import os
from collections.abc import Collection
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class BadSetting(Exception):
    """A setting has a value the project cannot use; the text says which variable and what to write instead."""


def raw(name: str) -> str | None:
    """Return the variable's text, or None when neither NAME nor NAME_FILE is set."""
    value = os.environ.get(name)
    if value is not None and value != "":
        return value
    file_path = os.environ.get(f"{name}_FILE")
    if not file_path:
        return None
    try:
        return Path(file_path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise BadSetting(f"{name}_FILE: cannot read {file_path!r} ({error.strerror}); point it at a readable file.") from error


def text(name: str, default: str = "") -> str:
    value = raw(name)
    return default if value is None else value


def required(name: str, *, hint: str) -> str:
    value = raw(name)
    if value is None:
        raise BadSetting(f"{name} is not set; {hint}")
    return value


def boolean(name: str, default: bool = False) -> bool:
    value = raw(name)
    if value is None:
        return default
    lowered = value.strip().lower()
    if lowered in {"1", "true", "yes", "on"}:
        return True
    if lowered in {"0", "false", "no", "off"}:
        return False
    raise BadSetting(f"{name}={value!r} is not a yes/no value; write 1 or 0.")


def integer(name: str, default: int, *, minimum: int | None = None, maximum: int | None = None) -> int:
    value = raw(name)
    if value is None:
        return default
    try:
        number = int(value)
    except ValueError:
        raise BadSetting(f"{name}={value!r} is not a whole number; write one such as {default}.") from None
    if (minimum is not None and number < minimum) or (maximum is not None and number > maximum):
        raise BadSetting(f"{name}={number} is out of range; write a number from {minimum} to {maximum}.")
    return number


def listing(name: str, default: list[str] | None = None) -> list[str]:
    value = raw(name)
    if value is None:
        return list(default or [])
    return [part.strip() for part in value.split(",") if part.strip()]


def path(name: str, default: Path) -> Path:
    value = raw(name)
    return Path(value).expanduser().resolve() if value else default


def choice(name: str, default: str, allowed: Collection[str]) -> str:
    value = text(name, default)
    if value not in allowed:
        raise BadSetting(f"{name}={value!r} is not known; write one of {', '.join(sorted(allowed))}.")
    return value


def time_zone(name: str, default: str) -> str:
    value = text(name, default)
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadSetting(f"{name}={value!r} is not a time zone; write one such as {default}.") from None
    return value


def currency(name: str, default: str) -> str:
    """Return an ISO 4217 code in capitals."""
    value = text(name, default).upper()
    if len(value) != 3 or not (value.isascii() and value.isalpha()):
        raise BadSetting(f"{name}={value!r} is not a currency; write an ISO 4217 code such as {default}.")
    return value


def web_address(name: str, default: str) -> str:
    """Return an http:// or https:// address without a slash at its end."""
    value = text(name, default).rstrip("/")
    parts = _split(name, value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise BadSetting(f"{name}={redacted(value)!r} is not a web address; write one such as https://crm.example.")
    return value


def database(url: str) -> dict[str, object]:
    """Return Django's database dictionary for a postgresql:// URL; a `host=/dir` query names a socket folder."""
    parts = _split("DATABASE_URL", url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise BadSetting(f"DATABASE_URL={redacted(url)!r} is not a PostgreSQL URL; write postgresql://user:password@host:5432/name.")
    name = unquote(parts.path.lstrip("/"))
    if not name:
        raise BadSetting(f"DATABASE_URL={redacted(url)!r} names no database; end it with /name.")
    options: dict[str, str] = {}
    host = unquote(parts.hostname or "")
    for pair in filter(None, parts.query.split("&")):
        key, _, value = pair.partition("=")
        if key == "host":
            host = unquote(value)
        elif key == "port":
            continue
        else:
            options[key] = unquote(value)
    try:
        port = parts.port or ""
    except ValueError:
        raise BadSetting(f"DATABASE_URL={redacted(url)!r} has a bad port; write a number after the colon.") from None
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": port,
        "OPTIONS": options,
    }


def redis_url(name: str, value: str) -> str:
    if not value.startswith(("redis://", "rediss://", "unix://")):
        raise BadSetting(f"{name}={redacted(value)!r} is not a Redis URL; write redis://host:6379/0.")
    return value


def celery_broker(name: str, value: str) -> str:
    """Return Celery's spelling of a Redis URL: it writes a socket as redis+socket://<path>?virtual_host=<number>."""
    value = redis_url(name, value)
    if not value.startswith("unix://"):
        return value
    path, _, query = value.removeprefix("unix://").partition("?")
    number = dict(pair.partition("=")[::2] for pair in query.split("&")).get("db", "0")
    return f"redis+socket://{path}?virtual_host={number}"


def _split(name: str, url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        # Whatever part of it is the password cannot be told, so the URL is not repeated.
        raise BadSetting(f"{name} is not a URL ({error}); correct it.") from None


def redacted(url: str) -> str:
    """Return the URL without its password, fit for an error line."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.partition("://")[0] + "://…"
    return url if parts.password is None else url.replace(f":{parts.password}@", ":***@")
