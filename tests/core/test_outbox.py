"""The outbox: what the sink caught is shown, and nothing in a mail can act on the page that shows it."""

import mailbox
import os
from email.message import EmailMessage
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.test import Client
from django.urls import reverse

from crm.core import outbox
from crm.core.errors import NotFound
from crm.core.models import User


@pytest.fixture
def folder(settings: LazySettings, tmp_path: Path) -> Path:
    settings.CRM_OUTBOX_DIR, settings.CRM_OUTBOX = tmp_path / "outbox", True
    mailbox.Maildir(settings.CRM_OUTBOX_DIR, create=True)
    return tmp_path / "outbox"


def put(folder: Path, subject: str, *, to: str = "ana@people.example", html: str = "<p>Hi</p>", age: int = 0) -> str:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"], mail["Date"] = "Moss <hello@shop.example>", to, subject, "Mon, 01 Jun 2026 09:00:00 +0000"
    mail.set_content("Plain words")
    mail.add_alternative(html, subtype="html")
    key = mailbox.Maildir(folder).add(mail.as_bytes())
    os.utime(folder / "new" / key, (1_800_000_000 - age, 1_800_000_000 - age))
    return key


def test_newest_first_with_decoded_headers(folder: Path) -> None:
    put(folder, "Old", age=10)
    put(folder, "您好")

    page = outbox.listing(folder)

    assert [mail.subject for mail in page.mails] == ["您好", "Old"]
    assert (page.total, page.pages, page.mails[0].to) == (2, 1, "ana@people.example")


def test_pages_and_search(folder: Path) -> None:
    for number in range(5):
        put(folder, f"Mail {number}", to=f"p{number}@people.example", age=number)

    assert [mail.subject for mail in outbox.listing(folder, number=2, per_page=2).mails] == ["Mail 2", "Mail 3"]
    assert [mail.subject for mail in outbox.listing(folder, number=99, per_page=2).mails] == ["Mail 4"]
    found = outbox.listing(folder, query="P3@PEOPLE")
    assert ([mail.subject for mail in found.mails], found.total) == (["Mail 3"], 1)


def test_one_mail_with_its_parts(folder: Path) -> None:
    key = put(folder, "Hello", html="<p>Grüße</p>")

    mail = outbox.read(folder, key)

    assert (mail.text.strip(), mail.html.strip()) == ("Plain words", "<p>Grüße</p>")
    assert ("Subject", "Hello") in mail.headers


@pytest.mark.parametrize("key", ["", "..", "../../etc/passwd", "nope", ".hidden"])
def test_a_key_that_names_no_mail_is_not_found(folder: Path, key: str) -> None:
    (folder / "new" / ".hidden").write_text("x")

    with pytest.raises(NotFound):
        outbox.read(folder, key)


def test_a_broken_mail_and_a_missing_folder_do_no_harm(folder: Path, tmp_path: Path) -> None:
    (folder / "new" / "broken").write_bytes(b"\xff\xfe\x00Subject: =?utf-8?b?!!!?=\nDate: never\nContent-Type: text/html; charset=nope\n\n\xff\xff")

    assert outbox.listing(folder).total == 1
    assert outbox.read(folder, "broken").text is not None
    assert outbox.listing(tmp_path / "none").mails == ()


@pytest.mark.django_db
def test_the_pages_show_a_mail_whose_html_can_do_nothing(folder: Path) -> None:
    key = put(folder, "<script>alert(1)</script>", html="<script>alert(2)</script><img src='https://spy.example/x.gif'><p style='color:red'>Hi</p>")
    client = Client()
    client.force_login(User.objects.create_user(username="mia", password="x", role="marketer"))

    listing = client.get(reverse("core:outbox"))
    page = client.get(reverse("core:outbox-mail", args=[key]))
    frame = client.get(reverse("core:outbox-html", args=[key]))

    assert "&lt;script&gt;alert(1)" in listing.content.decode()
    assert "alert(2)" not in page.content.decode()
    assert "<script>alert" not in listing.content.decode() + page.content.decode()
    policy = dict(part.strip().partition(" ")[::2] for part in frame["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["img-src"] == "data:"
    assert policy["sandbox"] == "allow-popups allow-popups-to-escape-sandbox"
    assert "script-src" not in policy
    assert frame["X-Frame-Options"] == "SAMEORIGIN"
    assert client.get(reverse("core:outbox"), {"q": "nothing"}).status_code == 200
    assert client.get(reverse("core:outbox-mail", args=["nope"])).status_code == 404


@pytest.mark.django_db
def test_agents_and_production_have_no_outbox(folder: Path, settings: LazySettings) -> None:
    client = Client()
    client.force_login(User.objects.create_user(username="alex", password="x", role="agent"))
    assert client.get(reverse("core:outbox")).status_code == 403

    settings.CRM_OUTBOX = False
    client.force_login(User.objects.create_user(username="mia", password="x", role="marketer"))
    assert client.get(reverse("core:outbox")).status_code == 404
