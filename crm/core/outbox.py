"""Reads the mails the local sink caught, straight from its Maildir; newest first, one page at a time.

The folder is the truth: a mail is one file in new/ or cur/. File names come from the URL, so they are only ever compared
with names that exist and never joined to a path.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesHeaderParser, BytesParser
from email.utils import parsedate_to_datetime
from pathlib import Path

from crm.core.errors import NotFound

FOLDERS = ("new", "cur")
# A mail larger than this is shown cut; the sink takes larger ones.
LARGEST_BYTES = 5_000_000
# How many newest mails a search looks through; a development tool need not index.
SEARCHED = 2000


@dataclass(frozen=True, slots=True)
class MailLine:
    """One mail in the list. key: the file's name without its flags."""

    key: str
    sender: str
    to: str
    subject: str
    at: datetime


@dataclass(frozen=True, slots=True)
class MailPage:
    """A slice of the outbox. total: mails in it altogether (matching the search)."""

    mails: tuple[MailLine, ...]
    number: int
    pages: int
    total: int

    @property
    def has_previous(self) -> bool:
        return self.number > 1

    @property
    def has_next(self) -> bool:
        return self.number < self.pages


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail. headers: in their order.  text, html: the first part of each kind, '' where there is none."""

    line: MailLine
    headers: tuple[tuple[str, str], ...]
    text: str
    html: str


def listing(folder: Path, *, number: int = 1, per_page: int = 50, query: str = "") -> MailPage:
    """Return one page of mails, newest first. query: only mails whose sender, recipient or subject contain it."""
    files = _files(folder)
    if query:
        wanted = query.casefold()
        lines = [line for line in map(_line, files[:SEARCHED]) if line and wanted in f"{line.sender} {line.to} {line.subject}".casefold()]
        pages = max(1, -(-len(lines) // per_page))
        number = min(max(1, number), pages)
        return MailPage(tuple(lines[(number - 1) * per_page : number * per_page]), number, pages, len(lines))
    pages = max(1, -(-len(files) // per_page))
    number = min(max(1, number), pages)
    shown = files[(number - 1) * per_page : number * per_page]
    return MailPage(tuple(line for line in map(_line, shown) if line), number, pages, len(files))


def read(folder: Path, key: str) -> Mail:
    """Return one mail with its readable parts. Raises NotFound."""
    path = next((path for path in _files(folder) if _key(path) == key), None)
    if path is None:
        raise NotFound
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_BYTES)
    except OSError:
        raise NotFound from None
    message = BytesParser(policy=policy.default).parsebytes(raw)
    line = _from(message, path)
    headers = tuple((name, _header(message, name, value)) for name, value in message.raw_items())
    return Mail(line, headers, _part(message, "plain"), _part(message, "html"))


def _files(folder: Path) -> list[Path]:
    """Return every mail's path, newest first by the file's time; a mail that vanishes meanwhile is left out."""
    return [path for _at, path in sorted(_dated(folder), key=lambda item: (item[0], item[1].name), reverse=True)]


def _dated(folder: Path) -> Iterator[tuple[int, Path]]:
    for name in FOLDERS:
        try:
            entries = os.scandir(folder / name)
        except OSError:
            continue
        with entries:
            for entry in entries:
                try:
                    if entry.is_file(follow_symlinks=False) and not entry.name.startswith("."):
                        yield entry.stat(follow_symlinks=False).st_mtime_ns, Path(entry.path)
                except OSError:
                    continue


def _key(path: Path) -> str:
    return path.name.partition(":")[0]


def _line(path: Path) -> MailLine | None:
    try:
        with path.open("rb") as file:
            message = BytesHeaderParser(policy=policy.default).parse(file)
    except OSError:
        return None
    return _from(message, path)  # type: ignore[arg-type]


def _from(message: EmailMessage, path: Path) -> MailLine:
    return MailLine(
        _key(path), _header(message, "From"), _header(message, "To") or _header(message, "X-RcptTo"), _header(message, "Subject"), _at(message, path)
    )


def _header(message: EmailMessage, name: str, raw: object = None) -> str:
    """Return a header decoded; one that cannot be parsed is shown as it came."""
    try:
        return str(message.policy.header_fetch_parse(name, str(raw if raw is not None else message.get(name, "")))).strip()
    except Exception:
        # The parser of broken headers raises whatever it happens to hit.
        return str(raw or "")


def _at(message: EmailMessage, path: Path) -> datetime:
    try:
        at = parsedate_to_datetime(str(message["Date"]))
        return at if at.tzinfo else at.replace(tzinfo=UTC)
    except (TypeError, ValueError, IndexError):
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body(preferencelist=(kind,))
    if part is None:
        return ""
    try:
        return str(part.get_content())
    except (LookupError, UnicodeError, KeyError):
        return bytes(part.get_payload(decode=True) or b"").decode("utf-8", "replace")
