from datetime import date

import pytest

from support import mood
from support.entities import extract

MONDAY = date(2026, 6, 15)
PRODUCTS = {"linen shirt": "MM-0001", "亚麻衬衫": "MM-0001", "tea": "MM-0002"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("where is MM20483, it was due yesterday", [("order", "MM20483"), ("date", "2026-06-14")]),
        ("我的订单 MMC01200012 三天前付的 ¥199.00", [("order", "MMC01200012"), ("date", "2026-06-12"), ("amount", "CNY 199.00")]),
        ("took $1,049.90 twice for #2024-00193", [("amount", "USD 1049.90"), ("order", "2024-00193")]),
        ("M or L in the linen shirt?", [("size", "M"), ("size", "L"), ("product", "MM-0001")]),
        ("165 穿亚麻衬衫选 S 还是 M", [("product", "MM-0001"), ("size", "S"), ("size", "M")]),
        ("5月20号下的单，要黑色 XL 码", [("date", "2026-05-20"), ("colour", "black"), ("size", "XL")]),
        ("ordered on 12th of May, in navy blue", [("date", "2026-05-12"), ("colour", "navy")]),
        ("can it be here by Friday", [("date", "2026-06-19")]),
        ("next Monday or 下周三", [("date", "2026-06-22"), ("date", "2026-06-24")]),
        ("a couple of weeks ago / 上周五", [("date", "2026-06-01"), ("date", "2026-06-12")]),
        ("31 December and 2 January", [("date", "2025-12-31"), ("date", "2026-01-02")]),
        ("大概两三百块，99元也行", [("amount", "CNY 99.00")]),
        ("by frıday, in whıte", [("date", "2026-06-19"), ("colour", "white")]),
        ("SİX WEEKS AGO, not tonıght", [("date", "2026-05-04"), ("date", "2026-06-15")]),
        ("电话 13812345678，3-5 days, 30% off, the steak is from the sun", []),
        ("February 31", []),
        ("", []),
        ("😀" * 50, []),
    ],
)
def test_finds(text: str, expected: list[tuple[str, str]]) -> None:
    found = extract(text, today=MONDAY, products=PRODUCTS)

    assert [(entity.kind, entity.value) for entity in found] == expected
    assert all(text[entity.start : entity.end] == entity.text for entity in found)


def test_a_pasted_document_is_searched_in_reasonable_time() -> None:
    assert extract("¥1 " * 40_000, today=MONDAY)
    assert extract("a" * 100_000 + "1" * 100_000, today=MONDAY) == []


@pytest.mark.parametrize(
    ("text", "feeling", "urgency"),
    [
        ("where is my order", "neutral", "normal"),
        ("thanks, that was great", "positive", "low"),
        ("not happy with this", "negative", "normal"),
        ("this is the third time I ask, this is unacceptable", "negative", "high"),
        ("paypal took the money twice for MM1!!", "neutral", "high"),
        ("I need it today, it's urgent", "neutral", "high"),
        ("包装都碎了，气死我了！！", "negative", "high"),
        ("扣了两次钱", "neutral", "high"),
        ("谢谢，很好", "positive", "low"),
        ("不满意", "negative", "normal"),
        ("我问了三遍，没人理", "negative", "high"),
        ("PLEASE ANSWER ME NOW", "neutral", "normal"),
        ("", "neutral", "normal"),
    ],
)
def test_mood_and_urgency(text: str, feeling: str, urgency: str) -> None:
    found = mood.of(text, today=MONDAY, entities=extract(text, today=MONDAY))

    assert (found.mood, found.urgency) == (feeling, urgency)
    assert bool(found.why) == (urgency == "high")
