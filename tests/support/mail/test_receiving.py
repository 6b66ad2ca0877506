"""A visitor's mail lands in the conversation as a visitor's message, once, and proves nothing about who wrote it."""

from datetime import timedelta
from typing import Any

import pytest

from crm.core.models import User
from customers.models import Customer
from support import conversations, tickets
from support.mail import addresses, receiving
from support.models import Attachment, Conversation, ConversationMail, Message
from support.models.conversation import ConversationState
from tests.factories import CustomerFactory
from tests.support.conftest import NOW, later
from tests.support.mail.conftest import SENDER, answer

pytestmark = pytest.mark.django_db
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 64


def received(mail: Any, *, to: list[str] | None = None, seconds: float = 60, envelope_from: str | None = SENDER) -> receiving.Received:
    (found,) = receiving.receive(mail.as_bytes(), to=to if to is not None else [mail["To"]], envelope_from=envelope_from, now=later(seconds))
    return found


def of_visitor(conversation: Conversation) -> list[Message]:
    return list(Message.objects.filter(conversation=conversation, author="visitor").order_by("seq"))


def test_an_answer_becomes_the_visitors_message(left: Conversation) -> None:
    mail = answer(left, "The green one.\n\nOn Mon, Mei wrote:\n> Which one?")

    assert received(mail).outcome == "stored"

    line = of_visitor(left)[-1]
    assert (line.text, line.kind, line.reply_state) == ("The green one.", "mail", "")
    assert line.data["mail"]["is_known"] is True
    assert "> Which one?" in line.data["mail"]["whole"]
    left.refresh_from_db()
    assert (left.last_line, left.last_seq) == ("The green one.", line.seq)


def test_the_same_mail_again_changes_nothing(left: Conversation) -> None:
    mail = answer(left)

    assert [received(mail).outcome, received(mail, seconds=90).outcome] == ["stored", "repeat"]
    assert [line.text for line in of_visitor(left)].count("The green one.") == 1


def test_two_mails_with_the_same_words_are_two_messages(left: Conversation) -> None:
    received(answer(left))
    received(answer(left, message_id="<a2@mail.example>"), seconds=61)

    assert [line.text for line in of_visitor(left)][-2:] == ["The green one."] * 2


