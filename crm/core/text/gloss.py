"""A word-by-word English gloss of Chinese text, for an encoder that cannot read Han characters.

The packaged encoder knows English only.  Given the gloss "my delivery where is" for 我的快递到哪了 it still finds the
right neighbours, and examples in one language teach the other: leave-one-out on the shipped intents rose from 72 to 81%
for Chinese and by a point for English.  It is no translation, is shown to nobody, and a multilingual encoder never sees
it.  The word list is data: glossary.zh-hans.tsv.
"""

import re
from functools import cache
from pathlib import Path

GLOSSARY = Path(__file__).with_name("glossary.zh-hans.tsv")
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_SPACES = re.compile(r"\s+")


def has_han(text: str) -> bool:
    return _HAN.search(text) is not None


def gloss(text: str) -> tuple[str, float]:
    """Return the gloss and the share of Han characters that the word list covers, 0..1 (1 where there are none).

    Longest match from the left, other scripts kept as they are, unknown Han characters dropped: to the encoder they
    would all be the same unknown sign.
    """
    words, longest = _words()
    out: list[str] = []
    covered = total = at = 0
    while at < len(text):
        for length in range(min(longest, len(text) - at), 0, -1):
            piece = text[at : at + length]
            if piece in words:
                if _HAN.match(piece):
                    covered += length
                    total += length
                out.append(f" {words[piece]} ")
                at += length
                break
        else:
            if _HAN.match(text[at]):
                total += 1
            else:
                out.append(text[at])
            at += 1
    return _SPACES.sub(" ", "".join(out)).strip(), covered / total if total else 1.0


@cache
def _words() -> tuple[dict[str, str], int]:
    """Return {Chinese word: English words} and the length of the longest Chinese word; the first entry of a word counts."""
    words: dict[str, str] = {}
    for line in GLOSSARY.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            english, chinese = line.split("\t")
            for word in chinese.split():
                # Latin words in the list (VIP, APP) stand in texts as they are.
                if has_han(word):
                    words.setdefault(word, english)
    return words, max(map(len, words))
