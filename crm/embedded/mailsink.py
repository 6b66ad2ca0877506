"""A local SMTP server that keeps every mail in a Maildir: the default door for campaigns outside production.

A real conversation over a real socket, so that what leaves the product has been rendered, encoded and accepted as it
would be by a provider. `manage.py up` runs it; /outbox/ reads the folder.
"""

import argparse
import asyncio
import contextlib
import mailbox
import os
import signal
import socket
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from crm.embedded import places

NAME = "mail_sink"
HOST = "127.0.0.1"
LARGEST_MAIL_BYTES = 10_000_000


def outbox(data_dir: Path) -> Path:
    return data_dir / "outbox"


def port(data_dir: Path, name: str = NAME) -> int | None:
    """Return the port on which this data folder's sink (or another mail program) listens or last listened, None when it never ran."""
    try:
        return int(_port_file(data_dir, name).read_text())
    except (OSError, ValueError):
        return None


def choose_port(data_dir: Path, name: str = NAME) -> int:
    """Return the port of last time when it is free, else any free one, and note it for programs started elsewhere."""
    wanted = port(data_dir, name) or 0
    with socket.socket() as probe:
        # Tells a port in use from one that merely rests after a restart.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError:
            probe.bind((HOST, 0))
        chosen = int(probe.getsockname()[1])
    path = _port_file(data_dir, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(f"{chosen}\n")
    draft.replace(path)
    return chosen


class Keep:
    """aiosmtpd's handler: accepts what the protocol allows and stores it, whole, before it answers 250."""

    def __init__(self, folder: Path) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        self._mails = mailbox.Maildir(folder, create=True)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        # The envelope is what the other side really asked for; the headers inside may say something else.
        lines = [f"X-Envelope-From: {envelope.mail_from}", *(f"X-Envelope-To: {address}" for address in envelope.rcpt_tos)]
        content = envelope.content if isinstance(envelope.content, bytes) else str(envelope.content).encode()
        self._mails.add("\r\n".join(lines).encode() + b"\r\n" + content)
        return "250 Kept"


async def serve(folder: Path, listen_port: int) -> None:
    """Listen until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    finished = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, finished.set)
    handler = Keep(folder)
    server = await loop.create_server(
        lambda: SMTP(handler, hostname="localhost", ident="Perennial mail sink", data_size_limit=LARGEST_MAIL_BYTES, enable_SMTPUTF8=True, loop=loop),
        HOST,
        listen_port,
    )
    async with server:
        await finished.wait()
        server.close()


def run(folder: Path, listen_port: int) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(folder, listen_port))


def _port_file(data_dir: Path, name: str) -> Path:
    return places.run_dir(data_dir) / f"{name}.port"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    run(given.folder, given.port)
