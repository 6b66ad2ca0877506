"""A mail as a value: charsets, files, programs that answer, and broken mails."""

from email.message import EmailMessage

import pytest

from support.mail import reading


def raw(headers: str = "", body: bytes = b"hello", *, content: str = "text/plain; charset=utf-8") -> bytes:
    return f"From: Lin <lin@mail.example>\r\nMessage-ID: <1@mail.example>\r\n{headers}Content-Type: {content}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [
        ("gb18030", "gb18030"),
        ("gb2312", "gb18030"),
        ("GBK", "gb18030"),
        ("utf-8", "utf-8"),
        ("big5", "big5"),
        ("utf-16", "utf-16"),
        ("x-unknown", "gb18030"),
        ("us-ascii", "utf-8"),
    ],
)
def test_a_text_is_read_in_its_charset(charset: str, encoding: str) -> None:
    letter = reading.read(
        raw(body="運費多少".encode(encoding) if encoding == "big5" else "运费多少，镕".encode(encoding), content=f"text/plain; charset={charset}")
    )

    assert letter.text.strip() in {"运费多少，镕", "運費多少"}


def test_western_text_named_latin_keeps_its_signs() -> None:
    assert reading.read(raw(body=b"5 \x80 f\xfcr alle", content="text/plain; charset=iso-8859-1")).text == "5 € für alle"


def test_headers_are_decoded_and_kept_on_one_line() -> None:
    letter = reading.read(raw("Subject: =?gb2312?B?1Mu30Q==?=\r\n =?utf-8?Q?_=C3=BC?=\r\n"))

    assert letter.sender == "lin@mail.example"
    assert letter.subject == "运费 ü"


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ("Auto-Submitted: auto-replied\r\n", "auto-submitted"),
        ("Auto-Submitted: auto-generated; x=y\r\n", "auto-submitted"),
        ("Auto-Submitted: no\r\n", ""),
        ("Precedence: bulk\r\n", "precedence"),
        ("Precedence: auto_reply\r\n", "precedence"),
        ("Precedence: first-class\r\n", ""),
        ("X-Autoreply: yes\r\n", "auto-reply"),
        ("X-Autorespond: Re: x\r\n", "auto-reply"),
        ("List-Id: <news.shop.example>\r\n", "list"),
        ("Return-Path: <>\r\n", "bounce"),
        ("X-Failed-Recipients: a@b.example\r\n", "bounce"),
        ("", ""),
    ],
)
def test_what_a_program_wrote_is_known_by_its_headers(headers: str, why: str) -> None:
    assert reading.read(raw(headers)).automatic == why


def test_the_empty_sender_of_the_envelope_marks_a_bounce() -> None:
    assert reading.read(raw(), envelope_from="").is_bounce
    assert not reading.read(raw(), envelope_from="lin@mail.example").is_bounce


def test_files_are_taken_and_logos_are_not() -> None:
    mail = EmailMessage()
    mail["From"] = "lin@mail.example"
    mail.set_content("see the picture")
    mail.add_alternative('<p>see <img src="cid:logo"></p>', subtype="html")
    mail.add_attachment(b"%PDF-1.4 x", maintype="application", subtype="pdf", filename="发票.pdf")
    mail.add_attachment(b"\x89PNG small", maintype="image", subtype="png", disposition="inline", cid="<logo>", filename="logo.png")

    letter = reading.read(mail.as_bytes())

    assert letter.text.strip() == "see the picture"
    assert [(each.name, each.content) for each in letter.files] == [("发票.pdf", b"%PDF-1.4 x")]


def test_html_alone_is_read_and_an_empty_plain_part_does_not_hide_it() -> None:
    mail = EmailMessage()
    mail.set_content("  \n")
    mail.add_alternative("<p>Yes</p>", subtype="html")

    assert reading.read(mail.as_bytes()).text == "Yes"


def test_flowed_lines_are_joined() -> None:
    body = b"one long \r\nline\r\n\r\nnext\r\n-- \r\nLin"

    assert reading.read(raw(body=body, content="text/plain; charset=utf-8; format=flowed")).text == "one long line\n\nnext\n-- \nLin"


def test_headers_lose_what_cannot_be_stored() -> None:
    assert reading.read(raw("Subject: =?utf-8?B?AGE=?= =?utf-7?Q?+2AA-b?=\r\n")).subject == "ab"


def test_a_codec_that_is_no_charset_takes_no_time() -> None:
    letter = reading.read(raw(body=b"a" * 2_000_000 + b"-" + b"a" * 2_000_000, content="text/plain; charset=punycode"))

    assert letter.text.startswith("aaa")


def test_forwarded_mails_and_files_beyond_the_limit_are_named() -> None:
    mail, inner = EmailMessage(), EmailMessage()
    inner["Subject"] = "Your order"
    inner.set_content("100 cups")
    mail.add_attachment(inner)
    for number in range(reading.MOST_FILES + 1):
        mail.add_attachment(b"%PDF-1.4", maintype="application", subtype="pdf", filename=f"{number}.pdf")

    files = reading.read(mail.as_bytes()).files

    assert [each.name for each in files if not each.content] == ["Your order.eml", "19.pdf", "20.pdf"]


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"\x00\xff\xfe",
        b"From: =?utf-8?B?####?= <a@b>\r\nContent-Type: multipart/mixed\r\n\r\nno boundary",
        b"Subject: =?x?y?z?=\r\nContent-Type: text/plain; charset=\xff\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!",
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n" + b"--a\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n" * 300,
        b"Message-ID: " + b"<" * 5000 + b"\r\n\r\nx",
        b"Content-Type: text/plain; charset=idna\r\n\r\n\xff",
        b'Content-Type: text/plain; charset="a\x00b"\r\n\r\n\xff',
        b"Content-Disposition: attachment; filename*=idna''%e4.pdf\r\n\r\nx",
        b"Content-Disposition: attachment; filename*=utf-7''%2B2AA-.pdf\r\n\r\nx",
    ],
)
def test_a_broken_mail_is_read_without_an_error(broken: bytes) -> None:
    letter = reading.read(broken)

    assert letter.message_id.startswith("<")
