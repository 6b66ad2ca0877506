"""Real SMTP conversations with the door, and the pipe."""

import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError

from crm.core import clock
from crm.core.models import Source
from support import conversations
from support.mail import addresses, receiving
from support.models import Conversation, Message
from tests.factories import SourceFactory
from tests.servers import PROJECT_DIR
from tests.support.mail.conftest import SENDER, answer
from tests.support.mail.smtp import receiver

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def waiting() -> Conversation:
    shop: Source = SourceFactory(name="The tea shop", write_key="wk_mail")
    made = conversations.open(source_id=shop.pk, visitor_id="a" * 32, visitor_email=SENDER, now=clock.now())
    conversations.hand_over(conversation_id=made.pk, reason="asked", now=clock.now(), cause="demo")
    return made


@pytest.fixture
def client() -> Iterator[smtplib.SMTP]:
    with receiver() as port, smtplib.SMTP("127.0.0.1", port, timeout=10) as smtp:
        yield smtp


def test_a_mail_is_answered_when_its_row_is_there(client: smtplib.SMTP, waiting: Conversation) -> None:
    mail = answer(waiting, "绿茶。\n\n在 6月15日，茶店写道：\n> 哪一种？")
    refused = client.send_message(mail, from_addr=SENDER, to_addrs=[addresses.reply_address(waiting)])
    again = client.send_message(mail, from_addr=SENDER, to_addrs=[addresses.reply_address(waiting).upper()])

    assert (refused, again) == ({}, {})
    assert [line.text for line in Message.objects.filter(conversation=waiting, author="visitor")] == ["绿茶。"]


def test_gb18030_bytes_arrive_as_they_were_meant(client: smtplib.SMTP, waiting: Conversation) -> None:
    raw = f"From: {SENDER}\r\nMessage-ID: <g@m>\r\nContent-Type: text/plain; charset=gb2312\r\nContent-Transfer-Encoding: 8bit\r\n\r\n".encode()
    client.sendmail(SENDER, [addresses.reply_address(waiting)], raw + "请用镕字发货\r\n".encode("gb18030"), mail_options=["BODY=8BITMIME"])

    assert Message.objects.get(conversation=waiting, author="visitor").text == "请用镕字发货"


@pytest.mark.parametrize("address", ["reply+1-aaaaaaaaaaaaaaaaaaaa@shop.example", "somebody@elsewhere.example", "reply+@shop.example", "root"])
def test_an_unknown_address_is_refused_at_rcpt(client: smtplib.SMTP, waiting: Conversation, address: str) -> None:
    client.ehlo()
    client.mail(SENDER)

    assert client.rcpt(address)[0] == 550
    assert client.rcpt(addresses.reply_address(waiting))[0] == 250


def test_the_plain_address_without_a_known_thread_is_refused_after_the_mail(client: smtplib.SMTP, waiting: Conversation) -> None:
    with pytest.raises(smtplib.SMTPDataError) as caught:
        client.sendmail(SENDER, ["reply@shop.example"], answer(waiting).as_bytes())
    assert caught.value.smtp_code == 550


def test_a_mail_that_is_too_large_is_refused(waiting: Conversation, settings: Any) -> None:
    settings.CRM_INBOUND_MAIL_BYTES = 20_000
    with receiver() as port, smtplib.SMTP("127.0.0.1", port, timeout=10) as client, pytest.raises((smtplib.SMTPSenderRefused, smtplib.SMTPDataError)) as caught:
        client.sendmail(SENDER, [addresses.reply_address(waiting)], answer(waiting, "x\n" * 20_000).as_bytes())
    assert caught.value.smtp_code == 552
    assert not Message.objects.filter(conversation=waiting, author="visitor").exists()


def test_a_bounce_is_taken_and_stored_nowhere(client: smtplib.SMTP, waiting: Conversation) -> None:
    client.sendmail("", [addresses.reply_address(waiting)], answer(waiting).as_bytes())

    assert not Message.objects.filter(conversation=waiting, author="visitor").exists()


def test_while_the_database_is_away_the_sender_keeps_the_mail(client: smtplib.SMTP, waiting: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_args: object, **_kwargs: object) -> None:
        raise OperationalError

    with monkeypatch.context() as patched:
        patched.setattr(receiving, "receive", away)
        with pytest.raises(smtplib.SMTPDataError) as caught:
            client.sendmail(SENDER, [addresses.reply_address(waiting)], answer(waiting).as_bytes())
    assert caught.value.smtp_code == 451

    client.sendmail(SENDER, [addresses.reply_address(waiting)], answer(waiting).as_bytes())
    assert Message.objects.filter(conversation=waiting, author="visitor").count() == 1


@pytest.mark.parametrize("line", [b"HELO\r\n", b"MAIL FROM:<a\r\n", b"\x00\xff\r\n", b"DATA\r\n", b"EHLO " + b"x" * 3000 + b"\r\n"])
def test_nonsense_gets_an_error_and_the_door_stays_open(waiting: Conversation, line: bytes) -> None:
    with receiver() as port:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            raw.recv(1000)
            raw.sendall(line)
            assert raw.recv(1000)[:1] == b"5"
        with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
            assert client.noop()[0] == 250


def test_the_pipe_takes_a_mail_and_answers_with_a_mail_servers_codes(waiting: Conversation, child_environment: dict[str, str]) -> None:
    environment = child_environment | {"CRM_INBOUND_MAIL_ADDRESS": "reply@shop.example"}

    def pipe(*arguments: str, content: bytes) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "manage.py", "receive_mail", *arguments],
            cwd=PROJECT_DIR,
            env=environment,
            input=content,
            capture_output=True,
            timeout=60,
            check=False,
        )

    taken = pipe(content=answer(waiting).as_bytes())
    unknown = pipe("--to", "reply+1-aaaaaaaaaaaaaaaaaaaa@shop.example", content=answer(waiting).as_bytes())

    assert (taken.returncode, taken.stdout) == (0, f"stored: conversation {waiting.pk}\n".encode()), taken.stderr
    assert unknown.returncode == 67
    assert Message.objects.get(conversation=waiting, author="visitor").text == "The green one."
