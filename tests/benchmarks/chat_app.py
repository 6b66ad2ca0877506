"""The product's ASGI app with one bare route beside it: join a group, send what comes to the group, pass it on."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm.settings")

from channels.generic.websocket import AsyncWebsocketConsumer

from crm.asgi import application as product
from support import limits

# The flood limits are what a benchmark is.
limits.FRAME_BURST, limits.FRAMES_PER_SECOND = 1_000_000, 1_000_000.0
limits.SEND_BURST, limits.SENDS_PER_SECOND = 1_000_000, 1_000_000.0
limits.within = lambda *_args, **_kwargs: True


class BareEcho(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        self.group = f"bare-{self.scope['path'].strip('/').rsplit('/', 1)[-1]}"
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.channel_layer.group_send(self.group, {"type": "told", "text": text_data})

    async def told(self, event: dict[str, str]) -> None:
        await self.send(text_data=event["text"])

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.group, self.channel_name)


bare = BareEcho.as_asgi()


async def application(scope, receive, send):
    """Route /bare/… to the bare consumer and everything else to the product."""
    if scope["type"] == "websocket" and scope["path"].startswith("/bare/"):
        await bare(scope, receive, send)
    else:
        await product(scope, receive, send)
