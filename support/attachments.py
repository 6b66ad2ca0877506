"""Files in a chat: what they are is read off their bytes, how many and how large is limited, and none is ever run.

Bytes lie under MEDIA_ROOT/chat, named by a random key; the row says what they are. Served by support/file_views.py with
that type, a sandboxing policy and, for everything but plain pictures, as a download.
"""

import hashlib
import os
import re
import unicodedata
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_noop

from crm.core.errors import CrmError, NotFound
from crm.core.models import User
from support import conversations
from support.conversations import Posted
from support.models import Attachment, Message
from support.models.conversation import Author

# What a browser may show inside a page: formats without scripts.
PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_NAME_LENGTH = 120
# How a text begins that a browser might take for a page, a picture with scripts, or a program.
_MARKUP = re.compile(rb"<\s*(?:!doctype|html|head|body|script|svg|\?xml|iframe|math|a\b|!--)|#!", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')


class FileMissing(NotFound):
    code = "file_missing"
    message = gettext_noop("There is no such file.")


class FileTooLarge(CrmError):
    code = "file_too_large"
    status = 413
    message = gettext_noop("The file is empty or too large.")


class FileTypeBad(CrmError):
    code = "file_type_bad"
    status = 415
    message = gettext_noop("Only pictures (PNG, JPEG, GIF, WebP), PDF and plain text can be attached.")


class TooManyFiles(CrmError):
    code = "too_many_files"
    status = 409
    message = gettext_noop("This conversation holds as many files as it may.")


def media_type(content: bytes) -> str | None:
    """Return what the bytes are, by their signature; None for anything not on the list. The file's name is never asked."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    if content.startswith(b"%PDF-"):
        return "application/pdf"
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if _MARKUP.search(content[:2048]) or any(unicodedata.category(character) == "Cc" and character not in "\r\n\t" for character in text):
        return None
    return "text/plain"


def checked(content: bytes) -> str:
    """Return the type of a file that may be attached. Raises FileTooLarge or FileTypeBad."""
    if not 0 < len(content) <= settings.CRM_CHAT_FILE_BYTES:
        raise FileTooLarge
    kind = media_type(content)
    if kind is None:
        raise FileTypeBad
    return kind


def attach(*, conversation_id: int, content: bytes, name: str, client_id: str, now: datetime, agent: User | None = None) -> Posted:
    """Store the file and post it as a message of the visitor, or of `agent`; the same client_id again changes nothing.

    Raises FileTooLarge, FileTypeBad, TooManyFiles, and what conversations.post raises.
    """
    kind = checked(content)
    author = Author.AGENT if agent else Author.VISITOR
    known = Message.objects.filter(conversation_id=conversation_id, author=author, client_id=client_id).first() if client_id else None
    if known is not None:
        return Posted(known, is_new=False)
    shown = safe_name(name, kind)
    with transaction.atomic():
        conversations.locked(conversation_id)
        if Attachment.objects.filter(conversation_id=conversation_id).count() >= settings.CRM_CHAT_FILES:
            raise TooManyFiles
        row = Attachment.objects.create(
            conversation_id=conversation_id,
            name=shown,
            media_type=kind,
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            by_visitor=agent is None,
            uploaded_at=now,
        )
        _write(path_of(row.key), content)
        posted = conversations.post(
            conversation_id=conversation_id,
            author=author,
            agent=agent,
            text=shown,
            kind="file",
            client_id=client_id,
            data={"file": {"url": url_of(row.key), "name": shown, "type": kind, "size": len(content)}},
            now=now,
        )
        Attachment.objects.filter(pk=row.pk).update(message=posted.message)
    return posted


def read(key: str) -> tuple[Attachment, bytes]:
    """Return the file of a key. Raises FileMissing."""
    row = Attachment.objects.filter(key=key).first() if re.fullmatch(r"[0-9a-f]{32}", key) else None
    if row is None:
        raise FileMissing
    try:
        return row, path_of(row.key).read_bytes()
    except OSError:
        raise FileMissing from None


def safe_label(name: str) -> str:
    """Return the name without folders, control characters and tricks of direction, for showing alone."""
    plain = "".join(character for character in name.replace("\\", "/").rsplit("/", 1)[-1] if unicodedata.category(character) not in {"Cc", "Cf", "Cs"})
    return _FORBIDDEN.sub("", plain).strip(" .")[:_NAME_LENGTH] or "file"


def safe_name(name: str, kind: str) -> str:
    """Return the name as safe_label does, ending as its type does."""
    stem = safe_label(name).rsplit(".", 1)[0].strip(" .") or "file"
    ending = {"image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif", "image/webp": ".webp", "application/pdf": ".pdf", "text/plain": ".txt"}[kind]
    return stem[: _NAME_LENGTH - len(ending)] + ending


def path_of(key: str) -> Path:
    return Path(settings.MEDIA_ROOT) / "chat" / key[:2] / key


def url_of(key: str) -> str:
    """Return the path of the file; spelt here because the domain does not know URL names of doors."""
    return f"/files/{key}/"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
