"""A visitor who left gets what staff wrote by mail, once, with an address that leads back."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from crm.core import clock
from crm.core.models import User
from support import attachments, conversations
from support.mail import addresses, composing, receiving, sending
from support.mail.quotes import MARKS
from support.models import Attachment, Conversation, ConversationMail, Message
from support.models.mail import MailState
from tests.factories import CustomerFactory
from tests.support.conftest import NOW, later
from tests.support.mail.conftest import SENDER, answer
from tests.support.mail.smtp import Mailbox, mailbox

pytestmark = pytest.mark.django_db


@pytest.fixture
def box(settings: Any) -> Iterator[Mailbox]:
    with mailbox() as (found, port):
        settings.CRM_SMTP_HOST, settings.CRM_SMTP_PORT, settings.CRM_CHAT_MAIL_AFTER_SECONDS = "127.0.0.1", port, 60
        yield found


def say(conversation: Conversation, agent: User, text: str, *, at: float = 10, **more: Any) -> Message:
    return conversations.post(conversation_id=conversation.pk, author="agent", agent=agent, text=text, now=later(at), **more).message


def test_lines_that_no_page_received_are_mailed_together_once(left: Conversation, agent: User, box: Mailbox) -> None:
    say(left, agent, "The green one.")
    say(left, agent, "between us", at=11, is_note=True)
    say(left, agent, "Or the white.", at=12)

    assert sending.sweep(now=later(40)) == 0
    assert [sending.sweep(now=later(75)), sending.sweep(now=later(95)), sending.sweep(now=later(4000))] == [1, 0, 0]

    (mail,) = box.mails
    text = mail.get_content().replace("\r\n", "\n")
    assert text.startswith(MARKS[0])
    assert "The green one.\n\nOr the white." in text
    assert "between us" not in text
    assert "Which tea is best?" in text.partition("> ")[2]
    assert mail["To"] == SENDER
    assert addresses.conversation_at(str(mail["Reply-To"])) == left
    assert box.senders == [addresses.reply_address(left)]


def test_in_chinese_the_mail_is_chinese(left: Conversation, agent: User, box: Mailbox) -> None:
    Conversation.objects.filter(pk=left.pk).update(language="zh-hans")
    say(left, agent, "绿茶最好。")

    sending.sweep(now=later(100))

    assert box.mails[0].get_content().startswith(MARKS[1])
    assert "绿茶最好。" in box.mails[0].get_content()
    assert box.mails[0]["Subject"] == "您与The tea shop的会话"


def test_who_reads_in_the_chat_gets_no_mail(left: Conversation, agent: User, box: Mailbox) -> None:
    line = say(left, agent, "The green one.")
    conversations.mark_got(conversation_id=left.pk, seq=line.seq, by_visitor=True, now=later(20))

    assert sending.sweep(now=later(200)) == 0
    # Received by a page in the background and never looked at: mailed after half an hour.
    assert sending.sweep(now=later(1900)) == 1

    other = say(left, agent, "And hot water.", at=2000)
    conversations.mark_read(conversation_id=left.pk, seq=other.seq, by_visitor=True, now=later(2001))
    assert sending.sweep(now=later(9000)) == 0


def test_nobody_is_written_to_without_an_address_of_their_own(left: Conversation, agent: User, box: Mailbox) -> None:
    """A customer put beside the chat by staff has proven nothing; the demo shop's history is nobody's."""
    Conversation.objects.filter(pk=left.pk).update(visitor_email="", customer=CustomerFactory(email="known@mail.example"), is_verified=False)
    say(left, agent, "The green one.")
    assert sending.sweep(now=later(100)) == 0

    Conversation.objects.filter(pk=left.pk).update(is_verified=True, is_demo=True)
    assert sending.sweep(now=later(101)) == 0

    Conversation.objects.filter(pk=left.pk).update(is_demo=False)
    assert sending.sweep(now=later(102)) == 1
    assert box.mails[0]["To"] == "known@mail.example"


def test_with_answers_switched_off_nothing_is_mailed(left: Conversation, agent: User, box: Mailbox, settings: Any) -> None:
    settings.CRM_INBOUND_MAIL_ADDRESS = ""
    say(left, agent, "The green one.")

    assert sending.sweep(now=later(100)) == 0


def test_a_proven_address_stands_over_one_typed_before(left: Conversation, agent: User, box: Mailbox) -> None:
    """Whoever typed it at the same browser is not the customer who logged in since."""
    Conversation.objects.filter(pk=left.pk).update(is_verified=True, customer=CustomerFactory(email="known@mail.example"))
    say(left, agent, "Your order is on its way.")

    sending.sweep(now=later(100))

    assert [mail["To"] for mail in box.mails] == ["known@mail.example"]


def test_no_visitor_waits_for_a_server_that_another_has_found_away(
    left: Conversation, agent: User, shop: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = conversations.open(source_id=shop.pk, visitor_id="f" * 32, visitor_email="two@mail.example", now=NOW)
    for talk in (left, other):
        say(talk, agent, "The green one.")
    settings.CRM_SMTP_HOST, settings.CRM_SMTP_PORT = "127.0.0.1", 1

    assert sending.sweep(now=later(200)) == 0

    assert sorted(ConversationMail.objects.values_list("attempts", flat=True)) == [0, 1]


def test_a_server_that_is_busy_gets_the_same_mail_later(left: Conversation, agent: User, box: Mailbox) -> None:
    say(left, agent, "The green one.")
    box.refuse_data = "451 busy"
    assert sending.sweep(now=later(100)) == 0
    row = ConversationMail.objects.get()
    assert (row.state, row.attempts) == (MailState.WAITING, 1)

    box.refuse_data = ""
    assert [sending.sweep(now=later(120)), sending.sweep(now=later(170))] == [0, 1]

    assert box.mails[0]["Message-ID"] == row.message_id
    assert ConversationMail.objects.get().state == MailState.SENT


def test_an_address_that_is_refused_is_given_up_and_staff_is_told(left: Conversation, agent: User, box: Mailbox) -> None:
    say(left, agent, "The green one.")
    box.refuse_rcpt = "550 5.1.1 no such user"

    assert [sending.sweep(now=later(100)), sending.sweep(now=later(9000))] == [0, 0]

    assert ConversationMail.objects.get().state == MailState.FAILED
    note = Message.objects.get(conversation=left, kind="mail_failed")
    assert note.is_note
    assert SENDER in note.text


@pytest.mark.parametrize("address", ['"\x01"@mail.example', "l.@mail.example", "lïn@mail.example", "lin@茶.example", "lin", "lin@"])
def test_what_is_no_address_is_given_up_and_holds_up_nobody(left: Conversation, agent: User, shop: Any, box: Mailbox, address: str) -> None:
    """A customer's address is whatever the shop or an imported list says."""
    other = conversations.open(source_id=shop.pk, visitor_id="f" * 32, visitor_email="two@mail.example", now=NOW)
    Conversation.objects.filter(pk=left.pk).update(is_verified=True, customer=CustomerFactory(email=address))
    for talk in (left, other):
        say(talk, agent, "The green one.")
    sending.prepare(conversation_id=left.pk, now=later(90))

    assert sending.sweep(now=later(100)) == 1

    assert [mail["To"] for mail in box.mails] == ["two@mail.example"]
    assert ConversationMail.objects.get(conversation=left).state == MailState.FAILED
    assert Message.objects.filter(conversation=left, kind="mail_failed", is_note=True).exists()


