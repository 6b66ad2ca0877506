"""What reviews speak of: on hand-written lines; those of part "test" were written apart and tuned nothing."""

import csv
from pathlib import Path

import pytest

from customers.ml.aspects import ASPECTS, aspects_of
from customers.review_aspects import summarised
from tests import public_data

LINES = Path(__file__).with_name("aspect_lines.tsv")


def lines(part: str) -> list[tuple[str, set[tuple[str, str]]]]:
    with LINES.open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE) if row["part"] == part]
    signs = {"+": "positive", "-": "negative"}
    return [(row["text"], {(each[:-1], signs[each[-1]]) for each in row["aspects"].split()}) for row in rows]


def figures(rows: list[tuple[str, set[tuple[str, str]]]]) -> tuple[float, float, float]:
    """Return precision and recall of (aspect, polarity) and the share of texts read without a mistake."""
    found = [{(mention.aspect, mention.polarity) for mention in mentions} for mentions in aspects_of([text for text, _ in rows])]
    right = sum(len(said & true) for said, (_, true) in zip(found, rows, strict=True))
    return (
        right / max(sum(map(len, found)), 1),
        right / max(sum(len(true) for _, true in rows), 1),
        sum(said == true for said, (_, true) in zip(found, rows, strict=True)) / len(rows),
    )


@pytest.mark.parametrize("chinese", [False, True])
def test_lines_written_apart_are_read_rightly_in_both_languages(chinese: bool, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row for row in lines("test") if (max(row[0]) > "\u3000") == chinese]

    precision, recall, whole = figures(rows)

    public_data.show(
        capsys, f"aspects, {'Chinese' if chinese else 'English'}, {len(rows)} lines: precision {precision:.3f}, recall {recall:.3f}, texts {whole:.3f}"
    )
    assert len(rows) >= 50
    assert precision > 0.8
    assert recall > 0.7


def test_a_mention_quotes_its_clause() -> None:
    found = aspects_of(["Delivery was slow but the fabric is soft. 客服不回复。"])[0]

    assert [(mention.aspect, mention.polarity, mention.quote) for mention in found] == [
        ("delivery", "negative", "Delivery was slow"),
        ("quality", "positive", "but the fabric is soft"),
        ("service", "negative", "客服不回复"),
    ]
    assert all(0 < mention.confidence <= 1 for mention in found)


def test_negation_turns_an_opinion_round() -> None:
    assert [(mention.aspect, mention.polarity) for mention in aspects_of(["It is not expensive.", "质量不好"])[0]] == [("price", "positive")]
    assert [mention.polarity for mention in aspects_of(["质量不好"])[0]] == ["negative"]


@pytest.mark.parametrize("text", ["", "   ", "😀😀", "。。。", "!" * 100_000, "good " * 20_000, "好" * 100_000, "\ud7ff\x00"])
def test_strange_texts_are_read_like_any_other(text: str) -> None:
    assert all(mention.aspect in ASPECTS for mention in aspects_of([text])[0])


def test_summary_counts_reviews_and_keeps_the_surest_quotes() -> None:
    summary = summarised(["Delivery was slow.", "物流太慢了", "Fast delivery, soft fabric.", "It is a cup."])

    assert [(each.aspect, each.praise, each.blame) for each in summary] == [("delivery", 1, 2), ("quality", 1, 0)]
    assert set(summary[0].blame_quotes) == {"Delivery was slow", "物流太慢了"}
