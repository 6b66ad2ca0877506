"""Files: what they are is read off their bytes, limits hold, and none is served as a page."""

from pathlib import Path
from urllib.parse import quote

import pytest
from django.test import Client

from crm.core.models import Source, User
from support import attachments, conversations, visitors
from support.models import Attachment, Conversation
from support.visitors import Visitor
from tests.support.conftest import NOW, VISITOR

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 40


@pytest.fixture(autouse=True)
def _files(settings: object, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path  # type: ignore[attr-defined]
    settings.CRM_CHAT_FILE_BYTES = 2000  # type: ignore[attr-defined]
    settings.CRM_CHAT_FILES = 3  # type: ignore[attr-defined]


def send(client: Client, shop: Source, content: bytes, *, name: str = "photo.png", client_id: str = "a", origin: str = "https://tea.example") -> object:
    return client.post(
        "/widget/api/file",
        data=content,
        content_type="application/octet-stream",
        headers={
            "X-Visitor-Token": visitors.issue(Visitor(shop.pk, VISITOR)),
            "X-Client-Id": client_id,
            "X-File-Name": quote(name),
            "Origin": origin,
        },
    )


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0rest", "image/jpeg"),
        (b"GIF89a...", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"%PDF-1.7\n...", "application/pdf"),
        ("你好, order MM1\n".encode(), "text/plain"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", None),
        (b"  <!DOCTYPE html><script>alert(1)</script>", None),
        (b"hello <script>alert(1)</script>", None),
        (b"#!/bin/sh\nrm -rf /", None),
        (b"MZ\x90\x00\x03", None),
        (b"\x7fELF\x02", None),
        (b"PK\x03\x04", None),
        (b"text with \x00 nul", None),
        (b"\xfe\xff\x00h", None),
    ],
)
def test_the_bytes_say_what_it_is(content: bytes, kind: str | None) -> None:
    assert attachments.media_type(content) == kind


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd", "passwd.png"),
        ("C:\\Temp\\a.exe", "a.png"),
        ("fake\u202egnp.exe", "fakegnp.png"),
        ('"><script>.png', "script.png"),
        ("", "file.png"),
        ("...", "file.png"),
        ("照片 1.jpg", "照片 1.png"),
        ("x" * 500 + ".png", "x" * 116 + ".png"),
    ],
)
def test_names_lose_folders_tricks_and_endings(given: str, shown: str) -> None:
    assert attachments.safe_name(given, "image/png") == shown


def test_a_picture_becomes_a_message_once_and_is_served_in_its_cage(client: Client, shop: Source) -> None:
    answer, again = send(client, shop, PNG), send(client, shop, PNG)

    assert (answer.status_code, again.json()["seq"]) == (200, answer.json()["seq"])
    item, told = answer.json()["items"]
    assert (item["kind"], item["data"]["file"]["type"]) == ("file", "image/png")
    assert Attachment.objects.get().message.seq == item["seq"]
    served = Client().get(item["data"]["file"]["url"])
    assert served.content == PNG
    assert served["Content-Type"] == "image/png"
    assert served["X-Content-Type-Options"] == "nosniff"
    assert served["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert served["Content-Disposition"].startswith("inline")
    # The assistant cannot look at it.
    assert (told["kind"], Conversation.objects.get().handover_reason) == ("handover", "file")


def test_the_name_of_a_file_does_not_change_the_language(talk: Conversation) -> None:
    Conversation.objects.update(language="zh-hans")

    attachments.attach(conversation_id=talk.pk, content=PNG, name="photo.png", client_id="a", now=NOW)

    talk.refresh_from_db()
    assert (talk.language, talk.messages.get().language) == ("zh-hans", "zh-hans")


@pytest.mark.parametrize("content", [b"%PDF-1.7", b"plain words"])
def test_what_is_no_picture_is_a_download(client: Client, shop: Source, content: bytes) -> None:
    item = send(client, shop, content, name="a.html").json()["items"][0]

    served = client.get(item["data"]["file"]["url"])

    assert served["Content-Disposition"].startswith("attachment")
    assert "html" not in served["Content-Type"]
    assert not item["text"].endswith("html")


@pytest.mark.parametrize(("content", "status", "code"), [(b"", 413, "file_too_large"), (b"a" * 2001, 413, "file_too_large"), (b"<html>", 415, "file_type_bad")])
def test_refused_files_leave_nothing(client: Client, shop: Source, tmp_path: Path, content: bytes, status: int, code: str) -> None:
    answer = send(client, shop, content)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not Attachment.objects.exists()
    assert not Conversation.objects.exists()
    assert list(tmp_path.rglob("*")) == []


def test_count_and_pace_are_limited(client: Client, shop: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = [send(client, shop, PNG, client_id=f"c{number}").status_code for number in range(4)]
    assert codes == [200, 200, 200, 409]

    monkeypatch.setattr("support.limits.FILES_PER_MINUTE", 1)
    assert send(client, shop, PNG, client_id="d").status_code == 429


def test_foreign_pages_and_strange_keys_get_nothing(client: Client, shop: Source) -> None:
    assert send(client, shop, PNG, origin="https://evil.example").status_code == 403
    for key in ("0" * 32, "../../etc/passwd", "A" * 32, "x"):
        assert client.get(f"/files/{quote(key, safe='')}/").status_code == 404


def test_an_agent_attaches_and_other_teams_do_not(client: Client, talk: Conversation, agent: User) -> None:
    conversations.assign(conversation_id=talk.pk, agent=agent, by=agent, now=NOW)
    client.force_login(agent)

    answer = client.post(
        f"/assistant/conversations/{talk.pk}/file/", data=PNG, content_type="application/octet-stream", headers={"X-Client-Id": "q", "X-File-Name": "a.png"}
    )

    row = talk.messages.get(kind="file")
    assert (answer.status_code, row.author, row.agent) == (200, "agent", agent)
    page = client.get(f"/inbox/{talk.pk}/").content.decode()
    assert row.data["file"]["url"] in page
    from support.models import Team

    Conversation.objects.update(team=Team.objects.create(name="Others"))
    refused = client.post(
        f"/assistant/conversations/{talk.pk}/file/", data=PNG, content_type="application/octet-stream", headers={"X-Client-Id": "r", "X-File-Name": "a.png"}
    )
    assert refused.status_code == 404
