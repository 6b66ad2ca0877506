"""A websocket spoken straight to the ASGI application (channels.testing needs Daphne, which we do not use)."""

import json
from typing import Any

from asgiref.testing import ApplicationCommunicator


class Socket(ApplicationCommunicator):
    """One connection; `headers` as raw byte pairs."""

    def __init__(self, application: Any, path: str, *, headers: list[tuple[bytes, bytes]]) -> None:
        scope = {"type": "websocket", "path": path, "query_string": b"", "headers": headers, "subprotocols": []}
        super().__init__(application, scope)

    async def connect(self, timeout: float = 10) -> tuple[bool, int | None]:
        """Return whether the server accepted, and the close code where it did not."""
        await self.send_input({"type": "websocket.connect"})
        answer = await self.receive_output(timeout)
        return answer["type"] == "websocket.accept", answer.get("code")

    async def send_to(self, *, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        data = {"text": text_data} if bytes_data is None else {"bytes": bytes_data}
        await self.send_input({"type": "websocket.receive", **data})

    async def receive_from(self, timeout: float = 10) -> str:
        """Return the next frame's text; fails on a close."""
        answer = await self.receive_output(timeout)
        assert answer["type"] == "websocket.send", answer
        return str(answer["text"])

    async def disconnect(self) -> None:
        if not self.future.done():
            await self.send_input({"type": "websocket.disconnect", "code": 1000})
            await self.wait(10)


async def say(socket: Socket, **frame: Any) -> None:
    await socket.send_to(text_data=json.dumps(frame))


async def hear_any(socket: Socket) -> dict[str, Any]:
    """Return the next frame."""
    frame: dict[str, Any] = json.loads(await socket.receive_from(timeout=10))
    return frame


async def hear(socket: Socket, kind: str) -> dict[str, Any]:
    """Return the next frame of a kind."""
    while True:
        frame = await hear_any(socket)
        if frame["type"] == kind:
            return frame


async def hear_close(socket: Socket) -> int:
    while True:
        output = await socket.receive_output(timeout=10)
        if output["type"] == "websocket.close":
            return output["code"]
