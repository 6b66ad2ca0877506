"""The tracking surface /v1: the calls that Segment-shaped libraries send, answered the way they need.

Why it is not a REST framework view (each point made real clients lose data): success must be exactly 200; every error
must be a JSON object with `code` and `message`; bodies arrive gzipped with or without saying so and under any content
type; a redirect is followed with an empty GET and counts as success. The sender's rules are in docs/tracking.md.
"""

import base64
import binascii
import json
import re
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from django.db import IntegrityError
from django.db.models.signals import post_delete, post_save
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from crm.core import clock
from crm.core.errors import CrmError
from crm.core.models import Source
from customers import ingest
from customers.ingest.events import LARGEST_EVENT

LARGEST_BODY = 4 * 1024 * 1024
# More never comes from a library (400 bytes each would be 4 MB), and each bad one of them costs a row and an answer.
MOST_EVENTS = 10_000
_CHUNK = 65_536
# Sources change rarely and are asked for on every request.
SOURCE_SECONDS = 10.0
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class TrackingRefused(CrmError):
    """The request as a whole cannot be taken in; nothing of it is stored."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass(frozen=True, slots=True)
class KnownSource:
    """What a request needs of its Source row."""

    id: int
    currency: str
    locale: str
    allowed_origins: frozenset[str]
    is_active: bool


_sources: dict[str, tuple[float, KnownSource]] = {}


def _forget_sources(**_: object) -> None:
    _sources.clear()


post_save.connect(_forget_sources, sender=Source, dispatch_uid="tracking-forgets-sources-save")
post_delete.connect(_forget_sources, sender=Source, dispatch_uid="tracking-forgets-sources-delete")


def endpoint(kind: str) -> Callable[[HttpRequest], HttpResponse]:
    """Return the view for one address. kind: an ActivityKind value, or '' for a batch whose items name theirs."""

    @csrf_exempt
    def view(request: HttpRequest) -> HttpResponse:
        try:
            return _answer(request, kind)
        except TrackingRefused as refusal:
            return _error(refusal.status, refusal.code, refusal.text)

    view.__name__ = kind or "batch"
    return view


@csrf_exempt
def unknown(request: HttpRequest) -> HttpResponse:
    """Answer any other address below /v1/ in JSON, never with a page or a redirect."""
    del request
    return _error(404, "not_found", "There is no such tracking endpoint; see docs/tracking.md.")


def _answer(request: HttpRequest, kind: str) -> HttpResponse:
    if request.method == "OPTIONS":
        return HttpResponse(status=204, headers={"Allow": "POST, OPTIONS"})
    if request.method != "POST":
        response = _error(405, "method_not_allowed", "Send tracking calls with POST.")
        response["Allow"] = "POST, OPTIONS"
        return response
    received_at = clock.now()
    _check_header_key(request)
    body = parse(read_body(request))
    source = _authorise(request, body)
    events, sent_at = _events(body, kind)
    good, bad = ingest.understand(events_sent=events, kind=kind, received_at=received_at, sent_at=sent_at, currency=source.currency, locale=source.locale)
    if bad and (request.headers.get("X-Strict-Mode") == "1" or (kind and bad[0].code == "event_too_large")):
        where = "" if kind else f"Item {bad[0].index}: "
        raise TrackingRefused(413 if bad[0].code == "event_too_large" else 400, bad[0].code, where + bad[0].message)
    try:
        report = ingest.record_understood(source_id=source.id, sent=events, good=good, bad=bad, received_at=received_at)
    except IntegrityError:
        # The remembered source may have been deleted and made anew a moment ago; any other cause raises again.
        _sources.clear()
        source = _authorise(request, body)
        report = ingest.record_understood(source_id=source.id, sent=events, good=good, bad=bad, received_at=received_at)
    return _json(
        200,
        {
            "success": True,
            "accepted": report.accepted,
            "duplicates": report.duplicates,
            "rejected": report.rejected,
            "errors": [{"index": item.index, "code": item.code, "message": item.message} for item in report.rejections],
        },
    )


def read_body(request: HttpRequest) -> bytes:
    """Return the request's body, decompressed, never holding more than LARGEST_BODY of it.

    gzip is recognised by Content-Encoding or by its first two bytes under any content type.
    Raises TrackingRefused 413 as soon as the limit is passed, 400 for a broken stream or another encoding.
    """
    length = request.headers.get("Content-Length", "")
    if length.isdigit() and int(length) > LARGEST_BODY:
        raise _too_large()
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in {"", "identity", "gzip", "x-gzip"}:
        raise TrackingRefused(400, "unsupported_encoding", "Content-Encoding may be gzip or absent.")
    first = request.read(_CHUNK)
    zipped = encoding in {"gzip", "x-gzip"} or first[:2] == b"\x1f\x8b"
    # Wide bits 31: a gzip header and trailer.
    unzip = zlib.decompressobj(31) if zipped else None
    parts: list[bytes] = []
    taken = size = 0
    chunk = first
    while chunk:
        taken += len(chunk)
        if taken > LARGEST_BODY:
            raise _too_large()
        if unzip is None:
            parts.append(chunk)
            size += len(chunk)
        else:
            unzip, size = _inflate(unzip, chunk, parts, size)
        chunk = request.read(_CHUNK)
    if unzip is not None and not unzip.eof:
        raise TrackingRefused(400, "invalid_gzip", "The gzip body ends too early.")
    body = b"".join(parts)
    _check_charset(request, body)
    return body


def _inflate(unzip: "zlib._Decompress", chunk: bytes, parts: list[bytes], size: int) -> tuple["zlib._Decompress", int]:
    """Decompress one chunk into parts, at most to one byte over the limit; gzip members may follow one another."""
    waiting = chunk
    while waiting:
        if unzip.eof:
            unzip = zlib.decompressobj(31)
        try:
            plain = unzip.decompress(waiting, LARGEST_BODY - size + 1)
        except zlib.error:
            raise TrackingRefused(400, "invalid_gzip", "The body is not a valid gzip stream.") from None
        parts.append(plain)
        size += len(plain)
        if size > LARGEST_BODY:
            raise _too_large()
        waiting = unzip.unused_data if unzip.eof else unzip.unconsumed_tail
    return unzip, size


def _too_large() -> TrackingRefused:
    return TrackingRefused(413, "batch_too_large", f"A request may have {LARGEST_BODY} bytes after decompression, an event {LARGEST_EVENT}.")


def _check_charset(request: HttpRequest, body: bytes) -> None:
    charset = (request.content_params or {}).get("charset", "").strip("\"' ").lower()
    if charset not in {"", "utf-8", "utf8", "us-ascii", "ascii"}:
        raise TrackingRefused(400, "unsupported_charset", "JSON must be sent as UTF-8.")
    try:
        body.decode()
    except UnicodeDecodeError:
        raise TrackingRefused(400, "invalid_charset", "The body is not valid UTF-8.") from None


def parse(body: bytes) -> dict[str, Any]:
    """Return the JSON object. Raises TrackingRefused 400 for anything else, however deeply nested."""
    body = body.removeprefix(b"\xef\xbb\xbf")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = _parse_with_torn_emoji(body) if _SURROGATE.search(body) else None
    if not isinstance(value, dict):
        raise TrackingRefused(400, "invalid_json", "The body must be one JSON object in UTF-8.")
    return value


def _parse_with_torn_emoji(body: bytes) -> object:
    """Read JSON whose text was cut in the middle of a surrogate pair, as browsers send for cut titles; the half becomes U+FFFD."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        loose = json.loads(body, parse_constant=refuse)
        return orjson.loads(json.dumps(loose, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError, TypeError):
        return None


def _events(body: Mapping[str, Any], kind: str) -> tuple[list[Any], object]:
    if kind:
        return [{key: value for key, value in body.items() if key != "writeKey"}], None
    batch = body.get("batch")
    if not isinstance(batch, list):
        raise TrackingRefused(400, "invalid_batch", "A batch needs the list `batch`.")
    if len(batch) > MOST_EVENTS:
        raise TrackingRefused(413, "batch_too_large", f"A batch may have {MOST_EVENTS} events; send them in parts.")
    context = body.get("context")
    if isinstance(context, dict) and context:
        # A batch may state the context once; an item's own members win.
        batch = [
            {**item, "context": {**context, **(item.get("context") or {})}} if isinstance(item, dict) and isinstance(item.get("context") or {}, dict) else item
            for item in batch
        ]
    return batch, body.get("sentAt")


def _header_key(request: HttpRequest) -> str:
    """Return the write key of the Authorization header: the user of Basic, or a Bearer token; '' without one."""
    scheme, _, value = request.headers.get("Authorization", "").strip().partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError, ValueError):
            raise TrackingRefused(401, "invalid_authorization", "The Authorization header is not valid Basic authentication.") from None
    return value.strip() if scheme.lower() == "bearer" else ""


