"""A mail as a value: who it says it is from, what it answers, its text in any charset, its files, and whether a program wrote it.

Mails are written by strangers: nothing here trusts a header, loads anything, or raises for a mail that is merely broken.
"""

import codecs
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.header import decode_header
from email.message import Message
from email.utils import getaddresses, parseaddr

from support.conversations import cleaned
from support.mail import html

# Parts looked at and nesting followed; no mail program makes more, a bomb does.
MOST_PARTS, MOST_FILES, DEEPEST = 200, 20, 30
# Characters of a header that are looked at.
LONGEST_HEADER = 20_000
# Pictures this small inside an HTML mail are the logos of signatures.
SMALLEST_INLINE_BYTES = 10_000
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,200}>")
# GB 18030 contains GB 2312 and GBK, and mails that name those often use more than they hold.
_CHARSETS = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb_2312-80": "gb18030",
    "x-gbk": "gb18030",
    "cp936": "gb18030",
    "ks_c_5601-1987": "cp949",
    "iso-8859-1": "cp1252",
}
# What Python decodes and no mail is written in; the first takes hours over a text of megabytes.
_NO_CHARSETS = frozenset({"punycode", "idna", "unicode-escape", "raw-unicode-escape", "undefined"})


@dataclass(frozen=True, slots=True)
class File:
    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Letter:
    """message_id: with its angle brackets; made of the mail's bytes where it has none. answers: ids it refers to, nearest first.

    sender: the address in From, unproven. automatic: why it was no person who wrote, '' where nothing says so.
    """

    message_id: str
    answers: tuple[str, ...]
    sender: str
    sender_name: str
    recipients: tuple[str, ...]
    subject: str
    automatic: str
    is_bounce: bool
    text: str
    files: tuple[File, ...]


def read(raw: bytes, *, envelope_from: str | None = None) -> Letter:
    """Return the letter. envelope_from: MAIL FROM where known; the empty one marks a bounce."""
    # The old policy keeps broken headers as they came; the new one raises for some of them.
    mail = message_from_bytes(raw, policy=policy.compat32)
    plain, marked_up, files = _parts(mail)
    automatic = _automatic(mail, envelope_from)
    name, sender = parseaddr(_header(mail, "From"))
    ids = _MESSAGE_ID.findall(_header(mail, "Message-ID"))
    answers = [*_MESSAGE_ID.findall(_header(mail, "In-Reply-To")), *reversed(_MESSAGE_ID.findall(_header(mail, "References")))]
    return Letter(
        message_id=ids[0] if ids else f"<{hashlib.sha256(raw).hexdigest()}@no-id>",
        answers=tuple(dict.fromkeys(answers))[:50],
        sender=sender.strip().lower()[:254],
        sender_name=name.strip()[:100],
        recipients=tuple(_recipients(mail)),
        subject=_header(mail, "Subject")[:300],
        automatic=automatic,
        is_bounce=automatic == "bounce",
        text=plain if plain.strip() else html.text_of(marked_up),
        files=tuple(files),
    )


