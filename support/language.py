"""Which of the two languages a message is written in, by its script."""

import re

from django.utils.translation.trans_real import parse_accept_lang_header

ENGLISH = "en"
CHINESE = "zh-hans"
LANGUAGES = (ENGLISH, CHINESE)
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_LATIN_WORD = re.compile(r"[A-Za-z]{2,}")


def language_of(text: str, *, fallback: str) -> str:
    """Return 'zh-hans' or 'en'; `fallback` where the text shows neither (digits, emoji, an order number).

    One Han character weighs as much as one Latin word, so a Chinese sentence that names a product in English stays
    Chinese and an English one that quotes a Chinese name stays English.
    """
    han, words = len(_HAN.findall(text)), len(_LATIN_WORD.findall(text))
    if han == words == 0:
        return fallback
    if words == 1 and han == 0 and any(character.isdigit() for character in text):
        # "MM20483" is an order number, not English.
        return fallback
    return CHINESE if han >= words else ENGLISH


def known(language: str) -> str:
    """Return the shipped language nearest to a browser's or a shop's code; English for anything unknown."""
    return CHINESE if language.lower().startswith("zh") else ENGLISH


def preferred(accept_language: str) -> str:
    """Return the first shipped language among a browser's (RFC 9110, 12.5.4), '' where it names neither."""
    for code, _weight in parse_accept_lang_header(accept_language.lower()):
        if code.split("-")[0] in {"zh", "en"}:
            return known(code)
    return ""


def html_lang(language: str) -> str:
    """Return the code for an HTML lang attribute."""
    return "zh-Hans" if language == CHINESE else "en"