def test_files_go_through_the_checks_of_attachments(left: Conversation, settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    mail = answer(left)
    mail.add_attachment(PNG, maintype="image", subtype="png", filename="cup.png")
    mail.add_attachment(b"MZ\x90\x00 program", maintype="application", subtype="pdf", filename="invoice.pdf")
    mail.add_attachment(b"<script>alert(1)</script>", maintype="text", subtype="plain", filename="x.txt")

    received(mail)

    assert [each.name for each in Attachment.objects.all()] == ["cup.png"]
    assert of_visitor(left)[-1].data["mail"]["refused"] == ["invoice.pdf", "x.txt"]
    assert received(mail, seconds=70).outcome == "repeat"
    assert Attachment.objects.count() == 1


def test_a_mail_that_only_forwards_another_is_kept_and_says_so(left: Conversation) -> None:
    mail = answer(left, " ")
    mail.add_attachment(answer(left, "100 cups"))

    assert received(mail).outcome == "stored"
    assert of_visitor(left)[-1].data["mail"]["refused"] == ["Re tea.eml"]


def test_files_do_not_count_as_mails(left: Conversation, settings: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MEDIA_ROOT = tmp_path
    monkeypatch.setattr(receiving, "MOST_PER_HOUR", 2)
    mail = answer(left)
    for name in ("a.png", "b.png"):
        mail.add_attachment(PNG, maintype="image", subtype="png", filename=name)
    received(mail)

    assert received(answer(left, message_id="<a2@mail.example>")).outcome == "stored"


def test_a_subject_that_cannot_be_stored_loses_nothing_else(left: Conversation) -> None:
    raw = answer(left).as_bytes().replace(b"Subject: Re: tea", b"Subject: =?utf-8?B?AHRlYQ==?=")

    receiving.receive(raw, to=[addresses.reply_address(left)], now=later(60))

    assert (of_visitor(left)[-1].text, of_visitor(left)[-1].data["mail"]["subject"]) == ("The green one.", "tea")


def test_a_text_longer_than_a_message_is_kept_whole_as_a_file(left: Conversation, settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    received(answer(left, "word " * 2000))

    assert len(of_visitor(left)[-1].text) <= conversations.LONGEST_TEXT
    assert Attachment.objects.get().size == len("word " * 2000) - 1


@pytest.mark.parametrize("sender", ["mallory@evil.example", "Lin <lin@mail.example.evil.example>"])
def test_another_sender_is_shown_and_never_trusted(left: Conversation, sender: str) -> None:
    received(answer(left, sender=sender))

    left.refresh_from_db()
    assert of_visitor(left)[-1].data["mail"]["is_known"] is False
    assert (left.is_verified, left.customer_id, left.visitor_email) == (False, None, SENDER)


def test_a_mail_from_a_known_customers_address_verifies_nobody(left: Conversation) -> None:
    customer = CustomerFactory(email=SENDER)

    received(answer(left))

    left.refresh_from_db()
    assert (left.is_verified, left.customer_id) == (False, None)
    assert Customer.objects.filter(pk=customer.pk).exists()


def test_a_proven_customers_mail_is_never_answered_by_the_assistant(left: Conversation, agent: User) -> None:
    """Whoever holds the address could otherwise ask for that customer's orders."""
    Conversation.objects.filter(pk=left.pk).update(state=ConversationState.BOT, customer=CustomerFactory(email=SENDER), is_verified=True)

    received(answer(left, "Where is my order?", sender="mallory@evil.example"))

    left.refresh_from_db()
    assert left.state == ConversationState.QUEUED
    assert not Message.objects.filter(conversation=left, reply_state="due").exists()


def test_a_conversation_closed_long_ago_goes_on_before_people(left: Conversation, agent: User) -> None:
    conversations.close(conversation_id=left.pk, by=agent, now=later(10))

    received(answer(left), seconds=20 * 86_400)

    left.refresh_from_db()
    assert (left.state, left.agent_id, left.handover_reason) == (ConversationState.QUEUED, None, "mail")
    assert left.waiting_since == later(20 * 86_400)


def test_it_stays_with_the_person_who_has_it(left: Conversation, agent: User) -> None:
    conversations.take(conversation_id=left.pk, agent=agent, now=later(5))

    received(answer(left))

    left.refresh_from_db()
    assert (left.state, left.agent_id) == (ConversationState.ASSIGNED, agent.pk)


def test_a_ticket_that_waited_for_the_customer_is_open_again(left: Conversation) -> None:
    waiting = tickets.open(subject="tea", conversation_id=left.pk, state="pending", now=NOW)
    survivor = tickets.open(subject="tea again", conversation_id=left.pk, state="pending", now=NOW)
    tickets.merge(ticket_id=waiting.pk, into_id=survivor.pk, by=None, now=NOW)

    received(answer(left))

    survivor.refresh_from_db()
    waiting.refresh_from_db()
    assert (survivor.state, waiting.state) == ("open", "merged")


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"Auto_Submitted": "auto-replied"}, "auto-submitted"),
        ({"Precedence": "bulk"}, "precedence"),
        ({"X_Autoreply": "yes"}, "auto-reply"),
        ({"List_Id": "<x.y>"}, "list"),
    ],
)
def test_what_a_program_wrote_is_ignored(left: Conversation, headers: dict[str, str], why: str) -> None:
    found = received(answer(left, **headers))

    assert (found.outcome, found.why) == ("ignored", why)
    assert len(of_visitor(left)) == 1


@pytest.mark.parametrize("sender", ["hello@shop.example", "reply@shop.example", "reply+1-aaaaaaaaaaaaaaaaaaaa@shop.example"])
def test_our_own_mail_coming_back_is_ignored(left: Conversation, sender: str) -> None:
    assert received(answer(left, sender=sender)).why == "loop"


