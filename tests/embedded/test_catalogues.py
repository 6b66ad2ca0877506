"""Catalogues are compiled without GNU gettext, and only when needed."""

import gettext
import os
from pathlib import Path

from crm.embedded import catalogues

SOURCE = """
msgid ""
msgstr "Content-Type: text/plain; charset=UTF-8\\n"

msgid "Customers"
msgstr "客户"

#, fuzzy
msgid "Orders"
msgstr "订购"
"""


def test_a_missing_or_old_catalogue_is_written_and_a_fresh_one_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "zh_Hans" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    source = folder / "django.po"
    source.write_text(SOURCE, encoding="utf-8")

    assert catalogues.compile_all(tmp_path) == [folder / "django.mo"]
    assert catalogues.compile_all(tmp_path) == []
    os.utime(source, (source.stat().st_mtime + 10,) * 2)
    assert catalogues.compile_all(tmp_path) == [folder / "django.mo"]

    texts = gettext.translation("django", tmp_path, languages=["zh_Hans"])
    assert texts.gettext("Customers") == "客户"
    # A fuzzy translation is a guess; the English text is shown instead.
    assert texts.gettext("Orders") == "Orders"
