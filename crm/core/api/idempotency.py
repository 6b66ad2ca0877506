"""`Idempotency-Key` on POST, after Stripe's contract: the first answer is stored a day and replayed.

A twin still running answers 409, the same key with another body 422, a failed validation stores nothing.
"""

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

from django.db import IntegrityError, transaction
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from crm.core import clock
from crm.core.errors import CrmError
from crm.core.models import IdempotencyRecord

HEADER = "Idempotency-Key"
KEPT = timedelta(hours=24)
# A record still without an answer after this long belongs to a process that died; the next request takes it over.
ABANDONED = timedelta(minutes=2)


class KeyInUse(CrmError):
    code = "idempotency_in_flight"
    status = 409
    message = "A request with this Idempotency-Key is still running; try again shortly."


class KeyReused(CrmError):
    code = "idempotency_key_reused"
    status = 422
    message = "This Idempotency-Key was used with a different body; use a new key for a new request."


class KeyTooLong(CrmError):
    code = "idempotency_key_invalid"
    message = "An Idempotency-Key has 1 to 255 characters."


def idempotent(method: Callable[..., Response]) -> Callable[..., Response]:
    """Wrap a view method that answers POST."""

    @wraps(method)
    def wrapper(self: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = request.headers.get(HEADER)
        if key is None:
            return method(self, request, *args, **kwargs)
        if not 1 <= len(key) <= 255 or "\x00" in key:
            raise KeyTooLong
        body_hash = hashlib.sha256(json.dumps(request.data, sort_keys=True, default=str).encode()).hexdigest()
        record, replay = _claim(request, key, body_hash)
        if replay is not None:
            return replay
        try:
            with transaction.atomic():
                response = method(self, request, *args, **kwargs)
                body = JSONRenderer().render(response.data)
                IdempotencyRecord.objects.filter(pk=record.pk).update(
                    status=response.status_code, body=body, headers={name: response[name] for name in ("ETag", "Location") if name in response}
                )
        except BaseException:
            IdempotencyRecord.objects.filter(pk=record.pk).delete()
            raise
        return response

    return wrapper


def _claim(request: Request, key: str, body_hash: str) -> tuple[IdempotencyRecord, Response | None]:
    now = clock.now()
    same = {"api_key": request.auth, "method": request.method, "path": request.path[:300], "key": key}
    IdempotencyRecord.objects.filter(**same, created_at__lt=now - KEPT).delete()
    IdempotencyRecord.objects.filter(**same, status=None, created_at__lt=now - ABANDONED).delete()
    try:
        with transaction.atomic():
            return IdempotencyRecord.objects.create(**same, body_hash=body_hash), None
    except IntegrityError:
        record = IdempotencyRecord.objects.filter(**same).first()
    if record is None or record.status is None:
        raise KeyInUse
    if record.body_hash != body_hash:
        raise KeyReused
    headers = {**record.headers, "Idempotent-Replayed": "true"}
    return record, Response(json.loads(bytes(record.body or b"null")), status=record.status, headers=headers)
