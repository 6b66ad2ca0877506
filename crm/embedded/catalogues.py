"""Compile the translation catalogues without GNU gettext, which a fresh machine does not have.

`*.mo` files are products of `*.po` files and not kept in the repository. `up` and the test run make them when they are
missing or old; a production image runs `python -m crm.embedded.catalogues` once.
"""

import os
from pathlib import Path

LOCALE_DIR = Path(__file__).resolve().parent.parent.parent / "locale"


def compile_all(locale_dir: Path = LOCALE_DIR) -> list[Path]:
    """Write each catalogue's .mo beside its .po where it is missing or older; return those written.

    Written beside and renamed: a server that reads at the same moment sees the old file or the new one.
    """
    written = []
    for source in sorted(locale_dir.glob("*/LC_MESSAGES/*.po")):
        target = source.with_suffix(".mo")
        if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
            continue
        # Only now: Babel takes a quarter of a second to import and is rarely needed.
        from babel.messages.mofile import write_mo
        from babel.messages.pofile import read_po

        with source.open("rb") as stream:
            catalogue = read_po(stream)
        draft = target.with_suffix(f".{os.getpid()}")
        with draft.open("wb") as stream:
            # As msgfmt does: an uncertain ("fuzzy") translation is worse than the English text.
            write_mo(stream, catalogue, use_fuzzy=False)
        draft.replace(target)
        written.append(target)
    return written


if __name__ == "__main__":
    compile_all()
