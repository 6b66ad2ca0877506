"""Names of countries as the reader says them, whatever a sender wrote: "GB", "United Kingdom" or "英国".

Senders write countries freely and the record keeps what they wrote; only what is shown is translated, by the names of
Unicode's CLDR (through Babel). A word that names no country is shown as it is.
"""

from functools import cache

from babel import Locale

from crm.core import formats

# What shops write and CLDR does not.
_ALSO = {
    "usa": "US",
    "u.s.a.": "US",
    "u.s.": "US",
    "uk": "GB",
    "great britain": "GB",
    "england": "GB",
    "eire": "IE",
    "holland": "NL",
    "rsa": "ZA",
    "uae": "AE",
    "korea": "KR",
}


def named(country: str | None) -> str:
    """Return the country in the active language; a dash for none."""
    written = (country or "").strip()
    if not written:
        return formats.MISSING
    code = _codes().get(written.casefold())
    return str(formats.locale().territories.get(code, written)) if code else written


@cache
def _codes() -> dict[str, str]:
    """Return ISO 3166 code by code, English and Chinese name, in lower case."""
    known: dict[str, str] = {}
    for language in ("zh_Hans", "en"):
        # Two letters are countries; numbers are continents and regions.
        known |= {name.casefold(): code for code, name in Locale.parse(language).territories.items() if len(code) == 2 and code.isalpha()}
    return known | {code.casefold(): code for code in set(known.values())} | _ALSO
