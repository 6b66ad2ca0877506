"""What really goes over the wire: parts, headers, encodings, and which SMTP answer means what."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.conf import LazySettings

from campaigns.channels import Deferred, Refused, ServerUnavailable
from campaigns.channels.email import EmailSession, compose
from campaigns.messages import Message
from crm.core import smtp
from tests.campaigns.conftest import Sink

AT = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)


def message(*, text: str = "Hello", language: str = "en", subject: str = "Spring") -> Message:
    return Message(language, subject, text, f"<p>{text}</p>", (), "https://crm.example/u/abc.def/")


def send(to: str, sent: Message) -> None:
    with EmailSession() as session:
        session.hand_over(to=to, message=sent, message_id="<1@shop.example>", campaign_id=12)


def test_the_mail_has_both_parts_and_the_one_click_headers(sink: Sink, settings: LazySettings) -> None:
    settings.DEFAULT_FROM_EMAIL = "Maple & Moss, Ltd <hello@shop.example>"

    send("ana@people.example", message(text="春天来了", language="zh-hans", subject="您好，Ana ✿"))

    mail = sink.to("ana@people.example")
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert mail.get_body(("plain",)).get_content().strip() == "春天来了"  # type: ignore[union-attr]
    assert mail["Subject"] == "您好，Ana ✿"
    assert mail["From"].addresses[0].display_name == "Maple & Moss, Ltd"
    assert mail["List-Unsubscribe"] == "<https://crm.example/u/abc.def/>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert (mail["Message-ID"], mail["X-Campaign"], mail["Content-Language"]) == ("<1@shop.example>", "12", "zh-Hans")


def test_lines_that_begin_with_a_dot_arrive_unchanged(sink: Sink) -> None:
    send("ana@people.example", message(text=".one\n..two\n.\nthree"))

    assert sink.to("ana@people.example").get_body(("plain",)).get_content().splitlines() == [".one", "..two", ".", "three"]  # type: ignore[union-attr]


def test_lines_on_the_wire_are_short_and_plain() -> None:
    raw = compose(to="ana@people.example", message=message(text="好" * 5000), message_id="<1@x>", campaign_id=None, at=AT).as_bytes()

    assert raw.isascii()
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998
    assert not re.search(rb"(?<!\r)\n", raw)


@pytest.mark.parametrize("address", ["", "ana", "ana@", "a b@people.example", "ana@people.example\r\nBcc: all@people.example", "安娜@people.example"])
def test_addresses_that_cannot_be_written_to_are_refused_before_the_wire(address: str, sink: Sink) -> None:
    with pytest.raises(Refused) as caught:
        send(address, message())

    assert caught.value.reason == "invalid_address"
    assert sink.connections == 0


def test_a_subject_cannot_add_headers(sink: Sink) -> None:
    with pytest.raises(ValueError, match=r"linefeed|newline|carriage"):
        send("ana@people.example", message(subject="Hi\r\nBcc: all@people.example"))


@pytest.mark.parametrize(("answer", "error"), [("550 5.1.1 unknown", Refused), ("553 no", Refused), ("450 4.2.2 full", Deferred), ("451 later", Deferred)])
def test_answers_to_the_address(answer: str, error: type[Exception], sink: Sink) -> None:
    sink.rcpt_answers["ana@people.example"] = answer

    with pytest.raises(error):
        send("ana@people.example", message())


def test_one_refusal_does_not_end_the_conversation(sink: Sink) -> None:
    sink.data_answers["bad@people.example"] = ["554 5.7.1 spam"]

    with EmailSession() as session:
        with pytest.raises(Refused) as caught:
            session.hand_over(to="bad@people.example", message=message(), message_id="<1@x>", campaign_id=None)
        session.hand_over(to="good@people.example", message=message(), message_id="<2@x>", campaign_id=None)

    assert caught.value.reason == "message_refused"
    assert sink.recipients == ["good@people.example"]
    assert sink.connections == 1


def test_a_connection_the_server_closed_is_opened_again(sink: Sink) -> None:
    with EmailSession() as session:
        session.hand_over(to="zero@people.example", message=message(), message_id="<0@x>", campaign_id=None)
        session._smtp.sock.shutdown(2)  # type: ignore[union-attr]
        session.hand_over(to="good@people.example", message=message(), message_id="<1@x>", campaign_id=None)

    assert sink.recipients == ["zero@people.example", "good@people.example"]
    assert sink.connections == 2


def test_nobody_listening_is_unavailable_and_not_a_failure_of_the_mail(settings: LazySettings) -> None:
    settings.CRM_SMTP_PORT = 9

    with pytest.raises(ServerUnavailable):
        send("ana@people.example", message())


def test_the_local_sinks_port_is_read_from_its_file(settings: LazySettings, tmp_path: Path) -> None:
    settings.CRM_SMTP_PORT, settings.CRM_DATA_DIR = 0, tmp_path

    with pytest.raises(ServerUnavailable, match="CRM_SMTP_PORT"):
        send("ana@people.example", message())
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mail_sink.port").write_text("4525\n")

    assert smtp.port() == 4525


@pytest.mark.django_db
def test_the_whole_message_of_a_customer(make_customer: Callable, make_campaign: Callable, make_product: Callable, make_order: Callable, sink: Sink) -> None:  # type: ignore[type-arg]
    from campaigns.messages import Desk

    customer, other = make_customer(name="Ana <b>Silva</b>"), make_customer()
    pot = make_product("Iron & oak pot", price="88.00")
    make_order(other, at=AT.replace(month=5, day=20), product=pot)
    make_order(customer, at=AT.replace(year=2025), product=make_product("Old kettle"))
    body = "Dear {{ first_name|friend }},\n\nhow is the {{ last_product|thing }}?\nTell us.\n\n{{ recommendations }}\n\nSee {{ shop_link }}"
    campaign = make_campaign(texts={"en": ("For {{ name }}", body)})

    desk = Desk.open(campaign=campaign, customer_ids=[customer.pk, other.pk], at=AT)
    written = desk.write(customer_id=customer.pk, language="en", public_id=None)

    assert written.subject == "For Ana <b>Silva</b>"
    assert "<b>" not in written.html
    assert "Iron &amp; oak pot" in written.html
    assert "¥88.00" in written.html
    assert "how is the Old kettle?<br>Tell us." in written.html
    assert written.product_ids == (pot.pk,)
    assert "- Iron & oak pot  ¥88.00" in written.text
    assert written.text.count(written.unsubscribe_url) == 1
    assert {"{{", "}}", "{%"}.isdisjoint(written.text.split())
    # Someone who bought it lately is not offered it again.
    assert desk.write(customer_id=other.pk, language="en", public_id=None).product_ids == ()
