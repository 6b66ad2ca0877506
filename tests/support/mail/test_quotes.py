"""What was newly written in an answer: certain quotations and signatures go, everything doubtful stays."""

import time

import pytest

from support.mail import html, quotes
from support.mail.quotes import MARKS

GMAIL = "Yes, please send it.\n\nOn Mon, 15 Jun 2026 at 10:00, Mei, Tea shop <reply+1-abc@shop.example> wrote:\n> –– Please write\n> your order"
GMAIL_WRAPPED = "Yes.\n\nOn Mon, 15 Jun 2026 at 10:00, Mei, The tea shop\n<reply+1-abcdefgh@shop.example> wrote:\n\n> old\n> words\n"
APPLE = "Gern!\n\nAm 15.06.2026 um 10:00 schrieb Mei <a@b.example>:\n> alt"
CHINESE = "好的，谢谢。\n\n在 2026年6月15日，10:00，茶店 <a@b.example> 写道：\n> 旧内容"
CHINESE_QQ = "收到了\n\n------------------ 原始邮件 ------------------\n发件人: 茶店\n发送时间: 2026年6月15日\n收件人: 林\n主题: 您与茶店的会话\n\n旧内容"
OUTLOOK = "I want the blue one.\n\nFrom: Mei <a@b.example>\nSent: Monday, June 15, 2026 10:00\nTo: Lin\nSubject: Your conversation\n\nWhich one?"
OUR_MARK = f"Blue.\n\n{MARKS[0]}\n\nWhich one?"
BELOW = "On Mon, Mei wrote:\n> Which one?\n> Or both?\n\nThe blue one."
BETWEEN = "> Which one?\nThe blue one.\n> And the size?\nLarge."


@pytest.mark.parametrize(
    ("text", "new"),
    [
        (GMAIL, "Yes, please send it."),
        (GMAIL_WRAPPED, "Yes."),
        (APPLE, "Gern!"),
        (CHINESE, "好的，谢谢。"),
        (CHINESE_QQ, "收到了"),
        (OUTLOOK, "I want the blue one."),
        (OUR_MARK, "Blue."),
        (BELOW, "The blue one."),
        (BETWEEN, BETWEEN),
        ("Thanks\n-- \nLin\n+49 30 1234", "Thanks"),
        ("谢谢\n\n发自我的iPhone", "谢谢"),
        ("Thanks\n\nSent from my iPhone\n\nOn 1 June, Mei wrote:\n> x", "Thanks"),
        ("Thanks\r\n\r\n\r\n\r\nLin", "Thanks\n\nLin"),
    ],
)
def test_history_and_signatures_are_cut(text: str, new: str) -> None:
    assert quotes.new_part(text) == new


@pytest.mark.parametrize(
    "text",
    [
        "> only a quotation",
        "From: here on it is quiet.\nStill my words.",
        "On Monday she wrote:\nplease call me",
        "Two options\n--\nA\n--\nB\n" + "\n".join(f"line {number}" for number in range(20)),
        "--\nLin",
        "I was sent from my iPhone shop to you",
        "x > y and y > z",
    ],
)
def test_what_is_doubtful_stays(text: str) -> None:
    assert quotes.new_part(text) == text


def test_an_html_mail_becomes_text_with_its_quotation_marked() -> None:
    mail = (
        "<html><head><style>p{color:red}</style><title>no</title></head><body><p>Yes,&nbsp;please.<br>Blue &amp; large</p><div>Lin</div><div>Berlin</div>"
        "<script>alert(1)</script><div class='gmail_quote'>On Monday, Mei wrote:<blockquote>Which <b>one</b>?</blockquote></div></body></html>"
    )

    assert html.text_of(mail) == "Yes, please.\nBlue & large\n\nLin\nBerlin\n\n> On Monday, Mei wrote:\n\n> Which one?"
    assert quotes.new_part(html.text_of(mail)) == "Yes, please.\nBlue & large\n\nLin\nBerlin"


@pytest.mark.parametrize(
    "markup", ["<div>" * 5000 + "deep", "<p <p <<<>>", "</div></p>", "&#x110000;&#0;", "<!--" * 100, "<blockquote>", "<![x]>", "<![ endif]>"]
)
def test_broken_markup_is_read_without_an_error(markup: str) -> None:
    assert isinstance(html.text_of(markup), str)


@pytest.mark.parametrize(
    "markup",
    [
        "<html><head><meta charset=utf-8><style>p{}</style><body><p>Cancel it, please.</p></body></html>",
        "<head><title>no</title>\nCancel it, please.",
        "<!--[if mso]><xml>no</xml><![endif]--><![if !mso]><p>Cancel<![endif]> it,<!--> please.<!DOCTYPE x>",
    ],
)
def test_a_text_is_not_hidden_by_a_head_that_has_no_end_or_by_declarations(markup: str) -> None:
    assert html.text_of(markup) == "Cancel it, please."


@pytest.mark.parametrize("piece", ["<a ", "<a", "<!-- >", "<![x", "<a b='> ", "<div> ", "<div class='ntes_", "ntes_", "</a "])
def test_a_mail_made_of_beginnings_holds_nobody_up(piece: str) -> None:
    began = time.process_time()

    html.text_of("<div class='" * (piece == "ntes_") + piece * (html.LONGEST // len(piece)))

    assert time.process_time() - began < 5