def test_mails_that_wait_long_for_their_turn_are_not_sent_twice(left: Conversation, agent: User, shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow server: the second's lease begins when its turn comes, not when the round began."""
    for number in range(3):
        talk = conversations.open(source_id=shop.pk, visitor_id=f"{number}" * 32, visitor_email="two@mail.example", now=NOW)
        say(talk, agent, "The green one.")
    seconds, sent = [0.0], []
    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=lambda: seconds[0]))

    def slow(_raw: bytes, *, sender: str, to: str) -> None:
        sent.append(sender)
        seconds[0] += 100
        # Another worker, which finds nothing that is not being sent.
        waiting = ConversationMail.objects.filter(state=MailState.WAITING, next_at__lte=later(200 + seconds[0])).values_list("pk", flat=True)
        assert len(waiting) == 3 - len(sent)

    monkeypatch.setattr(sending, "_submit", slow)

    assert sending.sweep(now=later(200)) == 3


def test_a_worker_that_dies_while_sending_leaves_the_mail_to_the_next(left: Conversation, agent: User, box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    say(left, agent, "The green one.")
    with monkeypatch.context() as patched:
        patched.setattr(sending, "_submit", lambda *_args, **_kwargs: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            sending.sweep(now=later(100))

    assert [sending.sweep(now=later(101)), sending.sweep(now=later(101) + sending.LEASE)] == [0, 1]
    assert len(box.mails) == 1


def test_both_sides_make_one_thread(left: Conversation, agent: User, box: Mailbox) -> None:
    say(left, agent, "The green one.")
    sending.sweep(now=later(100))
    receiving.receive(answer(left).as_bytes(), to=[addresses.reply_address(left)], now=later(200))
    say(left, agent, "Good.", at=300)
    sending.sweep(now=later(400))

    first, second = box.mails
    assert second["In-Reply-To"] == "<a1@mail.example>"
    assert str(second["References"]).split() == [str(first["Message-ID"]), "<a1@mail.example>"]
    assert Message.objects.filter(conversation=left, author="visitor", kind="mail").count() == 1
    assert "The green one." in second.get_content()


def test_long_ids_stay_ids(left: Conversation, agent: User, box: Mailbox) -> None:
    """Exchange's are longer than a line, and an encoded id belongs to no thread."""
    theirs = f"<{'A1B2C3D4' * 5}@{'eurprd05.' * 4}prod.outlook.example>"
    receiving.receive(answer(left, message_id=theirs).as_bytes(), to=[addresses.reply_address(left)], now=later(5))
    say(left, agent, "Good.")

    sending.sweep(now=later(100))

    raw = box.raw[0].decode()
    assert f"In-Reply-To: {theirs}\r\n" in raw
    assert f"References: {theirs}\r\n" in raw


def test_a_file_too_large_to_go_along_is_named_with_its_address(
    left: Conversation, agent: User, box: Mailbox, settings: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MEDIA_ROOT, settings.CRM_PUBLIC_URL = tmp_path, "https://crm.example"
    monkeypatch.setattr(composing, "LARGEST_FILES", 12)
    for name in ("offer.pdf", "plan.pdf"):
        attachments.attach(conversation_id=left.pk, content=b"%PDF-1.4 x", name=name, client_id=name, agent=agent, now=later(10))

    sending.sweep(now=later(100))

    body = box.mails[0].get_body()
    key = Attachment.objects.get(name="plan.pdf").key
    assert [file.get_filename() for file in box.mails[0].iter_attachments()] == ["offer.pdf"]
    assert body is not None
    assert f"[offer.pdf]\n\n[plan.pdf] https://crm.example/files/{key}/" in body.get_content().replace("\r\n", "\n")


def test_files_of_staff_go_along(left: Conversation, agent: User, box: Mailbox, settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    attachments.attach(conversation_id=left.pk, content=b"%PDF-1.4 x", name="offer.pdf", client_id="f", agent=agent, now=later(10))

    sending.sweep(now=later(100))

    (file,) = box.mails[0].iter_attachments()
    assert (file.get_filename(), file.get_content()) == ("offer.pdf", b"%PDF-1.4 x")


def test_the_queue_of_many_visitors_is_one_query(left: Conversation, agent: User, django_assert_num_queries: Any) -> None:
    say(left, agent, "The green one.")

    with django_assert_num_queries(1):
        assert sending.owed(now=later(200)) == [left.pk]
    assert sending.owed(now=NOW) == []
