"""The SMTP door for visitors' answers: RCPT is refused at once for an unknown address, DATA is answered once the row is there."""

import asyncio
import logging
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from aiosmtpd.smtp import SMTP, Envelope, Session
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connections

from crm.core import clock
from support.mail import addresses, receiving

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")

UNKNOWN = "550 5.1.1 No such address here"
LATER = "451 4.3.0 Try again later"
MOST_RECIPIENTS = 10
# aiosmtpd writes addresses and every command into its log at INFO; ours holds ids alone.
logging.getLogger("mail.log").setLevel(logging.WARNING)
# Seconds a silent client is waited for, and how many conversations are held at once.
SILENCE_SECONDS, MOST_CLIENTS = 60, 50


class Door:
    """aiosmtpd's handler. One thread talks to PostgreSQL, a few milliseconds per mail; the loop never waits for it."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="mail")

    async def handle_RCPT(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]) -> str:
        if not addresses.is_ours(address):
            return UNKNOWN
        if len(envelope.rcpt_tos) >= MOST_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        if not addresses.is_plain(address):
            answer = await self._answered(lambda: addresses.conversation_at(address))
            if isinstance(answer, str):
                return answer
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        content = envelope.content if isinstance(envelope.content, bytes) else str(envelope.content).encode()
        # aiosmtpd gives the empty sender of bounces as "<>".
        sender, to = (envelope.mail_from or "").strip("<>"), list(envelope.rcpt_tos)
        answer = await self._answered(lambda: receiving.receive(content, to=to, envelope_from=sender, now=clock.now()))
        return answer if isinstance(answer, str) else f"250 2.0.0 {' '.join(each.outcome for each in answer).capitalize()}"

    async def _answered(self, call: Callable[[], Answer]) -> Answer | str:
        """Return what the call returns, or the line to say instead."""

        def attempt() -> Answer | str:
            close_old_connections()
            try:
                return call()
            except addresses.AddressUnknown:
                return UNKNOWN
            except receiving.MailTooLarge:
                return "552 5.3.4 The mail is too large"
            except receiving.MailTooMany:
                return "450 4.7.1 Too many mails, try again later"
            except (DatabaseError, OSError):
                logger.warning("mail not taken", exc_info=True)
                return LATER
            except Exception:
                # The sender's server keeps the mail and tries again; by then somebody has read the log.
                logger.exception("mail not understood")
                return LATER
            finally:
                close_old_connections()

        return await asyncio.get_running_loop().run_in_executor(self._pool, attempt)

    def close(self) -> None:
        self._pool.submit(connections.close_all).result()
        self._pool.shutdown()


def protocol(door: Door, loop: asyncio.AbstractEventLoop) -> SMTP:
    """Return one client's conversation with the door."""
    return SMTP(
        door,
        hostname="localhost",
        ident="Perennial",
        data_size_limit=settings.CRM_INBOUND_MAIL_BYTES,
        enable_SMTPUTF8=True,
        timeout=SILENCE_SECONDS,
        loop=loop,
    )


async def serve(host: str, port: int, *, ready: Callable[[int], None] = lambda _port: None, finished: asyncio.Event | None = None) -> None:
    """Listen until SIGTERM or SIGINT, or until `finished`; `ready` is told the port."""
    loop = asyncio.get_running_loop()
    if finished is None:
        finished = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, finished.set)
    door = Door()
    server = await loop.create_server(lambda: protocol(door, loop), host, port, backlog=MOST_CLIENTS)
    async with server:
        ready(server.sockets[0].getsockname()[1])
        await finished.wait()
    door.close()
