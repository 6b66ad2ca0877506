import pytest

from crm.core.text.gloss import GLOSSARY, gloss


@pytest.mark.parametrize(
    ("chinese", "english"),
    [
        ("我的快递到哪了", "my delivery where is"),
        ("优惠券用不了", "coupon cannot"),
        ("order 12345 什么时候发货？", "order 12345 when ship ？"),
        ("plain English", "plain English"),
        ("", ""),
    ],
)
def test_gloss_by_longest_match(chinese, english):
    assert gloss(chinese)[0] == english


def test_coverage_counts_han_characters_only():
    assert gloss("退货 ABC 123!")[1] == 1
    assert gloss("魑魅退货") == ("return goods", 0.5)
    assert gloss("no Han at all") == ("no Han at all", 1)


def test_every_line_of_the_glossary_has_two_fields():
    lines = [line for line in GLOSSARY.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]

    assert len(lines) > 300
    for line in lines:
        english, chinese = line.split("\t")
        assert chinese.split()
        assert english.isascii()
