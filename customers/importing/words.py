"""The reasons of faults in the reader's language; the error file keeps them in English, as programs read it too."""

import re

from django.utils.translation import gettext, gettext_noop

_EXACT = (
    gettext_noop("empty"),
    gettext_noop("below zero"),
    gettext_noop("not a number"),
    gettext_noop("not a number a shop would use"),
    gettext_noop("not a whole number"),
    gettext_noop("not a quantity a shop would use"),
    gettext_noop("not a date"),
    gettext_noop("not a date a shop would use"),
    gettext_noop("not above zero"),
    gettext_noop("not readable in the file's encoding"),
    gettext_noop("contains the character U+0000"),
    gettext_noop("a quote is opened in this line and not closed"),
    gettext_noop("in the future"),
    gettext_noop("not a currency code"),
    gettext_noop("a cancellation with a quantity above zero"),
    gettext_noop("left out: an accounting adjustment, not a purchase"),
    gettext_noop("left out: without a price it is a stock adjustment or a gift, not a purchase"),
    gettext_noop("left out: a stock adjustment, not a purchase"),
)
_PATTERNS = (
    (re.compile(r"longer than (?P<count>[\d,]+) characters.*"), gettext_noop("longer than %(count)s characters")),
    (
        re.compile(r"the row has (?P<cells>\d+) cells, the first line has (?P<columns>\d+)"),
        gettext_noop("the row has %(cells)s cells, the first line has %(columns)s"),
    ),
    (re.compile(r"a cell is longer than (?P<count>[\d,]+) characters"), gettext_noop("a cell is longer than %(count)s characters")),
    (re.compile(r"the line is longer than (?P<count>[\d,]+) characters"), gettext_noop("the line is longer than %(count)s characters")),
    (re.compile(r"the file ends in the middle: .*"), gettext_noop("the file ends in the middle")),
)


def told(reason: str) -> str:
    """Return a fault's reason in the current language."""
    if reason in _EXACT:
        return gettext(reason)
    for pattern, words in _PATTERNS:
        if found := pattern.fullmatch(reason):
            return gettext(words) % found.groupdict()
    return reason
