"""/healthz says that this process answers; /readyz says whether the whole installation works, part by part."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from crm.core import clock, heartbeat


@dataclass(frozen=True, slots=True)
class Part:
    """One part's verdict. detail: what an operator would ask next; never a secret, an address or an error's text."""

    ok: bool
    detail: dict[str, Any] = field(default_factory=dict)


@require_safe
def healthz(_request: HttpRequest) -> JsonResponse:
    """Return 200 while the process can answer at all; touches nothing else."""
    return _json({"status": "ok"}, status=200)


@require_safe
def readyz(_request: HttpRequest) -> JsonResponse:
    """Return every part's status: 200 when all are green, 503 while any is red."""
    parts: dict[str, Part] = {"database": _measured(_database)}
    parts["redis"] = _measured(_redis)
    parts |= _background(parts["redis"].ok)
    parts["models"] = _models() if parts["database"].ok else Part(ok=False, detail={"reason": "database"})
    ready = all(part.ok for part in parts.values())
    body = {
        "status": "ready" if ready else "not_ready",
        "parts": {name: {"status": "ok" if part.ok else "red"} | part.detail for name, part in parts.items()},
    }
    response = _json(body, status=200 if ready else 503)
    # Asked every few seconds by whoever waits: the answer is the report, a log line each time is noise.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def _measured(check: Callable[[], None]) -> Part:
    started = time.monotonic()
    try:
        check()
    except (DatabaseError, InterfaceError, redis.RedisError) as error:
        return Part(ok=False, detail={"reason": type(error).__name__})
    return Part(ok=True, detail={"milliseconds": round((time.monotonic() - started) * 1000, 1)})


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _redis() -> None:
    with heartbeat.client() as client:
        client.ping()


def _background(redis_is_up: bool) -> dict[str, Part]:
    """Return a part per worker queue and one for Beat, from the keys these processes keep fresh."""
    keys = {f"queue:{queue}": heartbeat.queue_key(queue) for queue in settings.CRM_QUEUES} | {"beat": heartbeat.BEAT_KEY}
    if not redis_is_up:
        return {name: Part(ok=False, detail={"reason": "redis"}) for name in keys}
    try:
        with heartbeat.client() as client:
            seen = heartbeat.last_seen(client, list(keys.values()))
    except redis.RedisError:
        return {name: Part(ok=False, detail={"reason": "redis"}) for name in keys}
    now = clock.now()
    parts = {}
    for name, key in keys.items():
        at = seen[key]
        if at is None:
            parts[name] = Part(ok=False, detail={"reason": "no sign of life"})
        else:
            parts[name] = Part(ok=True, detail={"seconds_ago": round((now - at).total_seconds(), 1)})
    return parts


def _models() -> Part:
    """Return green when every registered training task either serves a model whose files are there, or has been run
    and rests on its stated baseline for want of data; red while one was never run or its files are gone."""
    from crm.core.learning import registry
    from crm.core.models import ModelVersion
    from crm.core.models.learning import ModelState

    try:
        versions = list(ModelVersion.objects.order_by("task", "-version").values_list("task", "state", "path", "files"))
    except (DatabaseError, InterfaceError) as error:
        return Part(ok=False, detail={"reason": type(error).__name__})
    serving = {task: (path, files) for task, state, path, files in versions if state == ModelState.CHAMPION}
    tried = {task for task, *_ in versions}
    names = [task.name for task in registry.tasks()]
    untrained = [name for name in names if name not in tried]
    damaged = [
        name
        for name, (path, files) in serving.items()
        if name in names and not all((settings.CRM_MODEL_DIR / path / file_name).is_file() for file_name in files)
    ]
    detail: dict[str, Any] = {"serving": sorted(set(serving) & set(names)), "baseline": sorted((tried & set(names)) - set(serving))}
    if untrained:
        detail["untrained"] = sorted(untrained)
    if damaged:
        detail["damaged"] = sorted(damaged)
    return Part(ok=not untrained and not damaged, detail=detail)


def _json(body: dict[str, Any], *, status: int) -> JsonResponse:
    response = JsonResponse(body, status=status)
    response["Cache-Control"] = "no-store"
    return response
