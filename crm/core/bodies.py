"""Request bodies end where their door's limit is, before Django has written gigabytes of them to a temporary file.

Django takes in the whole body first and asks the view afterwards; without this anybody, with or without a key, could fill
the disk.  Each door still checks its own, narrower limits and says what they are.
"""

import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# So much is read of a body that is refused; a library that packed a little too much is below it, a flood above.
POURED_AWAY = 16_777_216
# Below these the callers are programs and read JSON.
JSON_PATHS = ("/v1/", "/api/")


class _TooLarge(Exception):
    """More bytes came than the door takes."""


class BodyLimit:
    """Wraps the HTTP application. doors: (beginning of the path, bytes); the first that fits holds, for others `otherwise`."""

    def __init__(self, application: Application, *, doors: Sequence[tuple[str, int]], otherwise: int) -> None:
        self.application = application
        self.doors = tuple(doors)
        self.otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope.get("path", ""))
        limit = next((most for beginning, most in self.doors if path.startswith(beginning)), self.otherwise)
        declared = next((value for name, value in scope.get("headers", ()) if name == b"content-length"), b"")
        if declared.isdigit() and int(declared[:20]) > limit:
            if int(declared[:20]) <= limit + POURED_AWAY and not any(name == b"expect" for name, _value in scope.get("headers", ())):
                await _pour_away(receive)
            await _refuse(path, limit, send)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise _TooLarge
            return message

        try:
            await self.application(scope, counted, send)
        except _TooLarge:
            await _pour_away(receive)
            await _refuse(path, limit, send)


async def _pour_away(receive: Receive) -> None:
    """Read what is left of a body, up to POURED_AWAY bytes, and keep nothing.

    A client that is still sending when the connection closes never sees the answer, and would repeat what cannot succeed.
    """
    poured = 0
    while poured < POURED_AWAY:
        message = await receive()
        poured += len(message.get("body", b""))
        if not message.get("more_body"):
            return


async def _refuse(path: str, limit: int, send: Send) -> None:
    """Answer 413 and close the connection, on which the rest of the body is still to come."""
    words = f"A request may have {limit:,} bytes here."
    if path.startswith(JSON_PATHS):
        told = {"type": "about:blank#body_too_large", "title": "Too large", "status": 413, "success": False, "detail": words, "message": words}
        body = json.dumps({**told, "code": "batch_too_large" if path.startswith("/v1/") else "body_too_large"}).encode()
    else:
        body = words.encode()
    kind = b"application/json" if path.startswith(JSON_PATHS) else b"text/plain; charset=utf-8"
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