def _check_header_key(request: HttpRequest) -> None:
    """Refuse a wrong key before reading megabytes."""
    key = _header_key(request)
    if key:
        _source(key)


def _authorise(request: HttpRequest, body: Mapping[str, Any]) -> KnownSource:
    in_header, in_body = _header_key(request), body.get("writeKey")
    if in_body is not None and not isinstance(in_body, str):
        raise TrackingRefused(401, "invalid_write_key", "writeKey must be a string.")
    if in_header and in_body and in_header != in_body:
        raise TrackingRefused(401, "write_keys_differ", "The Authorization header and writeKey name different keys.")
    key = in_header or in_body
    if not key:
        raise TrackingRefused(401, "missing_write_key", "Send the source's write key as the user of Basic authentication or as writeKey.")
    source = _source(key)
    origin = request.headers.get("Origin")
    if origin and source.allowed_origins and origin.rstrip("/").lower() not in source.allowed_origins:
        raise TrackingRefused(403, "origin_not_allowed", "This write key is not for pages of this origin.")
    return source


def _source(key: str) -> KnownSource:
    """Return the active source of a write key, remembered for a few seconds. Raises TrackingRefused 401."""
    remembered = _sources.get(key)
    now = time.monotonic()
    if remembered is None or remembered[0] < now:
        row = Source.objects.filter(write_key=key).first() if "\0" not in key and len(key) <= 64 else None
        if row is None:
            _sources.pop(key, None)
            raise TrackingRefused(401, "invalid_write_key", "There is no source with this write key.")
        origins = frozenset(origin.rstrip("/").lower() for origin in row.allowed_origins)
        remembered = (now + SOURCE_SECONDS, KnownSource(row.pk, row.currency, row.locale, origins, row.is_active))
        _sources[key] = remembered
    if not remembered[1].is_active:
        raise TrackingRefused(401, "source_inactive", "This source is switched off.")
    return remembered[1]


def _json(status: int, value: dict[str, object]) -> HttpResponse:
    return HttpResponse(orjson.dumps(value), status=status, content_type="application/json")


def _error(status: int, code: str, message: str) -> HttpResponse:
    return _json(status, {"success": False, "code": code, "message": message})
