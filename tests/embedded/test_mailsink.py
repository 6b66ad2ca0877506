"""The local mail sink keeps what a real SMTP conversation hands over."""

import mailbox
import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from crm.embedded import mailsink
from tests.servers import PROJECT_DIR
from tests.stack import eventually


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[int]:
    port = mailsink.choose_port(tmp_path)
    command = [sys.executable, "-m", "crm.embedded.mailsink", "--folder", str(mailsink.outbox(tmp_path)), "--port", str(port)]
    process = subprocess.Popen(command, cwd=PROJECT_DIR)

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((mailsink.HOST, port)) == 0

    eventually(listens, "the sink listens")
    yield port
    process.terminate()
    assert process.wait(20) == 0


def test_a_mail_is_kept_whole_with_its_envelope(sink: int, tmp_path: Path) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Shop <hello@shop.example>", "lin@mail.example", "春茶到了"
    mail.set_content("新茶 · new tea\n.\na line that was a lone dot stays\n")

    with smtplib.SMTP(mailsink.HOST, sink, timeout=10) as smtp:
        smtp.send_message(mail, from_addr="bounce+1@shop.example", to_addrs=["lin@mail.example", "copy@mail.example"])

    (kept,) = mailbox.Maildir(mailsink.outbox(tmp_path), factory=None)
    assert kept["X-Envelope-From"] == "bounce+1@shop.example"
    assert kept.get_all("X-Envelope-To") == ["lin@mail.example", "copy@mail.example"]
    assert kept["To"] == "lin@mail.example"
    assert "新茶 · new tea\n.\na line" in kept.get_payload(decode=True).decode().replace("\r\n", "\n")


def test_a_mail_that_is_too_large_is_refused(sink: int, tmp_path: Path) -> None:
    with smtplib.SMTP(mailsink.HOST, sink, timeout=10) as smtp, pytest.raises((smtplib.SMTPSenderRefused, smtplib.SMTPDataError)) as caught:
        smtp.sendmail("a@shop.example", ["b@mail.example"], b"Subject: x\r\n\r\n" + b"y" * (mailsink.LARGEST_MAIL_BYTES + 1))

    assert caught.value.smtp_code == 552
    assert list(mailbox.Maildir(mailsink.outbox(tmp_path), factory=None)) == []


def test_the_port_of_last_time_is_used_again_when_it_is_free(tmp_path: Path) -> None:
    first = mailsink.choose_port(tmp_path)

    assert mailsink.choose_port(tmp_path) == first == mailsink.port(tmp_path)
    with socket.socket() as taken:
        taken.bind((mailsink.HOST, first))
        taken.listen()
        assert mailsink.choose_port(tmp_path) != first
