"""Every template compiles, and none carries what the content policy or the house style forbids."""

import re
from pathlib import Path

import pytest
from django.template.loader import get_template

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted(path.relative_to(ROOT / "templates").as_posix() for path in (ROOT / "templates").rglob("*.html"))
# Mails are read by mail programs, which need inline styles; the widget page is customer-facing but under the same policy.
MAILS = ("emails/",)


@pytest.mark.parametrize("name", TEMPLATES)
def test_template_compiles(name: str) -> None:
    assert get_template(name) is not None


@pytest.mark.parametrize("name", [name for name in TEMPLATES if not name.startswith(MAILS)])
def test_template_has_nothing_inline(name: str) -> None:
    source = (ROOT / "templates" / name).read_text(encoding="utf-8")

    assert re.findall(r"<[a-z][^>]*\sstyle=", source) == []
    assert re.findall(r"<[a-z][^>]*\son[a-z]+=", source) == []
    assert re.findall(r"<script(?![^>]*\bsrc=)(?![^>]*type=\"application/json\")", source) == []
    assert "https://" not in source.replace("https://shop.example", "")
