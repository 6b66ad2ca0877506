"""Small SMTP servers in a thread, for real conversations on real sockets."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.smtp import SMTP, Envelope, Session

from support.mail import door


@contextmanager
def _serving(protocol: Callable[[asyncio.AbstractEventLoop], asyncio.Protocol]) -> Iterator[int]:
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(lambda: protocol(loop), "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        # In its own thread: closing from here races with a connection that ends there.
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


class Mailbox:
    """What a visitor's mail server took. refuse: the answer to the next RCPT or DATA instead, such as '450 later'."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.senders: list[str] = []
        self.refuse_rcpt = self.refuse_data = ""

    async def handle_RCPT(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]) -> str:
        if self.refuse_rcpt:
            return self.refuse_rcpt
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        if self.refuse_data:
            return self.refuse_data
        assert isinstance(envelope.content, bytes)
        self.raw.append(envelope.content)
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))  # type: ignore[arg-type]
        self.senders.append(str(envelope.mail_from))
        return "250 OK"


@contextmanager
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    box = Mailbox()
    with _serving(lambda loop: SMTP(box, hostname="localhost", loop=loop)) as port:
        yield box, port


@contextmanager
def receiver() -> Iterator[int]:
    """Run the product's door and return its port."""
    handler = door.Door()
    with _serving(lambda loop: door.protocol(handler, loop)) as port:
        yield port
    handler.close()