def _recipients(mail: Message) -> Iterator[str]:
    """Yield whom it was delivered or written to, for pipes that do not say."""
    for field in ("Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "To", "Cc"):
        for _name, address in getaddresses([_decoded(value) for value in mail.get_all(field, [])]):
            if address:
                yield address


def _automatic(mail: Message, envelope_from: str | None) -> str:
    """Return which sign says that a program wrote it (RFC 3834 and older habits), '' for none."""
    kind = mail.get_content_type()
    if envelope_from == "" or kind == "multipart/report" or _header(mail, "Return-Path").strip() == "<>" or mail.get("X-Failed-Recipients"):
        return "bounce"
    if parseaddr(_header(mail, "From"))[1].lower().partition("@")[0] in {"mailer-daemon", "postmaster"}:
        return "bounce"
    submitted = _header(mail, "Auto-Submitted").partition(";")[0].strip().lower()
    if submitted and submitted != "no":
        return "auto-submitted"
    if _header(mail, "Precedence").strip().lower() in {"bulk", "junk", "list", "auto_reply"}:
        return "precedence"
    for field in ("X-Autoreply", "X-Autorespond", "X-Autoresponder", "X-Auto-Reply", "X-Mail-Autoreply"):
        if _header(mail, field).strip().lower() not in {"", "no", "false"}:
            return "auto-reply"
    return "list" if mail.get("List-Id") or mail.get("List-Unsubscribe") else ""


def failed_recipients(raw: bytes) -> bool:
    """Return whether a bounce says that delivery failed for good: a report of a delay asks for patience, no more."""
    mail = message_from_bytes(raw, policy=policy.compat32)
    actions = [str(part.get("Action", "")).strip().lower() for part in mail.walk()]
    return "failed" in actions or (not any(actions) and bool(mail.get("X-Failed-Recipients")))


def original_ids(raw: bytes) -> set[str]:
    """Return every message id that stands in a bounce, the original mail's among them."""
    return set(_MESSAGE_ID.findall(raw[:200_000].decode("ascii", "replace")))


def _parts(mail: Message) -> tuple[str, str, list[File]]:
    """Return the first plain text, the first HTML, and the files."""
    plain: list[str] = []
    marked_up: list[str] = []
    files: list[File] = []
    for part in _leaves(mail):
        if part.is_multipart():
            # A mail inside a mail is what somebody forwarded. It is not opened: without content it is refused, by name.
            inner = next(iter(part.get_payload()), None)
            subject = _header(inner, "Subject")[:100] if isinstance(inner, Message) else ""
            files.append(File(f"{subject or 'mail'}.eml", b""))
            continue
        kind, disposition = part.get_content_type(), part.get_content_disposition()
        name = _filename(part)
        if disposition != "attachment" and not name and kind in {"text/plain", "text/html"}:
            (plain if kind == "text/plain" else marked_up).append(_text(part))
            continue
        content = _content(part)
        is_logo = bool(part.get("Content-ID")) and disposition != "attachment" and len(content) < SMALLEST_INLINE_BYTES
        if content and not is_logo and kind not in {"text/calendar", "application/pgp-signature", "application/pkcs7-signature"}:
            files.append(File(name[:200] or "file", content if len(files) < MOST_FILES else b""))
    return "\n".join(plain), "".join(marked_up), files


def _leaves(mail: Message, depth: int = 0, seen: list[int] | None = None) -> Iterator[Message]:
    seen = [0] if seen is None else seen
    seen[0] += 1
    if depth > DEEPEST or seen[0] > MOST_PARTS:
        return
    if mail.is_multipart() and mail.get_content_maintype() == "multipart":
        for part in mail.get_payload():
            if isinstance(part, Message):
                yield from _leaves(part, depth + 1, seen)
    else:
        yield mail


def _filename(part: Message) -> str:
    try:
        return _decoded(part.get_filename() or "")
    except (LookupError, ValueError):
        # The name says it is in a charset that is none.
        return ""


def _content(part: Message) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _text(part: Message) -> str:
    content = _content(part)
    named = str(part.get_content_charset() or "").lower()
    text = decoded(content, named)
    if str(part.get_param("format", "")).lower() == "flowed":
        text = _unflowed(text, is_deleting=str(part.get_param("delsp", "")).lower() == "yes")
    return text


def decoded(content: bytes, charset: str) -> str:
    """Return the bytes as text: by the charset named, else by what they can be."""
    if charset == "us-ascii" or not charset or _codec(charset) in _NO_CHARSETS:
        charset = "utf-8"
    for each in (_CHARSETS.get(charset, charset), "utf-8", "gb18030"):
        try:
            return content.decode(each)
        except (LookupError, UnicodeError, ValueError):
            continue
    try:
        return content.decode(_CHARSETS.get(charset, charset), "replace")
    except (LookupError, ValueError):
        return content.decode("utf-8", "replace")


def _codec(charset: str) -> str:
    try:
        return codecs.lookup(charset).name
    except (LookupError, ValueError):
        return ""


def _unflowed(text: str, *, is_deleting: bool) -> str:
    """Join lines that were broken for the journey alone (RFC 3676); the signature's dashes stay a line."""
    joined: list[str] = []
    goes_on = False
    for line in text.replace("\r\n", "\n").split("\n"):
        plain = line.removeprefix(" ")
        if goes_on and not plain.startswith(">"):
            joined[-1] += plain
        else:
            joined.append(plain)
        goes_on = plain.endswith(" ") and plain != "-- " and not plain.startswith(">")
        if goes_on and is_deleting:
            joined[-1] = joined[-1][:-1]
    return "\n".join(joined)


def _header(mail: Message, name: str) -> str:
    return _decoded(mail.get(name, ""))


def _decoded(value: object) -> str:
    """Return a header's words (RFC 2047) as text on one line that can be stored; one that is broken stays as it came."""
    raw = str(value)[:LONGEST_HEADER].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    try:
        pieces = [
            piece.decode("latin-1") if isinstance(piece, bytes) and name is None else decoded(piece, name or "") if isinstance(piece, bytes) else piece
            for piece, name in decode_header(raw)
        ]
    except Exception:
        # The standard decoder raises whatever it happens to hit in a broken header.
        pieces = [raw]
    return " ".join(cleaned("".join(pieces)).split())
