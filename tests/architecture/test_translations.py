"""Every text marked for translation has a Chinese one that fits, found in the sources anew and without GNU gettext."""

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import polib
import pytest
from babel.messages.extract import extract
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = ROOT / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"
NOT_SOURCES = {"tests", "var", "build", "dist", "staticfiles", "locale", "docs"}
# What `makemessages` has xgettext look for, as Babel writes it: which argument is the text, the plural, the context.
KEYWORDS: dict[str, tuple[int | tuple[int, str], ...] | None] = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
    "npgettext_lazy": ((1, "c"), 2, 3),
}
# Written alike in both languages: codes, letters of a method's name, names of products.
SAME_IN_BOTH = {"F1", "F", "M", "R", "Online Retail (UCI)", "SKU", "id", "v%(n)s"}
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%%|\{\{.*?\}\}|(?<!\{)\{\w*\}(?!\})|</?\w[^>]*>")
HAN = r"[\u4e00-\u9fff]"

Key = tuple[str, str]


def _sources() -> Iterator[tuple[Path, str]]:
    for top in sorted(ROOT.iterdir()):
        if not top.is_dir() or top.name.startswith(".") or top.name in NOT_SOURCES or top.name.endswith(".egg-info"):
            continue
        for path in sorted(top.rglob("*")):
            if path.suffix == ".py" and "migrations" not in path.parts:
                yield path, path.read_text(encoding="utf-8")
            elif path.suffix in {".html", ".txt"}:
                # The template's tags as Python calls; a line's indentation means nothing there and would trouble the tokenizer.
                code = templatize(path.read_text(encoding="utf-8"), origin=str(path))
                yield path, "\n".join(line.lstrip() for line in code.splitlines())


@pytest.fixture(scope="module")
def marked() -> dict[Key, tuple[str, str]]:
    """{(context, text): (plural or "", where first found)} of all sources."""
    found: dict[Key, tuple[str, str]] = {}
    for path, code in _sources():
        if not any(word in code for word in ("_(", "gettext")):
            continue
        for line, message, _comments, context in extract("python", BytesIO(code.encode()), keywords=KEYWORDS):
            text, plural = message if isinstance(message, tuple) else (message, "")
            if text:
                found.setdefault((context or "", text), (plural, f"{path.relative_to(ROOT)}:{line}"))
    return found


@pytest.fixture(scope="module")
def entries() -> dict[Key, polib.POEntry]:
    return {(entry.msgctxt or "", entry.msgid): entry for entry in polib.pofile(str(CATALOGUE)) if not entry.obsolete}


@pytest.fixture(scope="module")
def chinese(entries: dict[Key, polib.POEntry]) -> list[tuple[str, str]]:
    """(English, Chinese) pairs; of a plural the English plural, which carries the placeholders."""
    return [(entry.msgid_plural or entry.msgid, entry.msgstr_plural[0] if entry.msgid_plural else entry.msgstr) for entry in entries.values()]


def test_every_marked_text_is_translated(marked: dict[Key, tuple[str, str]], entries: dict[Key, polib.POEntry]) -> None:
    assert len(marked) > 1000, "the extraction finds next to nothing"
    missing = [
        f"{where}: {text!r}"
        for (context, text), (_plural, where) in marked.items()
        if (entry := entries.get((context, text))) is None or entry.fuzzy or not entry.translated()
    ]
    assert missing == [], "run `make messages`, then fill locale/zh_Hans/LC_MESSAGES/django.po"


def test_plurals_are_plurals_in_the_catalogue(marked: dict[Key, tuple[str, str]], entries: dict[Key, polib.POEntry]) -> None:
    plurals = {key: plural for key, (plural, _where) in marked.items() if plural}

    assert plurals
    assert {key: entries[key].msgid_plural for key in plurals if key in entries} == plurals


def test_placeholders_survive_translation(chinese: list[tuple[str, str]]) -> None:
    assert [(english, translated) for english, translated in chinese if sorted(PLACEHOLDER.findall(english)) != sorted(PLACEHOLDER.findall(translated))] == []


def test_chinese_is_chinese(chinese: list[tuple[str, str]]) -> None:
    words = [(english, translated) for english, translated in chinese if re.search(r"[A-Za-z]", PLACEHOLDER.sub("", english))]
    assert [english for english, translated in words if not re.search(HAN, translated) and english not in SAME_IN_BOTH] == []


def test_chinese_is_set_as_chinese(chinese: list[tuple[str, str]]) -> None:
    """Full-width punctuation beside Han, a space between Han and Latin letters or digits, and never 你."""
    bare = [PLACEHOLDER.sub("", translated) for _english, translated in chinese]

    assert [text for text in bare if "你" in text] == []
    assert [text for text in bare if re.search(rf"{HAN}[A-Za-z0-9]|[A-Za-z0-9]{HAN}", text)] == []
    assert [text for text in bare if re.search(rf"{HAN}\s*[,:;?!()]|[,:;?!()]\s*{HAN}|{HAN}\.(?:\s|$)", text)] == []