def test_an_empty_mail_is_ignored(left: Conversation) -> None:
    assert received(answer(left, " \n")).why == "empty"


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.replace("-", "-a"),
        lambda a: a.replace("+", "+1"),
        lambda a: "reply+@shop.example",
        lambda a: "other@shop.example",
        lambda a: a.replace("shop.", "s."),
    ],
)
def test_an_unknown_address_is_refused_and_nothing_changes(left: Conversation, change: Any) -> None:
    address = change(addresses.reply_address(left))

    with pytest.raises(addresses.AddressUnknown):
        receiving.receive(answer(left).as_bytes(), to=[address], now=NOW)
    assert len(of_visitor(left)) == 1


def test_a_token_opens_its_own_conversation_only(left: Conversation, shop: Any) -> None:
    other = conversations.open(source_id=shop.pk, visitor_id="f" * 32, now=NOW)
    mine, theirs = addresses.reply_address(left), addresses.reply_address(other)
    mixed = mine.split("-")[0] + "-" + theirs.split("-")[1]

    assert addresses.conversation_at(mine.upper()) == left
    with pytest.raises(addresses.AddressUnknown):
        addresses.conversation_at(mixed)


def test_the_thread_finds_the_conversation_where_the_token_is_lost(left: Conversation) -> None:
    row = ConversationMail.objects.create(conversation=left, message_id="<ours@shop.example>", to=SENDER, from_seq=1, upto_seq=1, next_at=NOW, created_at=NOW)
    mail = answer(left, References=f"<x@y> {row.message_id}", In_Reply_To="<x@y>")

    assert received(mail, to=["reply@shop.example"]).conversation_id == left.pk
    with pytest.raises(addresses.AddressUnknown):
        receiving.receive(answer(left, In_Reply_To="<guess@shop.example>").as_bytes(), to=["reply@shop.example"], now=NOW)


def test_a_bounce_is_no_message_and_staff_reads_that_the_mail_did_not_arrive(left: Conversation) -> None:
    row = ConversationMail.objects.create(
        conversation=left, message_id="<ours@shop.example>", to=SENDER, from_seq=1, upto_seq=1, next_at=NOW, created_at=NOW, state="sent"
    )
    report = (
        f"From: MAILER-DAEMON@mx.example\r\nTo: {addresses.reply_address(left)}\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: text/plain\r\n\r\nno such user\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx\r\n\r\n"
        f"Final-Recipient: rfc822; {SENDER}\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: {row.message_id}\r\n\r\n--b--\r\n"
    ).encode()

    for _ in range(2):
        (found,) = receiving.receive(report, to=[addresses.reply_address(left)], envelope_from="", now=later(60))
        assert (found.outcome, found.why) == ("ignored", "bounce")

    row.refresh_from_db()
    assert (row.state, row.error) == ("failed", "bounced")
    assert Message.objects.filter(conversation=left, kind="mail_failed", is_note=True).count() == 1
    assert len(of_visitor(left)) == 1


def test_too_large_and_too_many_are_refused(left: Conversation, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CRM_INBOUND_MAIL_BYTES = 10_000
    with pytest.raises(receiving.MailTooLarge):
        receiving.receive(answer(left, "x" * 10_000).as_bytes(), to=[addresses.reply_address(left)], now=NOW)

    monkeypatch.setattr(receiving, "MOST_PER_HOUR", 2)
    received(answer(left, message_id="<1@m>"))
    received(answer(left, message_id="<2@m>"))
    with pytest.raises(receiving.MailTooMany):
        received(answer(left, message_id="<3@m>"))
    assert received(answer(left, message_id="<3@m>"), seconds=60 + timedelta(hours=2).total_seconds()).outcome == "stored"


def test_with_no_address_of_ours_nothing_is_known(left: Conversation, settings: Any) -> None:
    address = addresses.reply_address(left)
    settings.CRM_INBOUND_MAIL_ADDRESS = ""

    with pytest.raises(addresses.AddressUnknown):
        receiving.receive(b"From: a@b\r\n\r\nx", to=[address, "@"], now=NOW)
